//! From a definition to its kinds, one a served version.

use std::cmp::Ordering;
use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionNames, WebhookClientConfig,
};
use tokio_util::sync::CancellationToken;

use super::conditions;
use super::conversion::Strategy;
use super::kind::CustomKind;
use super::naming;
use super::webhook::{Ask, Webhook};
use crate::registry::Kind;

/// What is served of a definition.
pub(super) struct Served {
    stamp: Stamp,
    /// The version in which objects are stored.
    pub(super) hub: Arc<CustomKind>,
    /// In the order in which clients should prefer them.
    pub(super) kinds: Vec<Arc<dyn Kind>>,
    pub(super) retired: CancellationToken,
}

/// What of a definition decides how it is served.
#[derive(PartialEq)]
struct Stamp {
    uid: Option<String>,
    generation: Option<i64>,
    names: Option<CustomResourceDefinitionNames>,
    terminating: bool,
    stored_versions: Option<Vec<String>>,
}

impl Stamp {
    fn of(crd: &CustomResourceDefinition) -> Self {
        Self {
            uid: crd.metadata.uid.clone(),
            generation: crd.metadata.generation,
            names: naming::accepted(crd).cloned(),
            terminating: conditions::is_true(crd, "Terminating"),
            stored_versions: crd.status.as_ref().and_then(|s| s.stored_versions.clone()),
        }
    }
}

impl Served {
    /// `way` leads to the webhook of a definition that has one.
    pub(super) fn new(
        crd: &CustomResourceDefinition,
        way: impl FnOnce(&WebhookClientConfig) -> Box<dyn Ask>,
    ) -> Result<Self, String> {
        let retired = CancellationToken::new();
        let versions = &crd.spec.versions;
        let storage =
            versions.iter().find(|version| version.storage).ok_or("no version is stored")?;
        let strategy = strategy(crd, way);
        let hub = CustomKind::new(crd, storage, None, strategy.clone(), retired.clone())?;
        let hub = Arc::new(hub);
        // Objects that were written under another schema, or in another version, are brought into
        // form when they are read.
        let mixed = crd.status.as_ref().and_then(|status| status.stored_versions.as_ref());
        let mixed = mixed.is_some_and(|stored| stored.len() > 1);
        let changed = mixed || crd.metadata.generation.is_some_and(|generation| generation > 1);
        let mut sorted: Vec<_> = versions.iter().filter(|version| version.served).collect();
        sorted.sort_by(|a, b| compare_versions(&a.name, &b.name));
        let mut kinds: Vec<Arc<dyn Kind>> = vec![];
        for version in sorted {
            if version.storage && !changed {
                kinds.push(hub.clone());
                continue;
            }
            let (of, strategy) = (Some(hub.clone()), strategy.clone());
            kinds.push(Arc::new(CustomKind::new(crd, version, of, strategy, retired.clone())?));
        }
        Ok(Self { stamp: Stamp::of(crd), hub, kinds, retired })
    }

    /// Whether this is what would be served of `crd`.
    pub(super) fn is_of(&self, crd: &CustomResourceDefinition) -> bool {
        self.stamp == Stamp::of(crd)
    }
}

fn strategy(
    crd: &CustomResourceDefinition,
    way: impl FnOnce(&WebhookClientConfig) -> Box<dyn Ask>,
) -> Strategy {
    let conversion = crd.spec.conversion.as_ref().filter(|given| given.strategy == "Webhook");
    let Some(webhook) = conversion.and_then(|conversion| conversion.webhook.as_ref()) else {
        return Strategy::None;
    };
    let Some(config) = &webhook.client_config else { return Strategy::None };
    let versions = &webhook.conversion_review_versions;
    Strategy::Webhook(Arc::new(Webhook::new(versions, way(config))))
}

/// The order of versions: stable before beta before alpha, the newer before the older, and then
/// whatever is called otherwise.
pub(crate) fn compare_versions(a: &str, b: &str) -> Ordering {
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => b.cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// `v2beta1` as stability, major and minor number.
fn parse(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, rest) = (rest.get(..end)?, rest.get(end..)?);
    let number = |text: &str| -> Option<u64> {
        if text.starts_with('0') { None } else { text.parse().ok() }
    };
    let major = number(major)?;
    for (stage, stability) in [("alpha", 0), ("beta", 1)] {
        if let Some(minor) = rest.strip_prefix(stage) {
            return Some((stability, major, number(minor)?));
        }
    }
    rest.is_empty().then_some((2, major, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_prefer_what_is_stable_and_new() {
        let mut versions =
            ["foo1", "v1beta1", "v3alpha2", "v10", "v2", "v11beta2", "v1", "v12alpha1", "foo10"];
        versions.sort_by(|a, b| compare_versions(a, b));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v11beta2", "v1beta1", "v12alpha1", "v3alpha2", "foo1", "foo10"]
        );
    }
}
