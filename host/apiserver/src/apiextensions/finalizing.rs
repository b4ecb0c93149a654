//! A definition goes when the last of its objects is gone.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_store::{Entry, Range};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::conditions;
use super::definitions::put;
use super::serving::Served;
use crate::audit::Annotations;
use crate::authn::Identity;
use crate::error::{Reason, Result};
use crate::registry::{self, DeleteOptions, Kind, Write, prefix, split};
use crate::server::Server;
use crate::warnings::Warnings;

/// Keeps a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Objects that are deleted in one go.
const BATCH: usize = 500;

/// What is left to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Done,
    /// Something was written: the definitions have to be looked at again.
    Again,
    /// Objects are held by their finalizers.
    Wait,
}

/// Lets a definition that shall go stay until it is empty.
pub(crate) fn hold(crd: &mut CustomResourceDefinition) {
    let finalizers = crd.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
        finalizers.push(CLEANUP.into());
    }
}

/// Empties the definitions that shall go.
pub(super) async fn step(
    server: &Server,
    served: &BTreeMap<String, Served>,
    stored: &[(&Arc<Entry>, &CustomResourceDefinition)],
) -> Result<Step> {
    let mut waiting = Step::Done;
    for (entry, crd) in stored {
        let held = crd.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == CLEANUP);
        if crd.metadata.deletion_timestamp.is_none() || !held {
            continue;
        }
        let mut crd = CustomResourceDefinition::clone(crd);
        if !conditions::is_true(&crd, "Terminating") {
            let message = "CustomResource deletion is in progress";
            conditions::set(&mut crd, "Terminating", true, "InstanceDeletionInProgress", message);
            put(server, entry, crd).await?;
            return Ok(Step::Again);
        }
        let name = crd.metadata.name.as_deref().unwrap_or_default();
        if let Some(served) = served.get(name)
            && !empty(server, &*served.hub).await?
        {
            waiting = Step::Wait;
            continue;
        }
        let message = "removed all instances";
        conditions::set(&mut crd, "Terminating", false, "InstanceDeletionCompleted", message);
        if let Some(finalizers) = &mut crd.metadata.finalizers {
            finalizers.retain(|finalizer| finalizer != CLEANUP);
        }
        put(server, entry, crd).await?;
        return Ok(Step::Again);
    }
    Ok(waiting)
}

/// Deletes objects of the kind; returns whether none is left.
async fn empty(server: &Server, kind: &dyn Kind) -> Result<bool> {
    let mut range = Range { limit: Some(BATCH), ..Range::default() };
    let (identity, warnings) = (Identity::component("apiextensions"), Warnings::default());
    let annotations = Annotations::default();
    let mut left = false;
    loop {
        let page = server.store.range(&prefix(kind.names(), ""), range.clone()).await?;
        let Some(last) = page.entries.last() else { return Ok(!left) };
        range.after = Some(last.key.to_string());
        for entry in page.entries {
            let (namespace, name) = split(&entry.key);
            let write = Write {
                server,
                kind,
                served: kind,
                namespace,
                subresource: "",
                dry_run: false,
                identity: &identity,
                manager: None,
                warnings: &warnings,
                annotations: &annotations,
            };
            match registry::delete(write, name, &DeleteOptions::default()).await {
                Ok(registry::Deleted::Gone(..)) => {}
                Err(error) if error.reason == Reason::NotFound => {}
                Ok(registry::Deleted::Pending(_)) => left = true,
                Err(error) => {
                    tracing::warn!(key = %entry.key, %error, "cannot delete a custom resource");
                    left = true;
                }
            }
        }
    }
}
