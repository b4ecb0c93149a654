//! Pods that nobody else will take away: of nodes that are no more, never placed and asked to go, or
//! over and too many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use coracle_api::conditions::{self, Condition};
use coracle_api::pods;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::json;
use tokio::time::Instant;

use crate::backends::node_name;
use crate::context::Context;
use crate::error::{Result, While, all};
use crate::runner::{Key, Next, Reconcile};

/// How often everything is looked at.
const PERIOD: Duration = Duration::from_secs(20);
/// For how long a node must be missing.
const QUARANTINE: Duration = Duration::from_secs(40);

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("podgc");
    queue.add(Key::default());
    let waiting = context.clone();
    let collector = Collector { context: context.clone(), missing: Mutex::default() };
    let runner = context.runner(queue, 1, collector);
    Box::pin(async move {
        waiting.informers.pods.synced().await;
        waiting.informers.nodes.synced().await;
        runner.run().await;
    })
}

struct Collector {
    context: Context,
    /// Since when nodes that pods are on are missing.
    missing: Mutex<HashMap<String, Instant>>,
}

#[async_trait]
impl Reconcile<Key> for Collector {
    async fn reconcile(&self, _: &Key) -> Result<Next> {
        let pods = self.context.informers.pods.all();
        let mut results = Vec::new();
        for pod in self.orphaned(&pods).await? {
            results.push(self.fail_and_delete(&pod).await);
        }
        for pod in pods.iter().filter(|pod| pods::is_terminating(pod) && node_name(pod).is_none()) {
            results.push(self.delete(pod).await);
        }
        for pod in surplus(&pods, self.context.options.terminated_pod_threshold) {
            results.push(self.delete(&pod).await);
        }
        all(results)?;
        Ok(Next::After(PERIOD))
    }
}

/// The oldest of the pods that are over, beyond the first `threshold`.
fn surplus(pods: &[Arc<Pod>], threshold: usize) -> Vec<Arc<Pod>> {
    if threshold == 0 {
        return Vec::new();
    }
    let over = pods.iter().filter(|pod| pods::is_terminal(pod) && !pods::is_terminating(pod));
    let mut over: Vec<_> = over.cloned().collect();
    let Some(surplus) = over.len().checked_sub(threshold) else { return Vec::new() };
    over.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    over.truncate(surplus);
    over
}

impl Collector {
    /// The pods of nodes that have been missing for long enough.
    async fn orphaned(&self, pods: &[Arc<Pod>]) -> Result<Vec<Arc<Pod>>> {
        let nodes = &self.context.informers.nodes;
        let mut of_missing: HashMap<String, Vec<Arc<Pod>>> = HashMap::new();
        for pod in pods {
            if let Some(node) = node_name(pod)
                && nodes.get(&Key::new("", &node)).is_none()
            {
                of_missing.entry(node).or_default().push(pod.clone());
            }
        }
        let due: Vec<String> = {
            let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            missing.retain(|node, _| of_missing.contains_key(node));
            let now = Instant::now();
            let since = |node: &String| *missing.entry(node.clone()).or_insert(now);
            let waited = of_missing.keys().map(since).collect::<Vec<_>>();
            let due = of_missing.keys().zip(waited);
            due.filter(|(_, since)| now.duration_since(*since) >= QUARANTINE)
                .map(|(node, _)| node.clone())
                .collect()
        };
        let api = Api::<Node>::all(self.context.client.clone());
        let mut orphaned = Vec::new();
        for node in due {
            // What is held in memory may be late.
            if api.get_metadata_opt(&node).await.doing("making sure that a node is gone")?.is_none()
            {
                orphaned.extend(of_missing.remove(&node).unwrap_or_default());
            }
        }
        Ok(orphaned)
    }

    fn api(&self, pod: &Pod) -> Api<Pod> {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        Api::namespaced(self.context.client.clone(), namespace)
    }

    /// No kubelet will ever say that the pod is over: it is said here.
    async fn fail_and_delete(&self, pod: &Pod) -> Result<()> {
        if !pods::is_terminal(pod) {
            let mut status = pod.status.clone().unwrap_or_default();
            status.phase = Some("Failed".to_owned());
            let message = "PodGC: node no longer exists";
            let target = PodCondition::new("DisruptionTarget", "True", "DeletionByPodGC", message);
            conditions::set(&mut status.conditions, target);
            let patch = json!({
                "metadata": {"uid": pod.metadata.uid},
                "status": {"phase": status.phase, "conditions": status.conditions},
            });
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let patch = Patch::Strategic(patch);
            let patched = self.api(pod).patch_status(name, &PatchParams::default(), &patch).await;
            match patched.doing("failing an orphaned pod") {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        self.delete(pod).await
    }

    async fn delete(&self, pod: &Pod) -> Result<()> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let only_this = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams {
            preconditions: Some(only_this),
            ..DeleteParams::default().grace_period(0)
        };
        match self.api(pod).delete(name, &params).await.doing("taking a pod away") {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_oldest_of_those_that_are_over_go() {
        let pod = |name: &str, phase: &str, minute: u8| -> Arc<Pod> {
            let pod = json!({"metadata": {"name": name,
                "creationTimestamp": format!("2026-01-01T00:{minute:02}:00Z")},
                "status": {"phase": phase}});
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        let pods = [
            pod("c", "Failed", 3),
            pod("a", "Succeeded", 1),
            pod("running", "Running", 0),
            pod("b", "Succeeded", 2),
        ];
        let names = |threshold: usize| -> Vec<String> {
            surplus(&pods, threshold).iter().filter_map(|pod| pod.metadata.name.clone()).collect()
        };
        assert_eq!(names(1), ["a", "b"]);
        assert!(names(3).is_empty());
        assert!(names(0).is_empty(), "no threshold, no limit");
    }
}
