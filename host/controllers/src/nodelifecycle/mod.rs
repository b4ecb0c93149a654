//! Nodes that live and nodes that are lost: a node whose lease is no longer renewed is `Unknown`, its
//! pods are not ready, and taints tell the scheduler and `tainteviction`. What follows from a node's
//! conditions is computed in `judge`, purely.

mod judge;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use coracle_api::clock;
use coracle_api::conditions::{self, Condition};
use coracle_api::pods;
use futures::future::{BoxFuture, join_all};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::Instant;

use crate::backends::node_name;
use crate::context::Context;
use crate::error::{Result, While, all};
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 8;
const LEASES: &str = "kube-node-lease";
/// How long a node may take until it says anything at all.
const STARTUP: Duration = Duration::from_secs(60);
/// Between two nodes whose pods are to leave.
const EVICTION_PERIOD: Duration = Duration::from_secs(10);

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("node_lifecycle");
    let controller = Arc::new(Controller {
        context: context.clone(),
        seen: Mutex::default(),
        next_eviction: Mutex::new(None),
    });
    context.informers.nodes.on_change({
        let queue = queue.clone();
        let controller = Arc::downgrade(&controller);
        move |change| {
            let Some(node) = change.latest() else { return };
            let key = Key::of(&**node);
            if let (None, Some(controller)) = (&change.new, controller.upgrade()) {
                controller.forget(&key.name);
            }
            queue.add(key);
        }
    });
    context.informers.leases.on_change({
        let queue = queue.clone();
        let controller = Arc::downgrade(&controller);
        move |change| {
            let (Some(lease), Some(controller)) = (&change.new, controller.upgrade()) else {
                return;
            };
            let name = lease.metadata.name.clone().unwrap_or_default();
            // A living node is looked at when its time is up, not at each sign of life.
            if controller.saw_lease(&name, lease) {
                queue.add(Key::new("", name));
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, WORKERS, Shared(controller));
    Box::pin(async move {
        waiting.informers.nodes.synced().await;
        waiting.informers.leases.synced().await;
        waiting.informers.pods.synced().await;
        runner.run().await;
    })
}

struct Shared(Arc<Controller>);

#[async_trait]
impl Reconcile<Key> for Shared {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        self.0.look(key).await
    }
}

struct Controller {
    context: Context,
    seen: Mutex<HashMap<String, Seen>>,
    /// When the pods of the next lost node may be told to leave.
    next_eviction: Mutex<Option<Instant>>,
}

/// The last signs of life of a node, and when they were seen here: clocks of nodes do not count.
#[derive(Debug)]
struct Seen {
    renewed: Option<MicroTime>,
    heartbeat: Option<Time>,
    at: Instant,
    is_lost: bool,
}

impl Controller {
    fn with_seen<T>(&self, name: &str, change: impl FnOnce(&mut Seen) -> T) -> T {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Seen { renewed: None, heartbeat: None, at: Instant::now(), is_lost: false };
        change(all.entry(name.to_owned()).or_insert_with(new))
    }

    fn forget(&self, name: &str) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Takes a lease's renewal for a sign of life; answers whether it comes from a lost node.
    fn saw_lease(&self, name: &str, lease: &Lease) -> bool {
        let renewed = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
        self.with_seen(name, |seen| {
            if seen.renewed == renewed {
                return false;
            }
            seen.renewed = renewed;
            seen.at = Instant::now();
            std::mem::take(&mut seen.is_lost)
        })
    }

    /// Since when the node has been silent.
    fn silent_since(&self, node: &Node) -> Instant {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let heartbeat = ready(node).and_then(|ready| ready.last_heartbeat_time.clone());
        let key = Key::new(LEASES, name);
        if let Some(lease) = self.context.informers.leases.get(&key) {
            self.saw_lease(name, &lease);
        }
        self.with_seen(name, |seen| {
            if seen.heartbeat != heartbeat {
                seen.heartbeat = heartbeat;
                // Our own verdict is no sign of life.
                if ready(node).is_some_and(|ready| ready.status != "Unknown") {
                    seen.at = Instant::now();
                }
            }
            seen.at
        })
    }

    async fn look(&self, key: &Key) -> Result<Next> {
        let informers = &self.context.informers;
        let Some(node) = informers.nodes.get(key) else { return Ok(Next::Wait) };
        let never = ready(&node).is_none();
        let grace = if never {
            STARTUP.max(self.context.options.node_grace_period)
        } else {
            self.context.options.node_grace_period
        };
        let due = self.silent_since(&node) + grace;
        let lost = Instant::now() >= due;
        self.with_seen(&key.name, |seen| seen.is_lost = lost);
        let node = if lost { self.mark_unknown(node).await? } else { node };

        let state = judge::state(&node);
        let evict = match state {
            judge::State::Ready => true,
            _ if never && !lost => false,
            _ => self.may_evict(&node),
        };
        let node = self.set_taints(node, evict).await?;
        if state != judge::State::Ready && (lost || !never) {
            self.unready_pods(&node).await?;
        }
        if !lost {
            return Ok(Next::After(due.saturating_duration_since(Instant::now())));
        }
        // Whether pods must leave may change with the other nodes.
        Ok(if evict { Next::Wait } else { Next::After(EVICTION_PERIOD) })
    }

    /// Says that nobody knows how the node is.
    async fn mark_unknown(&self, node: Arc<Node>) -> Result<Arc<Node>> {
        let Some(status) = judge::unknown(&node) else { return Ok(node) };
        let was_ready = judge::state(&node) == judge::State::Ready;
        let name = node.metadata.name.clone().unwrap_or_default();
        let changed = Node { status: Some(status), ..(*node).clone() };
        let api = Api::<Node>::all(self.context.client.clone());
        let written = api.replace_status(&name, &PostParams::default(), &changed).await;
        let written = written.doing("writing a node's conditions")?;
        if was_ready {
            let message = format!("Node {name} status is now: NodeNotReady");
            self.context.events.normal(&*node, "NodeNotReady", message);
        }
        Ok(self.context.informers.nodes.observe(written))
    }

    /// Whether the pods of a lost node may be told to leave: not if no node is left to go to, not if
    /// it is rather the network than the nodes, and one node at a time.
    fn may_evict(&self, node: &Node) -> bool {
        let all = self.context.informers.nodes.all();
        if !judge::disruption_permits(&all, node) {
            return false;
        }
        if judge::is_told_to_leave(node) {
            return true;
        }
        let mut next = self.next_eviction.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if next.is_some_and(|next| now < next) {
            return false;
        }
        *next = Some(now + EVICTION_PERIOD);
        true
    }

    async fn set_taints(&self, node: Arc<Node>, evict: bool) -> Result<Arc<Node>> {
        let present = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        let wanted = judge::taints(&node, evict, clock::now());
        if same(&present, &wanted) {
            return Ok(node);
        }
        let name = node.metadata.name.clone().unwrap_or_default();
        let patch = json!({
            "metadata": {"resourceVersion": node.metadata.resource_version},
            "spec": {"taints": wanted},
        });
        let api = Api::<Node>::all(self.context.client.clone());
        let patched = api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
        Ok(self.context.informers.nodes.observe(patched.doing("tainting a node")?))
    }

    /// The pods of a node that is not ready are not ready either.
    async fn unready_pods(&self, node: &Node) -> Result<()> {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let pods = self.context.informers.pods.all();
        let here = pods.iter().filter(|pod| node_name(pod).as_deref() == Some(name));
        let ready = here.filter(|pod| pods::is_ready(pod) && !pods::is_terminal(pod));
        all(join_all(ready.map(|pod| self.unready(pod))).await)?;
        Ok(())
    }

    async fn unready(&self, pod: &Arc<Pod>) -> Result<()> {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let Some(old) = conditions::find(conditions, "Ready") else { return Ok(()) };
        let condition = PodCondition {
            status: "False".to_owned(),
            last_transition_time: Some(Time(clock::now())),
            ..old.clone()
        };
        let patch = json!({
            "metadata": {"uid": pod.metadata.uid},
            "status": {"conditions": [condition]},
        });
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::<Pod>::namespaced(self.context.client.clone(), namespace);
        let patch = Patch::Strategic(patch);
        let patched = api.patch_status(name, &PatchParams::default(), &patch).await;
        match patched.doing("marking a lost node's pod") {
            Ok(patched) => {
                self.context.informers.pods.observe(patched);
                self.context.events.warning(&**pod, "NodeNotReady", "Node is not ready");
                Ok(())
            }
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn ready(node: &Node) -> Option<&k8s_openapi::api::core::v1::NodeCondition> {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions::find(conditions, "Ready").filter(|ready| !ready.status().is_empty())
}

/// Whether two lists repel the same pods.
fn same(a: &[Taint], b: &[Taint]) -> bool {
    let contains = |list: &[Taint], taint: &Taint| {
        list.iter().any(|one| {
            (&one.key, &one.value, &one.effect) == (&taint.key, &taint.value, &taint.effect)
        })
    };
    a.len() == b.len() && a.iter().all(|taint| contains(b, taint))
}
