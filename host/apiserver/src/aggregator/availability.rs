//! Whether extensions answer: the condition `Available` of their APIServices, and with it whether
//! requests are passed on (`AvailableConditionController` of kube-aggregator). Each extension is
//! looked at by a task of its own, so that one that hangs keeps nobody waiting.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use coracle_api::clock;
use coracle_store::Watch;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ServiceSpec;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
    APIService, APIServiceCondition,
};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use tokio_util::task::AbortOnDropHandle;

use super::extension::{AVAILABLE, Extension};
use super::services::APISERVICES;
use super::told;
use crate::error::{ApiError, Result};
use crate::registry::{seconds, split};
use crate::server::Server;
use crate::timeouts;
use crate::upstream::{HTTPS, find, is_ready, resolve, slices};

const SERVICES: &str = "/registry/core/services/";
const SLICES: &str = "/registry/discovery.k8s.io/endpointslices/";

/// What was found of an extension.
struct Finding {
    status: &'static str,
    reason: &'static str,
    message: String,
}

fn refused(reason: &'static str, message: String) -> Finding {
    Finding { status: "False", reason, message }
}

/// An extension that is looked at.
struct Watched {
    extension: Arc<Extension>,
    _task: AbortOnDropHandle<()>,
}

pub(super) async fn run(server: &Arc<Server>, client: &Client) {
    loop {
        if let Err(error) = follow(server, client).await {
            tracing::warn!(%error, "cannot follow the APIServices");
        }
        tokio::time::sleep(timeouts::AGGREGATOR_RETRY).await;
    }
}

/// Looks at every extension, for as long as changes can be followed.
async fn follow(server: &Arc<Server>, client: &Client) -> Result<()> {
    let store = &*server.store;
    let revision = store.revision().await?;
    let mut registered = store.watch(APISERVICES, revision).await?;
    let mut watched: HashMap<String, Watched> = HashMap::new();
    // What extensions depend on changes all the time; it is followed while there are any.
    let mut surroundings: Option<(Watch, Watch)> = None;
    loop {
        let extensions = server.aggregator.extensions(store).await?;
        watched.retain(|_, known| extensions.iter().any(|own| Arc::ptr_eq(own, &known.extension)));
        for extension in &extensions {
            watched.entry(extension.name.clone()).or_insert_with(|| {
                let task = keep(server.clone(), client.clone(), extension.clone());
                let task = AbortOnDropHandle::new(tokio::spawn(task));
                Watched { extension: extension.clone(), _task: task }
            });
        }
        if extensions.is_empty() {
            surroundings = None;
        } else if surroundings.is_none() {
            let revision = store.revision().await?;
            let services = store.watch(SERVICES, revision).await?;
            surroundings = Some((services, store.watch(SLICES, revision).await?));
            touch(&extensions, |_| true);
        }
        let Some((services, slices)) = &mut surroundings else {
            let Some(event) = registered.next().await else { return Ok(()) };
            event?;
            continue;
        };
        let touched = tokio::select! {
            event = registered.next() => {
                let Some(event) = event else { return Ok(()) };
                let event = event?;
                let name = event.entry.key.strip_prefix(APISERVICES).unwrap_or_default().to_owned();
                touch(&extensions, |extension| extension.name == name);
                continue;
            }
            event = services.next() => event,
            event = slices.next() => event,
        };
        let Some(event) = touched else { return Ok(()) };
        let event = event?;
        let (namespace, _) = split(&event.entry.key);
        touch(&extensions, |extension| extension.service.namespace == namespace);
    }
}

fn touch(extensions: &[Arc<Extension>], which: impl Fn(&Extension) -> bool) {
    for extension in extensions.iter().filter(|extension| which(extension)) {
        extension.touched.notify_one();
    }
}

/// Looks at one extension whenever something has changed, and now and then.
async fn keep(server: Arc<Server>, client: Client, extension: Arc<Extension>) {
    let mut failures = 0;
    loop {
        let pause = match look(&server, &client, &extension).await {
            Ok(true) => {
                failures = 0;
                timeouts::EXTENSION_RESYNC
            }
            answered => {
                if let Err(error) = answered {
                    tracing::warn!(name = extension.name, %error, "cannot look at an extension");
                }
                failures += 1;
                let doubled = timeouts::EXTENSION_RETRY.saturating_mul(1 << failures.min(16));
                Duration::min(doubled, timeouts::EXTENSION_RESYNC)
            }
        };
        tokio::select! {
            () = extension.touched.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Brings the condition to what is found; whether nobody has to look again soon.
async fn look(server: &Server, client: &Client, extension: &Extension) -> Result<bool> {
    let Some(entry) = server.store.get(&format!("{APISERVICES}{}", extension.name)).await? else {
        return Ok(true);
    };
    let service: APIService = serde_json::from_slice(&entry.value).map_err(ApiError::internal)?;
    // What it tells belongs to one state of the APIService.
    if !Extension::of(&service).is_some_and(|own| own.is_like(extension)) {
        return Ok(true);
    }
    let finding = examine(server, extension).await?;
    // Whoever sees that it is available may count on finding it in discovery.
    match finding.status {
        "True" => told::refresh(server, extension).await,
        _ => told::forget(extension),
    }
    let settled = finding.reason != "FailedDiscoveryCheck";
    let mut conditions = service.status.and_then(|status| status.conditions).unwrap_or_default();
    if !note(&mut conditions, finding) {
        return Ok(settled);
    }
    let patch = json!({
        "metadata": { "resourceVersion": entry.modified.to_string() },
        "status": { "conditions": conditions },
    });
    let all = Api::<APIService>::all(client.clone());
    let written =
        all.patch_status(&extension.name, &PatchParams::default(), &Patch::Merge(patch)).await;
    match written {
        Ok(_) => Ok(settled),
        // Whoever was faster has touched the extension, too.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(settled),
        Err(error) => Err(ApiError::internal(error)),
    }
}

/// Puts a finding among the conditions; whether that says anything new.
fn note(conditions: &mut Vec<APIServiceCondition>, finding: Finding) -> bool {
    let Finding { status, reason, message } = finding;
    let known = conditions.iter_mut().find(|known| known.type_ == AVAILABLE);
    let changed = known.as_ref().is_none_or(|known| known.status != status);
    let since = known.as_ref().and_then(|known| known.last_transition_time.clone());
    let new = APIServiceCondition {
        type_: AVAILABLE.into(),
        status: status.into(),
        last_transition_time: since.filter(|_| !changed).or(Some(Time(seconds(clock::now())))),
        reason: Some(reason.into()),
        message: Some(message),
    };
    match known {
        Some(known) if *known == new => false,
        Some(known) => {
            *known = new;
            true
        }
        None => {
            conditions.push(new);
            true
        }
    }
}

async fn examine(server: &Server, extension: &Extension) -> Result<Finding> {
    let reference = &extension.service;
    let (namespace, name) = (&reference.namespace, &reference.name);
    let Some(service) = find(server, reference).await? else {
        let message = format!("service/{name} in {namespace:?} is not present");
        return Ok(refused("ServiceNotFound", message));
    };
    let spec = service.spec.unwrap_or_default();
    if spec.type_.as_deref().is_none_or(|type_| type_ == "ClusterIP")
        && let Some(finding) = unserved(server, extension, &spec).await?
    {
        return Ok(finding);
    }
    let path = extension.root();
    let place = match resolve(server, reference).await {
        Ok(place) => place,
        Err(why) => return Ok(refused("FailedDiscoveryCheck", why)),
    };
    let url = format!("https://{place}{path}");
    let failure = match extension.probe(server, &path, timeouts::EXTENSION).await {
        Ok(status) if (200..300).contains(&status.as_u16()) => None,
        Ok(status) => Some(format!("bad status from {url}: {}", status.as_u16())),
        Err(why) => Some(format!("Get {url:?}: {why}")),
    };
    Ok(match failure {
        None => Finding { status: "True", reason: "Passed", message: "all checks passed".into() },
        Some(why) => {
            let message = format!("failing or missing response from {url}: {why}");
            refused("FailedDiscoveryCheck", message)
        }
    })
}

/// What a Service lacks that has an address in the cluster.
async fn unserved(
    server: &Server,
    extension: &Extension,
    spec: &ServiceSpec,
) -> Result<Option<Finding>> {
    let (namespace, name) = (&extension.service.namespace, &extension.service.name);
    let number = extension.service.port.unwrap_or(HTTPS);
    let Some(port) = spec.ports.iter().flatten().find(|port| port.port == number) else {
        let message = format!("service/{name} in {namespace:?} is not listening on port {number}");
        return Ok(Some(refused("ServicePortError", message)));
    };
    let port = port.name.as_deref().unwrap_or_default();
    let slices = slices(server, namespace, name).await?;
    if slices.is_empty() {
        let message = format!("cannot find endpointslices for service/{name} in {namespace:?}");
        return Ok(Some(refused("EndpointsNotFound", message)));
    }
    if !slices.iter().any(|slice| serves(slice, port)) {
        let message = format!(
            "endpointslices for service/{name} in {namespace:?} have no addresses with port name \
             {port:?}"
        );
        return Ok(Some(refused("MissingEndpoints", message)));
    }
    Ok(None)
}

/// Whether somebody of a slice is ready on the port of that name.
fn serves(slice: &EndpointSlice, port: &str) -> bool {
    let ready = slice.endpoints.iter().flatten().any(is_ready);
    let mut ports = slice.ports.iter().flatten();
    ready && ports.any(|own| own.name.as_deref().unwrap_or_default() == port && own.port.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_already_is_not_said_again() {
        let mut conditions = vec![];
        assert!(note(&mut conditions, refused("ServiceNotFound", "gone".into())));
        assert!(!note(&mut conditions, refused("ServiceNotFound", "gone".into())));
        let since = Some(Time(seconds(clock::now()) - jiff::SignedDuration::from_hours(1)));
        conditions[0].last_transition_time = since.clone();
        // Another reason for the same is news, but not a transition.
        assert!(note(&mut conditions, refused("ServicePortError", "port".into())));
        assert_eq!(conditions[0].last_transition_time, since);
        let passed = Finding { status: "True", reason: "Passed", message: String::new() };
        assert!(note(&mut conditions, passed));
        assert_ne!(conditions[0].last_transition_time, since);
        assert_eq!(conditions.len(), 1);
    }

    #[test]
    fn endpoints_count_by_the_name_of_their_port() {
        let slice = |ready: serde_json::Value, name: &str| -> EndpointSlice {
            let object = json!({
                "addressType": "IPv4",
                "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }],
                "ports": [{ "name": name, "port": 443 }],
            });
            serde_json::from_value(object).unwrap()
        };
        assert!(serves(&slice(json!(true), ""), ""));
        assert!(serves(&slice(serde_json::Value::Null, "https"), "https"));
        assert!(!serves(&slice(json!(false), ""), ""));
        assert!(!serves(&slice(json!(true), "http"), "https"));
    }
}
