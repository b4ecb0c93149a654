//! The rules of ClusterRoles that are made of others' (`pkg/controller/clusterroleaggregation`).

use std::collections::BTreeMap;

use async_trait::async_trait;
use coracle_api::selector::Selector;
use futures::future::BoxFuture;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Api;
use kube::api::PostParams;

use crate::context::Context;
use crate::error::{Result, While};
use crate::runner::{Key, Next, Reconcile};

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("clusterroleaggregation");
    context.informers.cluster_roles.on_change({
        let (queue, context) = (queue.clone(), context.clone());
        move |_| {
            // Any role may be a part of any that is made of others; there are few of those.
            for role in context.informers.cluster_roles.all() {
                if role.aggregation_rule.is_some() {
                    queue.add(Key::of(&*role));
                }
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, 1, Aggregation { context: context.clone() });
    Box::pin(async move {
        waiting.informers.cluster_roles.synced().await;
        runner.run().await;
    })
}

struct Aggregation {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Aggregation {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let Some(role) = informers.cluster_roles.get(key) else { return Ok(Next::Wait) };
        let Some(rule) = &role.aggregation_rule else { return Ok(Next::Wait) };
        let selectors = rule.cluster_role_selectors.as_deref().unwrap_or_default();
        let all = informers.cluster_roles.all();
        let wanted = collected(&role, selectors, all.iter().map(|role| &**role));
        if wanted == role.rules.as_deref().unwrap_or_default() {
            return Ok(Next::Wait);
        }
        let changed = ClusterRole { rules: Some(wanted), ..(*role).clone() };
        let api = Api::<ClusterRole>::all(client.clone());
        let written = api.replace(&key.name, &PostParams::default(), &changed).await;
        informers.cluster_roles.observe(written.doing("writing the rules of a ClusterRole")?);
        Ok(Next::Wait)
    }
}

/// The rules of all roles that a selector matches, in the order of names, each once.
fn collected<'a>(
    own: &ClusterRole,
    selectors: &[LabelSelector],
    all: impl Iterator<Item = &'a ClusterRole>,
) -> Vec<PolicyRule> {
    let selectors: Vec<Selector> =
        selectors.iter().filter_map(|selector| Selector::try_from(selector).ok()).collect();
    let nothing = BTreeMap::new();
    let parts = all.filter(|role| {
        let labels = role.metadata.labels.as_ref().unwrap_or(&nothing);
        role.metadata.name != own.metadata.name
            && selectors.iter().any(|selector| selector.matches(labels))
    });
    let mut rules: Vec<PolicyRule> = vec![];
    for rule in parts.flat_map(|role| role.rules.iter().flatten()) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn role(name: &str, labels: Value, verbs: &[&str]) -> ClusterRole {
        let rules: Vec<_> = verbs
            .iter()
            .map(|verb| json!({ "verbs": [verb], "apiGroups": [""], "resources": ["pods"] }))
            .collect();
        let role = json!({ "metadata": { "name": name, "labels": labels }, "rules": rules });
        serde_json::from_value(role).unwrap()
    }

    #[test]
    fn rules_come_from_every_part_once() {
        let label = json!({ "part": "yes" });
        let whole = role("whole", label.clone(), &["watch"]);
        let all = [
            role("a", label.clone(), &["get", "list"]),
            role("b", label, &["list", "create"]),
            role("other", json!({}), &["delete"]),
            whole.clone(),
        ];
        let selector: LabelSelector =
            serde_json::from_value(json!({ "matchLabels": { "part": "yes" } })).unwrap();
        let verbs = |selectors: &[LabelSelector]| -> Vec<String> {
            let rules = collected(&whole, selectors, all.iter());
            rules.into_iter().flat_map(|rule| rule.verbs).collect()
        };
        assert_eq!(verbs(&[selector]), ["get", "list", "create"]);
        assert!(verbs(&[]).is_empty());
    }
}
