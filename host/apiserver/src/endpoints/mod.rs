//! One verb or view a file: from a routed request to its answer. Knows HTTP; leaves to `registry`
//! what happens to objects.

mod apply;
mod binding;
mod body;
mod components;
mod compression;
mod create;
mod decode;
mod delete;
mod discovery;
mod eviction;
mod get;
mod health;
mod list;
mod log;
mod negotiate;
mod openapi;
mod options;
mod patch;
mod path;
mod proxy;
mod respond;
mod review;
mod scale;
mod subresources;
mod table;
mod token;
mod update;
mod watch;
mod yaml;

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Method, Response, header};

use crate::audit::{Annotations, Record};
use crate::authn::Identity;
use crate::error::{ApiError, Result};
use crate::metrics::RequestLabels;
use crate::registry::{ApiResource, Kind, Part, Write, manager_of};
use crate::request::{Params, Target, Verb};
use crate::server::Server;
use crate::warnings::Warnings;

pub(crate) use crate::registry::Resource;
pub(crate) use compression::{accepts_gzip, compress};
pub(crate) use openapi::OpenApi;
pub(crate) use path::{is_own, not_found, path};
pub(crate) use proxy::{is_proxied, proxy};
pub(crate) use respond::refused;

/// A request for a resource, authorized, on its way through an endpoint.
pub(crate) struct Call {
    pub(crate) server: Arc<Server>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) verb: Verb,
    pub(crate) target: Target,
    pub(crate) params: Params,
    pub(crate) headers: HeaderMap,
    /// The name by which the caller owns fields.
    pub(crate) manager: String,
    pub(crate) warnings: Arc<Warnings>,
    /// What is written down of it, if anything.
    pub(crate) record: Option<Arc<Record>>,
    pub(crate) annotations: Arc<Annotations>,
}

impl Call {
    fn write<'a>(&'a self, kind: &'a dyn Kind, dry_run: bool) -> Write<'a> {
        Write {
            server: &self.server,
            kind: kind.hub(),
            served: kind,
            namespace: &self.target.namespace,
            subresource: &self.target.subresource,
            dry_run,
            identity: &self.identity,
            manager: Some(&self.manager),
            warnings: &self.warnings,
            annotations: &self.annotations,
        }
    }
}

/// The name by which a caller owns fields: the one that he gives, or his program's.
pub(crate) fn manager(params: &Params, headers: &HeaderMap) -> String {
    let agent = || headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    match params.given("fieldManager") {
        Some(given) => given.to_owned(),
        None => manager_of(agent().unwrap_or_default()),
    }
}

/// Answers a request about objects that are kept.
pub(crate) async fn stored(call: Call, kind: Arc<dyn Kind>, body: Body) -> Result<Response<Body>> {
    let names = kind.names();
    if !names.namespaced && !call.target.namespace.is_empty() {
        return Err(ApiError::no_such_path());
    }
    if let Some(text) = kind.deprecation() {
        call.warnings.add(text);
    }
    let everywhere = names.namespaced && call.target.namespace.is_empty();
    if everywhere && !matches!(call.verb, Verb::List | Verb::Watch) {
        // The list of all namespaces is there, and can be read only; names are not.
        let named = !call.target.name.is_empty();
        return Err(if named { ApiError::no_such_path() } else { ApiError::method_not_allowed() });
    }
    if kind.rules().observed {
        return match (&*call.target.subresource, call.verb) {
            ("", Verb::Get) => components::get(&call, &*kind).await,
            ("", Verb::List) => components::list(&call, &*kind).await,
            ("", _) => Err(ApiError::method_not_allowed()),
            _ => Err(ApiError::no_such_path()),
        };
    }
    if call.target.subresource.is_empty() {
        return match call.verb {
            Verb::Get => get::get(&call, &*kind).await,
            Verb::List => list::list(&call, &*kind).await,
            Verb::Watch => watch::watch(call, kind).await,
            // Names of new objects stand in them, not in the path.
            Verb::Create if !call.target.name.is_empty() => Err(ApiError::method_not_allowed()),
            Verb::Create => create::create(&call, &*kind, body).await,
            Verb::Update => update::update(&call, &*kind, Some(Part::Main), body).await,
            Verb::Patch => patch::patch(&call, &*kind, Some(Part::Main), body).await,
            Verb::Delete => delete::delete(&call, &*kind, body).await,
            Verb::DeleteCollection => delete::collection(&call, &*kind, body).await,
        };
    }
    let known = subresources::of(&*kind);
    let subresource = known.iter().find(|known| known.name == call.target.subresource);
    let subresource = subresource.ok_or_else(ApiError::no_such_path)?;
    if !subresource.verbs.contains(&call.verb.as_str()) {
        return Err(ApiError::method_not_allowed());
    }
    match (subresource.name, call.verb) {
        ("status", Verb::Get) => get::get(&call, &*kind).await,
        ("status", Verb::Update) => update::update(&call, &*kind, Some(Part::Status), body).await,
        ("status", _) => patch::patch(&call, &*kind, Some(Part::Status), body).await,
        ("scale", Verb::Get) => scale::get(&call, &*kind).await,
        ("scale", Verb::Update) => scale::update(&call, &*kind, body).await,
        ("scale", _) => scale::patch(&call, &*kind, body).await,
        ("binding", _) => binding::create(&call, &*kind, body).await,
        ("eviction", _) => eviction::create(&call, &*kind, body).await,
        ("log", _) => log::get(&call, &*kind).await,
        ("token", _) => token::create(&call, &*kind, body).await,
        // What an update through any other one may touch, the kind knows.
        (_, Verb::Get) => get::get(&call, &*kind).await,
        (_, Verb::Update) => update::update(&call, &*kind, None, body).await,
        (_, Verb::Patch) => patch::patch(&call, &*kind, None, body).await,
        _ => Err(ApiError::no_such_path()),
    }
}

/// Answers a question that is asked by creating an object.
pub(crate) async fn created_only(
    call: Call,
    names: &ApiResource,
    body: Body,
) -> Result<Response<Body>> {
    if names.namespaced == call.target.namespace.is_empty() || !call.target.name.is_empty() {
        return Err(ApiError::no_such_path());
    }
    if call.verb != Verb::Create {
        return Err(ApiError::method_not_allowed());
    }
    if &*names.plural == "bindings" {
        let kind = call.server.registry.kind("", "pods");
        let kind = kind.ok_or_else(ApiError::no_such_path)?;
        return binding::create(&call, &*kind, body).await;
    }
    review::create(&call, names, body).await
}

/// The request as metrics name it.
pub(crate) fn labels(verb: Verb, target: &Target, resource: Option<&Resource>) -> RequestLabels {
    let Some(resource) = resource else {
        return RequestLabels { verb: verb.metric(), ..RequestLabels::default() };
    };
    let names = resource.names();
    let subresource = match resource {
        Resource::Stored(kind) => {
            let known = subresources::of(&**kind);
            let known = known.iter().find(|known| known.name == target.subresource);
            known.map_or("", |known| known.name)
        }
        Resource::Virtual(_) => "",
    };
    let scope = if !target.name.is_empty() || verb == Verb::Create {
        "resource"
    } else if target.namespace.is_empty() {
        "cluster"
    } else {
        "namespace"
    };
    RequestLabels {
        verb: verb.metric(),
        group: (&names.group).into(),
        version: (&names.version).into(),
        resource: (&names.plural).into(),
        subresource,
        scope,
    }
}

/// The method as metrics name it.
pub(crate) fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "OTHER",
    }
}
