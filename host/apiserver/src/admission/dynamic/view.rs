//! What is configured at the moment, compiled. Follows the store by a watch that is drained by
//! whoever asks, so that a write sees every configuration that was acknowledged before it, and
//! nothing has to run beside requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_store::{Entry, Error as StoreError, Range, Watch};
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::policy::{Binding, MutatingPolicy, ValidatingPolicy};
use super::webhook::Hook;
use crate::error::Result;
use crate::server::Server;

const PREFIX: &str = "/registry/admissionregistration.k8s.io/";

/// Everything that is configured, in the order in which it is asked.
#[derive(Default)]
pub(super) struct Configured {
    pub(super) mutating: Vec<Arc<Hook>>,
    pub(super) validating: Vec<Arc<Hook>>,
    /// With the bindings that put them into force.
    pub(super) policies: Vec<(Arc<ValidatingPolicy>, Vec<Arc<Binding>>)>,
    pub(super) mutations: Vec<(Arc<MutatingPolicy>, Vec<Arc<Binding>>)>,
}

/// One object, compiled.
enum Item {
    Mutating(Vec<Arc<Hook>>),
    Validating(Vec<Arc<Hook>>),
    Policy(Arc<ValidatingPolicy>),
    PolicyBinding(Arc<Binding>),
    Mutation(Arc<MutatingPolicy>),
    MutationBinding(Arc<Binding>),
}

#[derive(Default)]
struct State {
    watch: Option<Watch>,
    /// By key, so that the order is that of the names.
    items: BTreeMap<Arc<str>, Item>,
    current: Arc<Configured>,
}

#[derive(Default)]
pub(super) struct View(Mutex<State>);

impl View {
    pub(super) async fn current(&self, server: &Server) -> Result<Arc<Configured>> {
        let mut state = self.0.lock().await;
        let mut changed = false;
        loop {
            let Some(watch) = &mut state.watch else {
                state.restart(server).await?;
                changed = true;
                continue;
            };
            // What is queued is there to be had, whatever the task has done before.
            match tokio::task::unconstrained(watch.next()).now_or_never() {
                None => break,
                Some(Some(Ok(event))) => {
                    changed = true;
                    if event.deleted {
                        state.items.remove(&event.entry.key);
                    } else {
                        state.read(server, &event.entry);
                    }
                }
                Some(Some(Err(StoreError::Lagged))) => state.watch = None,
                Some(Some(Err(error))) => return Err(error.into()),
                Some(None) => return Err(StoreError::Closed.into()),
            }
        }
        if changed {
            state.current = Arc::new(state.arranged());
        }
        Ok(state.current.clone())
    }
}

impl State {
    async fn restart(&mut self, server: &Server) -> Result<()> {
        let page = server.store.range(PREFIX, Range::default()).await?;
        self.items.clear();
        for entry in &page.entries {
            self.read(server, entry);
        }
        self.watch = Some(server.store.watch(PREFIX, page.revision).await?);
        Ok(())
    }

    fn read(&mut self, server: &Server, entry: &Entry) {
        match item(server, entry) {
            Ok(Some(item)) => drop(self.items.insert(entry.key.clone(), item)),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(key = %entry.key, %error, "a stored object cannot be read");
                self.items.remove(&entry.key);
            }
        }
    }

    fn arranged(&self) -> Configured {
        let bound = |policy: &str, of: fn(&Item) -> Option<&Arc<Binding>>| -> Vec<Arc<Binding>> {
            let bindings = self.items.values().filter_map(of);
            bindings.filter(|binding| binding.policy == policy).cloned().collect()
        };
        let mut configured = Configured::default();
        for item in self.items.values() {
            match item {
                Item::Mutating(hooks) => configured.mutating.extend(hooks.iter().cloned()),
                Item::Validating(hooks) => configured.validating.extend(hooks.iter().cloned()),
                Item::Policy(policy) => {
                    let bindings = bound(&policy.name, |item| match item {
                        Item::PolicyBinding(binding) => Some(binding),
                        _ => None,
                    });
                    // A policy that nothing puts into force does nothing.
                    if !bindings.is_empty() {
                        configured.policies.push((policy.clone(), bindings));
                    }
                }
                Item::Mutation(policy) => {
                    let bindings = bound(&policy.name, |item| match item {
                        Item::MutationBinding(binding) => Some(binding),
                        _ => None,
                    });
                    if !bindings.is_empty() {
                        configured.mutations.push((policy.clone(), bindings));
                    }
                }
                Item::PolicyBinding(_) | Item::MutationBinding(_) => {}
            }
        }
        configured
    }
}

fn item(server: &Server, entry: &Entry) -> serde_json::Result<Option<Item>> {
    fn read<T: DeserializeOwned>(entry: &Entry) -> serde_json::Result<T> {
        serde_json::from_slice(&entry.value)
    }
    let resource = entry.key.strip_prefix(PREFIX).and_then(|rest| rest.split('/').next());
    Ok(Some(match resource {
        Some("mutatingwebhookconfigurations") => {
            let configuration: MutatingWebhookConfiguration = read(entry)?;
            let hooks = configuration.webhooks.unwrap_or_default();
            let name = configuration.metadata.name.unwrap_or_default();
            let hook = |hook| Arc::new(Hook::mutating(&server.dialer, &name, hook));
            Item::Mutating(hooks.into_iter().map(hook).collect())
        }
        Some("validatingwebhookconfigurations") => {
            let configuration: ValidatingWebhookConfiguration = read(entry)?;
            let hooks = configuration.webhooks.unwrap_or_default();
            let name = configuration.metadata.name.unwrap_or_default();
            let hook = |hook| Arc::new(Hook::validating(&server.dialer, &name, hook));
            Item::Validating(hooks.into_iter().map(hook).collect())
        }
        Some("validatingadmissionpolicies") => {
            let policy: ValidatingAdmissionPolicy = read(entry)?;
            Item::Policy(Arc::new(ValidatingPolicy::new(policy)))
        }
        Some("validatingadmissionpolicybindings") => {
            let binding: ValidatingAdmissionPolicyBinding = read(entry)?;
            Item::PolicyBinding(Arc::new(binding.into()))
        }
        Some("mutatingadmissionpolicies") => {
            let policy: MutatingAdmissionPolicy = read(entry)?;
            Item::Mutation(Arc::new(MutatingPolicy::new(policy)))
        }
        Some("mutatingadmissionpolicybindings") => {
            let binding: MutatingAdmissionPolicyBinding = read(entry)?;
            Item::MutationBinding(Arc::new(binding.into()))
        }
        _ => return Ok(None),
    }))
}
