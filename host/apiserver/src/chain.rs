//! The filters that every request passes, in order.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse;
use coracle_api::dice;
use coracle_api::selector::FieldSelector;
use coracle_store::Error as StoreError;
use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::aggregator::{self, Extension};
use crate::apiextensions::Definitions;
use crate::audit::{self, Annotations, Came, Record, Stage};
use crate::authn::{Identity, impersonation};
use crate::authz::{Attributes, Decision, ResourceAttributes};
use crate::endpoints::{self, Call, Resource};
use crate::error::{ApiError, Reason, Result};
use crate::flow::Class;
use crate::metrics::RequestLabels;
use crate::registry::Kind;
use crate::request::{Params, Route, Target, Verb};
use crate::server::Server;
use crate::timeouts;
use crate::upstream::is_upgrade;
use crate::warnings::Warnings;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const FLOW_SCHEMA: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const PRIORITY_LEVEL: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// What is learnt of a request on its way, for whoever writes of it afterwards.
struct Noted {
    id: String,
    labels: RequestLabels,
    warnings: Arc<Warnings>,
    annotations: Arc<Annotations>,
    /// Who asks, whoever he acts as.
    caller: Option<Arc<Identity>>,
    class: Option<Class>,
    record: Option<Arc<Record>>,
    /// Whether the answer goes on for as long as the caller likes.
    long: bool,
    /// Whether another server answers, which says itself what became of the request.
    delegated: bool,
}

/// Who answers a request for a resource.
enum Destination {
    Here(Resource, Call, Body),
    There(Arc<Extension>, Arc<Identity>, Request<Body>),
    /// Whoever is behind an object of this server's.
    Behind(Arc<dyn Kind>, Target, Request<Body>),
}

impl Noted {
    fn new(id: String) -> Self {
        Self {
            id,
            labels: RequestLabels { verb: "OTHER", ..RequestLabels::default() },
            warnings: Arc::default(),
            annotations: Arc::default(),
            caller: None,
            class: None,
            record: None,
            long: false,
            delegated: false,
        }
    }

    /// Begins what is to be written down of the request, and finds the flow that it belongs to.
    async fn begin(
        &mut self,
        server: &Server,
        asked: &Attributes<'_>,
        version: &str,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<()> {
        if let Some(audit) = &server.audit {
            let caller = self.caller.as_deref().unwrap_or(asked.identity);
            let came = Came { id: &self.id, caller, version, uri, headers };
            self.record = Record::begin(audit, &came, asked, self.annotations.clone());
        }
        self.class = Some(server.flow.classify(&*server.store, asked).await?);
        Ok(())
    }
}

/// Answers a request. Nothing that happens on its way reaches another request.
pub(crate) async fn serve(server: Arc<Server>, request: Request<Body>) -> Response<Body> {
    let started = Instant::now();
    let id = dice::uuid();
    let gzip = endpoints::accepts_gzip(request.headers());
    let accept = request.headers().get(header::ACCEPT).cloned();
    let oci = request.uri().path().starts_with("/v2");
    let mut noted = Noted::new(id.clone());
    let answer = AssertUnwindSafe(admit(&server, request, &mut noted)).catch_unwind().await;
    let Noted { labels, warnings, class, record, long, delegated, .. } = noted;
    let stage = if answer.is_err() { Stage::Panic } else { Stage::ResponseComplete };
    let mut response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            tracing::debug!(id, verb = labels.verb, resource = &*labels.resource, %error, "refused");
            endpoints::refused(error, accept)
        }
        Err(panic) => {
            let cause = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            tracing::error!(id, verb = labels.verb, resource = &*labels.resource, cause, "panic");
            let message = "This request caused apiserver to panic. Look in the logs for details.";
            ApiError::new(Reason::InternalError, message).into_response()
        }
    };
    warnings.write(response.headers_mut());
    if let Some((schema, level)) = class.as_ref().filter(|_| !delegated).and_then(Class::uids) {
        for (name, uid) in [(FLOW_SCHEMA, schema), (PRIORITY_LEVEL, level)] {
            if let Ok(uid) = HeaderValue::try_from(uid) {
                response.headers_mut().insert(name, uid);
            }
        }
    }
    if let Some(record) = record {
        response = audit::answered(record, response, stage, long).await;
    }
    server.metrics.answered(&labels, response.status().as_u16(), started.elapsed());
    // OCI clients show what they were told at login only to a server that asks for it.
    if oci && response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"coracle\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(AUDIT_ID, id);
    }
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache, private"));
    if gzip { endpoints::compress(response).await } else { response }
}

/// Authentication, routing, authorization, limits, time; then the endpoint.
async fn admit(
    server: &Arc<Server>,
    mut request: Request<Body>,
    noted: &mut Noted,
) -> Result<Response<Body>> {
    let (headers, extensions) = (request.headers(), request.extensions());
    let identity = match server.authenticator.authenticate(server, headers, extensions).await? {
        Some(identity) => {
            noted.caller = Some(identity.clone());
            impersonation::act(server, identity, request.headers_mut()).await?
        }
        None if is_public(request.uri().path()) => Arc::new(Identity::anonymous()),
        None => return Err(ApiError::unauthorized()),
    };
    server.authenticator.clear(request.headers_mut());
    let params = Params::read(request.uri());
    let (verb, target) = match Route::read(request.method(), request.uri().path(), &params) {
        Route::Resource(verb, target) => (verb, target),
        Route::Path => return path(server, identity, params, request, noted).await,
    };
    server.definitions.ready(server).await?;
    let (group, version) = (&target.group, &target.version);
    let extension = server.aggregator.serving(&*server.store, group, version).await?;
    let resource = match extension {
        Some(_) => None,
        None => server.registry.resource(&target),
    };
    noted.labels = endpoints::labels(verb, &target, resource.as_ref());
    let fields = narrowed(verb, &params);
    let asked = Attributes {
        identity: &identity,
        verb: verb.as_str(),
        resource: Some(ResourceAttributes {
            group: &target.group,
            resource: &target.resource,
            subresource: &target.subresource,
            namespace: &target.namespace,
            name: asked_name(verb, &target, fields.as_ref()),
            fields: fields.as_ref(),
        }),
        path: request.uri().path(),
    };
    noted.begin(server, &asked, &target.version, request.uri(), request.headers()).await?;
    authorize(server, &asked, noted).await?;
    let long = verb == Verb::Watch
        || match &extension {
            Some(_) => is_long(&target.subresource) || is_upgrade(request.headers()),
            None => {
                target.subresource == "proxy"
                    || target.subresource == "log" && params.flag("follow")
            }
        };
    noted.long = long;
    let place = match &noted.class {
        Some(class) if !long => server.flow.enter(class, &server.metrics).await?,
        _ => None,
    };
    let counted = (!long).then(|| server.metrics.enter(verb.writes()));
    let destination = match (extension, resource) {
        (Some(extension), _) => {
            delegate(noted, request.headers_mut());
            Destination::There(extension, identity, request)
        }
        (None, Some(Resource::Stored(kind))) if endpoints::is_proxied(kind.names(), &target) => {
            Destination::Behind(kind, target, request)
        }
        (None, Some(resource)) => {
            let (parts, body) = request.into_parts();
            let headers = parts.headers;
            let Noted { warnings, annotations, record, .. } = &*noted;
            let call = Call {
                server: server.clone(),
                identity,
                verb,
                target,
                manager: endpoints::manager(&params, &headers),
                params,
                headers,
                warnings: warnings.clone(),
                annotations: annotations.clone(),
                record: record.clone(),
            };
            Destination::Here(resource, call, body)
        }
        (None, None) => return Err(ApiError::no_such_path()),
    };
    let server = server.clone();
    let answer = async move {
        let answer = match destination {
            Destination::Here(Resource::Stored(kind), call, body) => {
                let names = kind.names();
                let defines = verb.writes() && Definitions::are(&names.group, &names.plural);
                let answer = endpoints::stored(call, kind, body).await;
                // Whoever has defined a kind may use it at once.
                if defines
                    && answer.is_ok()
                    && let Err(error) = server.definitions.settle(&server).await
                {
                    tracing::warn!(%error, "cannot settle the custom resource definitions");
                }
                answer
            }
            Destination::Here(Resource::Virtual(names), call, body) => {
                endpoints::created_only(call, &names, body).await
            }
            Destination::There(extension, identity, request) => {
                Ok(aggregator::forward(&server, &extension, &identity, request).await)
            }
            Destination::Behind(kind, target, request) => {
                endpoints::proxy(&server, &*kind, &target, request).await
            }
        };
        drop((place, counted));
        answer
    };
    if long {
        return answer.await;
    }
    if !verb.writes() {
        return timed(answer).await;
    }
    // A caller who goes away, or waits no longer, does not take half a write with him.
    let task = tokio::spawn(answer);
    timed(task.map(|done| {
        done.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(StoreError::Closed.into()),
        })
    }))
    .await
}

/// Everything that is no resource.
async fn path(
    server: &Arc<Server>,
    identity: Arc<Identity>,
    params: Params,
    mut request: Request<Body>,
    noted: &mut Noted,
) -> Result<Response<Body>> {
    noted.labels.verb = endpoints::method(request.method());
    let verb = request.method().as_str().to_ascii_lowercase();
    let path = request.uri().path();
    let asked = Attributes { identity: &identity, verb: &verb, resource: None, path };
    noted.begin(server, &asked, "", request.uri(), request.headers()).await?;
    if !is_public(path) {
        authorize(server, &asked, noted).await?;
    }
    if let Some((group, version)) = group_version(path)
        && let Some(extension) = server.aggregator.serving(&*server.store, group, version).await?
    {
        delegate(noted, request.headers_mut());
        let answer = aggregator::forward(server, &extension, &identity, request);
        return timed(answer.map(Ok)).await;
    }
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path();
    if endpoints::is_own(path) {
        if ["/api", "/openapi"].iter().any(|root| path.starts_with(root)) {
            server.definitions.ready(server).await?;
        }
        return timed(endpoints::path(server, &params, &parts)).await;
    }
    parts.extensions.insert(identity);
    let request = Request::from_parts(parts, body);
    let response = server.extra.clone().oneshot(request).await;
    Ok(response.unwrap_or_else(|never| match never {}))
}

/// The group and version that a path belongs to, or whose OpenAPI document it is.
fn group_version(path: &str) -> Option<(&str, &str)> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let root = match segments.next()? {
        "openapi" if segments.next()? == "v3" => segments.next()?,
        root => root,
    };
    match root {
        "api" => Some(("", segments.next()?)),
        "apis" => Some((segments.next()?, segments.next()?)),
        _ => None,
    }
}

/// Notes that another server answers, and tells it under which id the request is known.
fn delegate(noted: &mut Noted, headers: &mut HeaderMap) {
    noted.delegated = true;
    if let Ok(id) = HeaderValue::try_from(noted.id.as_str()) {
        headers.insert(AUDIT_ID, id);
    }
}

/// Parts of objects that are connections rather than documents, wherever they are served.
fn is_long(subresource: &str) -> bool {
    matches!(subresource, "attach" | "exec" | "log" | "portforward" | "proxy")
}

/// Paths that say nothing about the cluster's content.
fn is_public(path: &str) -> bool {
    let root = path.split('/').nth(1).unwrap_or_default();
    matches!(root, "healthz" | "livez" | "readyz" | "version" | "ui")
}

/// What a request for several objects narrows itself to.
fn narrowed(verb: Verb, params: &Params) -> Option<FieldSelector> {
    let several = matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection);
    params.given("fieldSelector").filter(|_| several)?.parse().ok()
}

/// The object that a request is about: a list or watch of one name is about that one.
fn asked_name<'a>(verb: Verb, target: &'a Target, fields: Option<&'a FieldSelector>) -> &'a str {
    if !matches!(verb, Verb::List | Verb::Watch) {
        return &target.name;
    }
    fields.and_then(|fields| fields.exact("metadata.name")).unwrap_or_default()
}

async fn authorize(server: &Server, asked: &Attributes<'_>, noted: &Noted) -> Result<()> {
    let decision = server.authorizer.authorize(&*server.store, asked).await?;
    if noted.record.is_some() {
        let (answer, reason) = match &decision {
            Decision::Allow(granted) => ("allow", granted.to_string()),
            Decision::Refuse(reason) => ("forbid", reason.clone()),
        };
        noted.annotations.add("authorization.k8s.io/decision", answer);
        noted.annotations.add("authorization.k8s.io/reason", reason);
    }
    match decision {
        Decision::Allow(_) => Ok(()),
        Decision::Refuse(reason) => Err(asked.forbidden(&reason)),
    }
}

async fn timed(answer: impl Future<Output = Result<Response<Body>>>) -> Result<Response<Body>> {
    tokio::time::timeout(timeouts::REQUEST, answer).await.unwrap_or_else(|_| {
        let message = "Timeout: request did not complete within the allotted timeout";
        Err(ApiError::new(Reason::Timeout, message))
    })
}
