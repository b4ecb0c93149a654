//! Keeps the table of kinds to what the stored definitions say.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use coracle_schema::managed::owners_in;
use coracle_store::{Entry, Error as StoreError, Range, Revision};
use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use tokio::sync::{Mutex, OnceCell};

use super::finalizing;
use super::naming::{self, Taken};
use super::serving::Served;
use super::way;
use crate::error::{ApiError, Result};
use crate::registry::{Kind, encode, prefix};
use crate::server::Server;
use crate::timeouts;

/// Group and plural name of definitions themselves.
const GROUP: &str = "apiextensions.k8s.io";
const PLURAL: &str = "customresourcedefinitions";
/// How often a pass is begun anew because somebody else changed a definition meanwhile.
const ATTEMPTS: usize = 16;

/// The definitions as they were last seen, and what is served of them.
#[derive(Default)]
pub(crate) struct Definitions {
    seen_once: OnceCell<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Definitions that were read, at their revision.
    read: HashMap<Arc<str>, (Revision, Arc<CustomResourceDefinition>)>,
    /// By name.
    served: BTreeMap<String, Served>,
}

/// A definition, and the entry that it was read from.
struct Stored {
    entry: Arc<Entry>,
    crd: Arc<CustomResourceDefinition>,
}

impl Definitions {
    /// Whether that is what definitions are called.
    pub(crate) fn are(group: &str, plural: &str) -> bool {
        (group, plural) == (GROUP, PLURAL)
    }

    /// Returns when the definitions that were stored before the server began are served.
    pub(crate) async fn ready(&self, server: &Arc<Server>) -> Result<()> {
        self.seen_once.get_or_try_init(|| async { self.settle(server).await.map(drop) }).await?;
        Ok(())
    }

    /// Brings conditions, table and objects one step to where the definitions want them. Returns
    /// whether there is more to do that no change will tell of.
    pub(crate) async fn settle(&self, server: &Arc<Server>) -> Result<bool> {
        let Some(kind) = server.registry.kind(GROUP, PLURAL) else { return Ok(false) };
        let mut state = self.state.lock().await;
        for _ in 0..ATTEMPTS {
            let stored = state.read(server, &*kind).await?;
            if grant(server, stored.as_slice()).await? {
                continue;
            }
            state.serve(server, &stored);
            let step = finalizing::step(server, &state.served, &stored_pairs(&stored)).await?;
            match step {
                finalizing::Step::Again => {}
                finalizing::Step::Done => return Ok(false),
                finalizing::Step::Wait => return Ok(true),
            }
        }
        Ok(true)
    }

    /// Settles whenever a definition changes, for ever.
    pub(crate) async fn run(&self, server: &Arc<Server>) {
        loop {
            if let Err(error) = self.follow(server).await {
                tracing::warn!(%error, "cannot follow the custom resource definitions");
            }
            tokio::time::sleep(timeouts::DEFINITIONS_RETRY).await;
        }
    }

    async fn follow(&self, server: &Arc<Server>) -> Result<()> {
        let Some(kind) = server.registry.kind(GROUP, PLURAL) else { return Ok(()) };
        let revision = server.store.revision().await?;
        let mut watch = server.store.watch(&prefix(kind.names(), ""), revision).await?;
        loop {
            let more = self.settle(server).await?;
            tokio::select! {
                event = watch.next() => match event {
                    Some(event) => drop(event?),
                    None => return Ok(()),
                },
                () = tokio::time::sleep(timeouts::DEFINITIONS_RETRY), if more => {}
            }
        }
    }
}

fn stored_pairs(stored: &[Stored]) -> Vec<(&Arc<Entry>, &CustomResourceDefinition)> {
    stored.iter().map(|stored| (&stored.entry, &*stored.crd)).collect()
}

/// Writes the conditions that follow from names. Returns whether anything was written.
async fn grant(server: &Server, stored: &[Stored]) -> Result<bool> {
    let mut written = false;
    for one in stored {
        let mut taken = Taken::default();
        let others = stored.iter().filter(|other| {
            other.crd.spec.group == one.crd.spec.group && other.entry.key != one.entry.key
        });
        others.for_each(|other| taken.add(&other.crd));
        // Versions are large, and have no say here.
        let mut crd = naming::without_versions(&one.crd);
        naming::settle(&mut crd, &taken);
        if crd.status != one.crd.status {
            let status = crd.status;
            let crd =
                CustomResourceDefinition { status, ..CustomResourceDefinition::clone(&one.crd) };
            put(server, &one.entry, crd).await?;
            written = true;
            // What is granted to one is not free for the next.
            break;
        }
    }
    Ok(written)
}

/// Writes a definition; somebody who was faster is no error, since everything is looked at again.
pub(super) async fn put(
    server: &Server,
    entry: &Entry,
    mut crd: CustomResourceDefinition,
) -> Result<()> {
    let value = encode(&mut crd, owners_in(&entry.value)).map_err(ApiError::internal)?;
    let held = crd.metadata.finalizers.as_ref().is_some_and(|list| !list.is_empty());
    let written = if crd.metadata.deletion_timestamp.is_some() && !held {
        server.store.delete(&entry.key, value, entry.modified).await
    } else {
        server.store.update(&entry.key, value, entry.modified).await
    };
    match written {
        Ok(_) | Err(StoreError::Conflict { .. } | StoreError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl State {
    /// Every definition; only those that changed are read anew.
    async fn read(&mut self, server: &Server, kind: &dyn Kind) -> Result<Vec<Stored>> {
        let page = server.store.range(&prefix(kind.names(), ""), Range::default()).await?;
        let mut read = HashMap::with_capacity(page.entries.len());
        let mut stored = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            let known = self.read.remove(&entry.key);
            let crd = match known.filter(|(revision, _)| *revision == entry.modified) {
                Some((_, crd)) => crd,
                None => {
                    let object = kind.restore(&entry.value)?;
                    let Some(crd) = object.downcast_ref::<CustomResourceDefinition>() else {
                        continue;
                    };
                    Arc::new(crd.clone())
                }
            };
            read.insert(entry.key.clone(), (entry.modified, crd.clone()));
            stored.push(Stored { entry, crd });
        }
        self.read = read;
        Ok(stored)
    }

    /// Makes the table serve what is established.
    fn serve(&mut self, server: &Arc<Server>, stored: &[Stored]) {
        let mut before = std::mem::take(&mut self.served);
        let mut changed = false;
        for Stored { crd, .. } in stored {
            let name = crd.metadata.name.clone().unwrap_or_default();
            if !coracle_kinds::apiextensions::approval::established(crd) {
                continue;
            }
            let known = before.remove(&name);
            let served = match known {
                Some(known) if known.is_of(crd) => known,
                known => {
                    if let Some(known) = known {
                        before.insert(name.clone(), known);
                    }
                    changed = true;
                    match Served::new(crd, |config| way::to(server, config)) {
                        Ok(served) => served,
                        Err(error) => {
                            tracing::error!(name, error, "a definition cannot be served");
                            continue;
                        }
                    }
                }
            };
            self.served.insert(name, served);
        }
        if changed || !before.is_empty() {
            let kinds = self.served.values().flat_map(|served| served.kinds.iter().cloned());
            server.registry.define(kinds);
        }
        // Those who watch the old kinds begin anew on the new ones.
        before.values().for_each(|gone| gone.retired.cancel());
    }
}
