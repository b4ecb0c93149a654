//! A pod that was told it would be disrupted and is still there after two minutes will not be: its
//! `DisruptionTarget` condition is taken back.

use std::time::Duration;

use async_trait::async_trait;
use coracle_api::conditions::{self, Condition};
use coracle_api::{clock, pods};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::context::Context;
use crate::error::{Result, While};
use crate::runner::{Key, Next, Reconcile, Runner};

const TARGET: &str = "DisruptionTarget";
const TIMEOUT: SignedDuration = SignedDuration::from_mins(2);

/// The loop over pods that carry the condition.
pub(super) fn runner(context: &Context) -> Runner<Key> {
    let queue = context.queue("stale_pod_disruption");
    context.informers.pods.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(pod) = &change.new
                && let Some(wait) = stale_after(pod, clock::now())
            {
                queue.add_after(Key::of(&**pod), wait);
            }
        }
    });
    context.runner(queue, 1, Stale { context: context.clone() })
}

/// After which time the pod's condition is no longer true; none if there is none, or if it may stay.
fn stale_after(pod: &Pod, now: Timestamp) -> Option<Duration> {
    if !pods::is_active(pod) {
        return None;
    }
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    let target = conditions::find(conditions, TARGET)?;
    // What a node announces may take as long as it likes.
    if !target.is_true() || target.reason() == "TerminationByKubelet" {
        return None;
    }
    let since = target.last_transition().map_or(now, |time| time.0);
    Some(Duration::try_from(TIMEOUT - now.duration_since(since)).unwrap_or_default())
}

struct Stale {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Stale {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let Some(pod) = informers.pods.get(key) else { return Ok(Next::Wait) };
        match stale_after(&pod, clock::now()) {
            None => return Ok(Next::Wait),
            Some(wait) if !wait.is_zero() => return Ok(Next::After(wait)),
            Some(_) => {}
        }
        let api = Api::<Pod>::namespaced(client.clone(), &key.namespace);
        let condition = PodCondition::new(TARGET, "False", "", "");
        let mut condition = json!(condition);
        // What is not said would stay.
        condition["reason"] = json!(null);
        condition["message"] = json!(null);
        let patch = json!({"metadata": {"uid": pod.metadata.uid},
            "status": {"conditions": [condition]}});
        let params = PatchParams::default();
        let patched = api.patch_status(&key.name, &params, &Patch::Strategic(patch)).await;
        match patched.doing("taking back an announced disruption") {
            Ok(patched) => {
                informers.pods.observe(patched);
                Ok(Next::Wait)
            }
            Err(error) if error.is_not_found() => Ok(Next::Wait),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn only_what_stays_undisrupted_is_stale() {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let target = |reason: &str, status: &str| {
            json!([{"type": TARGET, "status": status, "reason": reason,
                "lastTransitionTime": "2026-01-01T00:00:00Z"}])
        };
        let evicted = || target("EvictionByEvictionAPI", "True");
        let waits = Some(Duration::from_secs(60));
        for (conditions, phase, going, expected) in [
            (evicted(), "Running", Value::Null, waits),
            (evicted(), "Running", json!("2026-01-01T00:00:00Z"), None),
            (evicted(), "Failed", Value::Null, None),
            (target("TerminationByKubelet", "True"), "Running", Value::Null, None),
            (target("", "False"), "Running", Value::Null, None),
            (json!([]), "Running", Value::Null, None),
        ] {
            let pod = json!({"metadata": {"name": "p", "deletionTimestamp": going},
                "status": {"phase": phase, "conditions": conditions}});
            let text = pod.to_string();
            let pod = serde_json::from_value(pod).unwrap();
            assert_eq!(stale_after(&pod, now), expected, "{text}");
        }
    }
}
