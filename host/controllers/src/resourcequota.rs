//! What the objects of a namespace take from its quotas, counted anew whenever something may have
//! been given back (`pkg/controller/resourcequota`). What is newly taken the API server charges
//! itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use coracle_api::quantity::Quantity;
use coracle_api::quota::{self, Amounts, Measured};
use coracle_api::{clock, pods};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, Pod, ResourceQuota, ResourceQuotaStatus, Service,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use kube::Api;
use kube::api::{ListParams, PostParams};
use tokio::task::{AbortHandle, JoinSet};

use crate::context::Context;
use crate::dynamic::{self, Discovered, Kind, MetadataOf, Slim};
use crate::error::{Result, While};
use crate::informer::Change;
use crate::list_watch::{self, Sink};
use crate::queue::Queue;
use crate::runner::{Key, Next, Reconcile};

const WORKERS: usize = 5;
/// How often everything is counted although nothing was heard of.
const PERIOD: Duration = Duration::from_secs(5 * 60);

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("resource_quota");
    let counter = Arc::new(Counter { context: context.clone(), queue, counted: Mutex::default() });
    let informers = &context.informers;
    let on = counter.clone();
    informers.resource_quotas.on_change(move |change| {
        let recounted = |quota: &ResourceQuota| {
            let status = quota.status.as_ref();
            (quota.spec.clone(), status.and_then(|status| status.hard.clone()))
        };
        let same = change.old.as_deref().map(recounted) == change.new.as_deref().map(recounted);
        if let Some(quota) = change.new.as_ref().filter(|_| !same) {
            on.queue.add(Key::of(&**quota));
        }
    });
    let on = counter.clone();
    informers.pods.on_change(move |change: &Change<Pod>| {
        let over = |pod: &Arc<Pod>| pods::is_terminal(pod);
        let ended = change.new.as_ref().is_none_or(over) && !change.old.as_ref().is_none_or(over);
        let gone = change.new.is_none();
        on.given_back(change.latest().filter(|_| ended || gone));
    });
    let on = counter.clone();
    informers.services.on_change(move |change: &Change<Service>| {
        let spec = |service: &Arc<Service>| service.spec.clone();
        let differs = change.old.as_ref().map(spec) != change.new.as_ref().map(spec);
        on.given_back(change.latest().filter(|_| change.old.is_some() && differs));
    });
    let on = counter.clone();
    informers.claims.on_change(move |change: &Change<PersistentVolumeClaim>| {
        on.given_back(change.latest().filter(|_| change.old.is_some()));
    });
    let runner = context.runner(counter.queue.clone(), WORKERS, Worker(counter));
    Box::pin(async move {
        context.informers.resource_quotas.synced().await;
        context.informers.pods.synced().await;
        context.informers.services.synced().await;
        context.informers.claims.synced().await;
        runner.run().await;
    })
}

/// The kinds whose objects are merely counted, each watched while some quota counts it.
#[derive(Default)]
struct Counted {
    discovered: Discovered,
    watches: HashMap<Arc<Kind>, AbortHandle>,
    tasks: JoinSet<()>,
}

struct Counter {
    context: Context,
    queue: Arc<Queue<Key>>,
    counted: Mutex<Counted>,
}

struct Worker(Arc<Counter>);

#[async_trait]
impl Reconcile<Key> for Worker {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let counter = &self.0;
        counter.forget_uncounted();
        let informers = &counter.context.informers;
        let Some(quota) = informers.resource_quotas.get(key) else { return Ok(Next::Wait) };
        let spec = quota.spec.clone().unwrap_or_default();
        let hard = spec.hard.clone().unwrap_or_default();
        let names: BTreeSet<_> = hard.keys().map(String::as_str).collect();
        let mut used: Amounts =
            names.iter().map(|name| ((*name).to_owned(), Quantity::ZERO)).collect();
        let mut count =
            |group: &str, plural: &str, objects: &mut dyn Iterator<Item = Measured<'_>>| {
                for object in objects.filter(|object| quota::in_scope(&spec, *object)) {
                    for (name, amount) in quota::usage(group, plural, object, clock::now()) {
                        if let Some(sum) = used.get_mut(&name) {
                            *sum += amount;
                        }
                    }
                }
            };
        let (pods, services) = (
            informers.pods.in_namespace(&key.namespace),
            informers.services.in_namespace(&key.namespace),
        );
        let claims = informers.claims.in_namespace(&key.namespace);
        count("", "pods", &mut pods.iter().map(|pod| Measured::Pod(pod)));
        count("", "services", &mut services.iter().map(|service| Measured::Service(service)));
        count("", "persistentvolumeclaims", &mut claims.iter().map(|claim| Measured::Claim(claim)));
        if quota::in_scope(&spec, Measured::Other) {
            for name in names {
                let Some((group, plural)) = counted_only(name) else { continue };
                let Some(kind) = counter.watched(group, plural).await? else { continue };
                let api = kind.api(&counter.context.client, &key.namespace);
                let page = api.list_metadata(&ListParams::default().limit(1)).await;
                let page = page.doing("counting objects")?;
                let rest = page.metadata.remaining_item_count.unwrap_or(0);
                let total =
                    i64::try_from(page.items.len()).unwrap_or(i64::MAX).saturating_add(rest);
                used.insert(name.to_owned(), Quantity::units(total));
            }
        }
        let used: BTreeMap<_, _> =
            used.into_iter().map(|(name, amount)| (name, Text::from(amount))).collect();
        let status = ResourceQuotaStatus { hard: Some(hard), used: Some(used) };
        if quota.status.as_ref() != Some(&status) {
            let api =
                Api::<ResourceQuota>::namespaced(counter.context.client.clone(), &key.namespace);
            let changed = ResourceQuota { status: Some(status), ..(*quota).clone() };
            let written = api.replace_status(&key.name, &PostParams::default(), &changed).await;
            match written.doing("writing a quota's usage") {
                Ok(written) => drop(informers.resource_quotas.observe(written)),
                Err(error) if error.is_not_found() => return Ok(Next::Wait),
                Err(error) => return Err(error),
            }
        }
        Ok(Next::After(PERIOD))
    }
}

/// The resource that a quota's name counts, if it is one whose objects are merely counted.
fn counted_only(name: &str) -> Option<(&str, &str)> {
    let (plural, group) = match name.strip_prefix("count/") {
        Some(rest) => rest.split_once('.').unwrap_or((rest, "")),
        None => (name, ""),
    };
    let measured =
        group.is_empty() && matches!(plural, "pods" | "services" | "persistentvolumeclaims");
    (!measured && quota::covers(group, plural, name)).then_some((group, plural))
}

impl Counter {
    /// Something in the namespace of `object` takes less than before.
    fn given_back(&self, object: Option<&Arc<impl kube::Resource>>) {
        if let Some(namespace) = object.and_then(|object| object.meta().namespace.as_deref()) {
            self.recount(namespace);
        }
    }

    fn recount(&self, namespace: &str) {
        for quota in self.context.informers.resource_quotas.in_namespace(namespace) {
            self.queue.add(Key::of(&*quota));
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kind of that name, watched from now on; none if the server has no such kind.
    async fn watched(self: &Arc<Self>, group: &str, plural: &str) -> Result<Option<Arc<Kind>>> {
        let find = |known: &Discovered| {
            let named = |kind: &&Arc<Kind>| {
                kind.resource.group == group && kind.resource.plural == plural && kind.namespaced
            };
            known.kinds.iter().find(named).cloned()
        };
        let mut found = find(&self.counted().discovered);
        if found.is_none() {
            let discovered = dynamic::discover(&self.context.client).await?;
            found = find(&discovered);
            self.counted().discovered = discovered;
        }
        let Some(kind) = found else { return Ok(None) };
        let mut counted = self.counted();
        let counted = &mut *counted;
        counted.watches.entry(kind.clone()).or_insert_with(|| {
            let source = MetadataOf { client: self.context.client.clone(), kind: kind.clone() };
            let sink = Watch(self.clone());
            let what = kind.qualified();
            counted.tasks.spawn(async move {
                list_watch::follow(&what, &source, None, &sink).await;
            })
        });
        Ok(Some(kind))
    }

    /// Ends the watches of kinds that no quota counts any longer.
    fn forget_uncounted(&self) {
        let quotas = self.context.informers.resource_quotas.all();
        let hard = quotas.iter().filter_map(|quota| quota.spec.as_ref()?.hard.as_ref());
        let names: BTreeSet<_> =
            hard.flat_map(BTreeMap::keys).filter_map(|name| counted_only(name)).collect();
        let mut counted = self.counted();
        counted.watches.retain(|kind, task| {
            let keep = names.contains(&(&*kind.resource.group, &*kind.resource.plural));
            if !keep {
                task.abort();
            }
            keep
        });
        while counted.tasks.try_join_next().is_some() {}
    }
}

/// Hears of objects that are gone.
struct Watch(Arc<Counter>);

impl Sink<Slim> for Watch {
    fn begin(&self) {}

    fn replace(&self, _: Vec<Slim>, _: &str) {
        for quota in self.0.context.informers.resource_quotas.all() {
            self.0.queue.add(Key::of(&*quota));
        }
    }

    fn put(&self, _: Slim) {}

    fn delete(&self, item: Slim) {
        self.0.recount(&item.metadata.namespace);
    }

    fn progress(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::counted_only;

    #[test]
    fn what_is_merely_counted() {
        assert_eq!(counted_only("count/deployments.apps"), Some(("apps", "deployments")));
        assert_eq!(counted_only("secrets"), Some(("", "secrets")));
        for name in ["pods", "count/pods", "cpu", "requests.storage", "services.nodeports"] {
            assert_eq!(counted_only(name), None, "{name}");
        }
    }
}
