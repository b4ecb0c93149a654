//! Objects that shall go, one by one or by selection.

use axum::body::Body;
use futures::{StreamExt, stream};
use http::{Response, StatusCode};
use serde_json::json;

use super::negotiate::Output;
use super::options::{self, ListOptions};
use super::{Call, body, list, respond};
use crate::error::{Reason, Result};
use crate::registry::{self, DeleteOptions, Deleted, Kind, split};

/// How many objects of a collection are deleted at once.
const TOGETHER: usize = 16;

pub(super) async fn delete(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let (options, dry_run) = options::delete(&call.params, &body::json(call, body).await?)?;
    one(call, kind, output, &options, dry_run).await
}

/// Deletes the object that the path names.
pub(super) async fn one(
    call: &Call,
    kind: &dyn Kind,
    output: Output,
    options: &DeleteOptions,
    dry_run: bool,
) -> Result<Response<Body>> {
    let name = &call.target.name;
    match registry::delete(call.write(kind, dry_run), name, options).await? {
        Deleted::Gone(object, encoded) => {
            if kind.rules().returns_deleted {
                return respond::object(kind, StatusCode::OK, output, encoded).await;
            }
            let names = kind.hub().names();
            let uid = object.meta().uid.clone().unwrap_or_default();
            let mut details = json!({ "name": name, "kind": names.plural, "uid": uid });
            if !names.group.is_empty() {
                details["group"] = json!(names.group);
            }
            respond::success(StatusCode::OK, output, Some(details))
        }
        Deleted::Pending(encoded) => {
            let accepted = options.orphan_dependents == Some(false);
            let status = if accepted { StatusCode::ACCEPTED } else { StatusCode::OK };
            respond::object(kind, status, output, encoded).await
        }
    }
}

/// Deletes every object that the query selects. The answer is the list of them.
pub(super) async fn collection(call: &Call, kind: &dyn Kind, body: Body) -> Result<Response<Body>> {
    let output = call.output(kind.names())?;
    let (options, dry_run) = options::delete(&call.params, &body::json(call, body).await?)?;
    let listed = list::select(call, kind, &ListOptions::read(call, kind)?).await?;
    let mut deletions = Vec::with_capacity(listed.entries.len());
    for entry in &listed.entries {
        let (_, name) = split(&entry.key);
        deletions.push(registry::delete(call.write(kind, dry_run), name, &options));
    }
    let mut results = stream::iter(deletions).buffer_unordered(TOGETHER);
    while let Some(result) = results.next().await {
        match result {
            // Somebody else was faster.
            Err(error) if error.reason == Reason::NotFound => {}
            result => drop(result?),
        }
    }
    drop(results);
    list::show(kind, output, &listed).await
}
