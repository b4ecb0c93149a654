//! `binding`: the scheduler's decision, written into a pod once and for ever.

use axum::body::Body;
use coracle_api::{clock, conditions};
use coracle_store::Entry;
use http::{Response, StatusCode};
use k8s_openapi::api::core::v1::{Binding, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::negotiate::Output;
use super::options::WriteOptions;
use super::{Call, body, respond};
use crate::error::{ApiError, Cause, Result};
use crate::registry::{self, Kind, Object, Write};

pub(super) async fn create(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let output = Output::negotiate(&call.headers, &call.params)?;
    let options = WriteOptions::read(&call.params, "CreateOptions")?;
    let json = body::json(call, body).await?;
    let binding: Binding = serde_json::from_slice(&json).map_err(|error| {
        let message =
            format!("Binding in version \"v1\" cannot be handled as a Binding: json: {error}");
        ApiError::bad_request(message)
    })?;
    let own = binding.metadata.name.as_deref().unwrap_or_default();
    let name = if call.target.name.is_empty() { own } else { &call.target.name };
    if !own.is_empty() && own != name {
        return Err(ApiError::bad_request("name in URL does not match name in Binding object"));
    }
    let name = name.to_owned();
    validate(&binding)?;
    let mut bind = |_: &Entry, old: &dyn Object| assign(old, &binding, &name);
    // Where a pod is bound to is nobody's.
    let write = Write { manager: None, ..call.write(kind, options.dry_run) };
    registry::update(write, &name, None, &mut bind).await?;
    respond::success(StatusCode::CREATED, output, None)
}

fn validate(binding: &Binding) -> Result<()> {
    let mut causes = vec![];
    let kind = binding.target.kind.as_deref().unwrap_or_default();
    if !matches!(kind, "" | "Node") {
        causes.push(Cause::not_supported("target.kind", kind, &["Node", "<empty>"]));
    }
    if binding.target.name.as_deref().unwrap_or_default().is_empty() {
        causes.push(Cause::required("target.name", ""));
    }
    let name = binding.metadata.name.as_deref().unwrap_or_default();
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid("", "Binding", name, causes)) }
}

fn assign(old: &dyn Object, binding: &Binding, name: &str) -> Result<Box<dyn Object>> {
    let conflict = |why: String| ApiError::conflict("", "pods/binding", name, &why);
    let pod = old.downcast_ref::<Pod>().ok_or_else(ApiError::no_such_path)?;
    let mut pod = pod.clone();
    if pod.metadata.deletion_timestamp.is_some() {
        let why = format!("pod {name} is being deleted, cannot be assigned to a host");
        return Err(conflict(why));
    }
    let spec = pod.spec.get_or_insert_default();
    if let Some(node) = spec.node_name.as_deref().filter(|node| !node.is_empty()) {
        return Err(conflict(format!("pod {name} is already assigned to node {node:?}")));
    }
    if spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        let why = format!("pod {name} has non-empty .spec.schedulingGates");
        return Err(conflict(why));
    }
    spec.node_name.clone_from(&binding.target.name);
    let wanted = &binding.metadata;
    if let Some(annotations) = &wanted.annotations {
        let own = pod.metadata.annotations.get_or_insert_default();
        own.extend(annotations.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    let scheduled = PodCondition {
        type_: "PodScheduled".into(),
        status: "True".into(),
        last_transition_time: Some(Time(clock::now())),
        ..PodCondition::default()
    };
    conditions::set(&mut pod.status.get_or_insert_default().conditions, scheduled);
    // What the caller believes the pod to be is checked with the write.
    pod.metadata.resource_version.clone_from(&wanted.resource_version);
    if wanted.uid.as_ref().is_some_and(|uid| !uid.is_empty()) {
        pod.metadata.uid.clone_from(&wanted.uid);
    }
    Ok(Box::new(pod))
}
