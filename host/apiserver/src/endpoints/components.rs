//! `componentstatuses`: how store, scheduler and controllers are at the moment of asking.

use axum::body::Body;
use coracle_store::{Entry, Revision, Value};
use http::{Response, StatusCode};
use k8s_openapi::api::core::v1::{ComponentCondition, ComponentStatus};
use kube::api::ObjectMeta;

use super::list::{self, Listed};
use super::options::ListOptions;
use super::{Call, respond};
use crate::config::Running;
use crate::error::{ApiError, Result};
use crate::registry::{Kind, key};
use crate::server::Server;

pub(super) async fn get(call: &Call, kind: &dyn Kind) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let name = &call.target.name;
    let (_, all) = observe(&call.server).await;
    let found = all.iter().find(|status| status.metadata.name.as_ref() == Some(name));
    let names = kind.names();
    let found = found.ok_or_else(|| ApiError::not_found(&names.group, &names.plural, name))?;
    let encoded = serde_json::to_vec(found).map_err(ApiError::internal)?;
    respond::object(kind, StatusCode::OK, output, encoded.into()).await
}

pub(super) async fn list(call: &Call, kind: &dyn Kind) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let options = ListOptions::read(call, kind)?;
    let (revision, all) = observe(&call.server).await;
    let mut entries = vec![];
    for status in all {
        let key = key(kind.names(), "", status.metadata.name.as_deref().unwrap_or_default());
        let encoded = serde_json::to_vec(&status).map_err(ApiError::internal)?;
        let entry = Entry::new(key.into(), &Value::plain(encoded), revision, revision);
        if options.selection.matches(&entry, kind) {
            entries.push(entry.into());
        }
    }
    list::show(kind, output, &Listed::whole(revision, entries)).await
}

/// Every component, in alphabetical order, and the revision of the store, if it has one to tell.
async fn observe(server: &Server) -> (Revision, [ComponentStatus; 3]) {
    let store = server.store.revision().await;
    let revision = *store.as_ref().unwrap_or(&0);
    let running = |name: &str, part: &Running| {
        let problem = format!("the {name} does not run in this program");
        status(name, if part.is_running() { Ok(()) } else { Err((problem, String::new())) })
    };
    let controllers = running("controller-manager", &server.components.controllers);
    let scheduler = running("scheduler", &server.components.scheduler);
    let store = store.map(drop).map_err(|error| (String::new(), error.to_string()));
    (revision, [controllers, status("etcd-0", store), scheduler])
}

/// A component's status: healthy, or else its message and the error.
fn status(name: &str, health: Result<(), (String, String)>) -> ComponentStatus {
    let (status, (message, error)) = match health {
        Ok(()) => ("True", ("ok".to_owned(), String::new())),
        Err(problem) => ("False", problem),
    };
    let told = |text: String| Some(text).filter(|text| !text.is_empty());
    ComponentStatus {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        conditions: Some(vec![ComponentCondition {
            type_: "Healthy".into(),
            status: status.into(),
            message: told(message),
            error: told(error),
        }]),
    }
}
