//! Pods on nodes with taints that make pods leave: each goes at once, or when the time is up for which
//! it tolerates the taints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use coracle_api::conditions::{self, Condition};
use coracle_api::{clock, pods, tolerations};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition, Taint, Toleration};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;

use crate::backends::node_name;
use crate::context::Context;
use crate::error::{Result, While};
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 8;

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("taint_eviction");
    context.informers.pods.on_change({
        let queue = queue.clone();
        move |change| {
            // Only where a pod is, and what it tolerates, matters.
            let facts =
                |pod: &Pod| (node_name(pod), pod.spec.as_ref().map(|s| s.tolerations.clone()));
            let (old, new) = (change.old.as_deref().map(facts), change.new.as_deref().map(facts));
            if old != new
                && let Some(pod) = change.latest()
            {
                queue.add(Key::of(&**pod));
            }
        }
    });
    context.informers.nodes.on_change({
        let queue = queue.clone();
        let informers = Arc::downgrade(&context.informers);
        move |change| {
            let taints =
                |node: Option<&Arc<Node>>| node.map(|node| leaving(node)).unwrap_or_default();
            let (old, new) = (taints(change.old.as_ref()), taints(change.new.as_ref()));
            let (Some(node), Some(informers)) = (change.latest(), informers.upgrade()) else {
                return;
            };
            if old == new {
                return;
            }
            for pod in informers.pods.all() {
                if node_name(&pod) == node.metadata.name {
                    queue.add(Key::of(&*pod));
                }
            }
        }
    });
    let waiting = context.clone();
    let evictions = Evictions { context: context.clone(), since: Mutex::default() };
    let runner = context.runner(queue, WORKERS, evictions);
    Box::pin(async move {
        waiting.informers.nodes.synced().await;
        waiting.informers.pods.synced().await;
        runner.run().await;
    })
}

/// The taints of a node that make pods leave.
fn leaving(node: &Node) -> Vec<Taint> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    taints.into_iter().filter(|taint| taint.effect == "NoExecute").collect()
}

struct Evictions {
    context: Context,
    /// Since when taints without a time have been seen by a pod.
    since: Mutex<HashMap<Key, Timestamp>>,
}

/// When a pod must leave a node.
#[derive(Debug, PartialEq, Eq)]
enum Leave {
    Never,
    /// This long after the taints began.
    After(Duration),
}

fn judge(taints: &[Taint], tolerations: &[Toleration]) -> Leave {
    let mut shortest: Option<Duration> = None;
    let mut forever = true;
    for taint in taints {
        let Some(toleration) = tolerations::bearing(tolerations, taint) else {
            return Leave::After(Duration::ZERO);
        };
        if let Some(seconds) = toleration.toleration_seconds {
            let time = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            shortest = Some(shortest.map_or(time, |shortest| shortest.min(time)));
            forever = false;
        }
    }
    if forever { Leave::Never } else { Leave::After(shortest.unwrap_or_default()) }
}

#[async_trait]
impl Reconcile<Key> for Evictions {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let informers = &self.context.informers;
        let pod = informers.pods.get(key).filter(|pod| pods::is_active(pod));
        let node = pod.as_ref().and_then(|pod| node_name(pod));
        let node = node.and_then(|node| informers.nodes.get(&Key::new("", node)));
        let taints = node.map(|node| leaving(&node)).unwrap_or_default();
        let Some(pod) = pod.filter(|_| !taints.is_empty()) else {
            self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
            return Ok(Next::Wait);
        };
        let spec = pod.spec.as_ref();
        let tolerations = spec.and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        let Leave::After(tolerated) = judge(&taints, tolerations) else { return Ok(Next::Wait) };
        let left = left(self.began(key, &taints), tolerated, clock::now());
        if !left.is_zero() {
            return Ok(Next::After(left));
        }
        self.evict(&pod).await?;
        Ok(Next::Wait)
    }
}

fn left(began: Timestamp, tolerated: Duration, now: Timestamp) -> Duration {
    let passed = now.duration_since(began);
    let tolerated = SignedDuration::try_from(tolerated).unwrap_or(SignedDuration::MAX);
    Duration::try_from(tolerated.saturating_sub(passed)).unwrap_or_default()
}

impl Evictions {
    /// When the latest of the taints began.
    fn began(&self, key: &Key, taints: &[Taint]) -> Timestamp {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = *since.entry(key.clone()).or_insert_with(clock::now);
        let times =
            taints.iter().map(|taint| taint.time_added.as_ref().map_or(seen, |time| time.0));
        times.max().unwrap_or(seen)
    }

    async fn evict(&self, pod: &Arc<Pod>) -> Result<()> {
        let key = Key::of(&**pod);
        let api = Api::<Pod>::namespaced(self.context.client.clone(), &key.namespace);
        let message = format!("Marking for deletion Pod {key}");
        self.context.events.normal(&**pod, "TaintManagerEviction", message);

        let reason = "DeletionByTaintManager";
        let message = "Taint manager: deleting due to NoExecute taint";
        let mut conditions = pod.status.as_ref().and_then(|status| status.conditions.clone());
        let condition = PodCondition::new("DisruptionTarget", "True", reason, message);
        if conditions::set(&mut conditions, condition) {
            let target = conditions::find(conditions.as_ref(), "DisruptionTarget");
            let patch = Patch::Strategic(json!({
                "metadata": {"uid": pod.metadata.uid},
                "status": {"conditions": [target]},
            }));
            let patched = api.patch_status(&key.name, &PatchParams::default(), &patch).await;
            match patched.doing("marking a pod that must leave its node") {
                Ok(patched) => drop(self.context.informers.pods.observe(patched)),
                Err(error) if error.is_not_found() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let only_this = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
        match api.delete(&key.name, &params).await.doing("evicting a pod from a tainted node") {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taint(key: &str) -> Taint {
        serde_json::from_value(json!({"key": key, "effect": "NoExecute"})).unwrap()
    }

    fn bearing(key: &str, seconds: Option<i64>) -> Toleration {
        let toleration = json!({"key": key, "operator": "Exists", "tolerationSeconds": seconds});
        serde_json::from_value(toleration).unwrap()
    }

    #[test]
    fn pods_leave_as_their_tolerations_say() {
        let seconds = |seconds| Leave::After(Duration::from_secs(seconds));
        for (taints, tolerations, expected) in [
            (vec![taint("a")], vec![], seconds(0)),
            (vec![taint("a")], vec![bearing("a", None)], Leave::Never),
            (vec![taint("a")], vec![bearing("a", Some(300))], seconds(300)),
            (vec![taint("a")], vec![bearing("a", Some(-5))], seconds(0)),
            (vec![taint("a"), taint("b")], vec![bearing("a", None)], seconds(0)),
            (
                vec![taint("a"), taint("b")],
                vec![bearing("a", Some(300)), bearing("b", Some(30))],
                seconds(30),
            ),
            (
                vec![taint("a"), taint("b")],
                vec![bearing("a", None), bearing("b", Some(30))],
                seconds(30),
            ),
        ] {
            assert_eq!(judge(&taints, &tolerations), expected);
        }
    }

    #[test]
    fn the_time_left_counts_from_the_taint() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(left(at(100), Duration::from_secs(30), at(110)), Duration::from_secs(20));
        assert_eq!(left(at(100), Duration::from_secs(30), at(130)), Duration::ZERO);
        assert_eq!(left(at(100), Duration::from_secs(30), at(500)), Duration::ZERO);
    }
}
