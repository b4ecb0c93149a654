//! What is configured at the moment, compiled: a view of the store that is brought up to date when
//! a write looks at it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use serde::de::DeserializeOwned;

use super::policy::{Binding, MutatingPolicy, ValidatingPolicy};
use super::webhook::Hook;
use crate::config::Dialer;
use crate::registry::View;

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

pub(super) struct Configurations {
    /// How webhooks are reached.
    dialer: Arc<dyn Dialer>,
    /// By key, so that the order is that of the names.
    items: BTreeMap<String, Item>,
    current: Arc<Configured>,
}

impl View for Configurations {
    const PREFIX: &'static str = "/registry/admissionregistration.k8s.io/";

    fn put(&mut self, key: &str, value: &Bytes) {
        match item(&self.dialer, key, value) {
            Ok(Some(item)) => drop(self.items.insert(key.to_owned(), item)),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(key, %error, "a stored object cannot be read");
                self.items.remove(key);
            }
        }
    }

    fn remove(&mut self, key: &str) {
        self.items.remove(key);
    }

    fn settle(&mut self) {
        self.current = Arc::new(self.arranged());
    }
}

impl Configurations {
    pub(super) fn new(dialer: Arc<dyn Dialer>) -> Self {
        Self { dialer, items: BTreeMap::new(), current: Arc::default() }
    }

    pub(super) fn current(&self) -> Arc<Configured> {
        self.current.clone()
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

fn item(dialer: &Arc<dyn Dialer>, key: &str, value: &Bytes) -> serde_json::Result<Option<Item>> {
    fn read<T: DeserializeOwned>(value: &Bytes) -> serde_json::Result<T> {
        serde_json::from_slice(value)
    }
    let resource = key.strip_prefix(Configurations::PREFIX).and_then(|rest| rest.split('/').next());
    Ok(Some(match resource {
        Some("mutatingwebhookconfigurations") => {
            let configuration: MutatingWebhookConfiguration = read(value)?;
            let hooks = configuration.webhooks.unwrap_or_default();
            let name = configuration.metadata.name.unwrap_or_default();
            let hook = |hook| Arc::new(Hook::mutating(dialer, &name, hook));
            Item::Mutating(hooks.into_iter().map(hook).collect())
        }
        Some("validatingwebhookconfigurations") => {
            let configuration: ValidatingWebhookConfiguration = read(value)?;
            let hooks = configuration.webhooks.unwrap_or_default();
            let name = configuration.metadata.name.unwrap_or_default();
            let hook = |hook| Arc::new(Hook::validating(dialer, &name, hook));
            Item::Validating(hooks.into_iter().map(hook).collect())
        }
        Some("validatingadmissionpolicies") => {
            let policy: ValidatingAdmissionPolicy = read(value)?;
            Item::Policy(Arc::new(ValidatingPolicy::new(policy)))
        }
        Some("validatingadmissionpolicybindings") => {
            let binding: ValidatingAdmissionPolicyBinding = read(value)?;
            Item::PolicyBinding(Arc::new(binding.into()))
        }
        Some("mutatingadmissionpolicies") => {
            let policy: MutatingAdmissionPolicy = read(value)?;
            Item::Mutation(Arc::new(MutatingPolicy::new(policy)))
        }
        Some("mutatingadmissionpolicybindings") => {
            let binding: MutatingAdmissionPolicyBinding = read(value)?;
            Item::MutationBinding(Arc::new(binding.into()))
        }
        _ => return Ok(None),
    }))
}
