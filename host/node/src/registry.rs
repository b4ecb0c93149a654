//! What an agent knows of its pods beside their workers: for the kubelet's API and for admission.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use coracle_sandbox::Instance;
use k8s_openapi::api::core::v1::Pod;

use crate::admission::{Ledger, Rejection};
use coracle_api::quantity::Quantity as Amount;

/// The pods of this node.
#[derive(Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    pods: HashMap<String, Known>,
    ledger: Ledger,
}

/// A pod of this node, and what of it runs.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) pod: Arc<Pod>,
    running: BTreeMap<String, Weak<Instance>>,
}

impl Known {
    /// The instances that run, by container.
    pub(crate) fn running(&self) -> impl Iterator<Item = (&str, Arc<Instance>)> {
        self.running.iter().filter_map(|(name, weak)| Some((name.as_str(), weak.upgrade()?)))
    }
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a pod, or says why not.
    pub(crate) fn admit(
        &self,
        pod: &Pod,
        allocatable: &BTreeMap<String, Amount>,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), Rejection> {
        self.lock().ledger.admit(pod, allocatable, labels)
    }

    /// Notes the newest form of a pod.
    pub(crate) fn note(&self, uid: &str, pod: &Arc<Pod>) {
        let mut inner = self.lock();
        match inner.pods.get_mut(uid) {
            Some(known) => known.pod = pod.clone(),
            None => {
                let known = Known { pod: pod.clone(), running: BTreeMap::new() };
                inner.pods.insert(uid.to_owned(), known);
            }
        }
    }

    /// Notes what of a pod runs.
    pub(crate) fn running(
        &self,
        uid: &str,
        running: impl Iterator<Item = (String, Weak<Instance>)>,
    ) {
        if let Some(known) = self.lock().pods.get_mut(uid) {
            known.running = running.collect();
        }
    }

    /// Gives back what a pod took of the node.
    pub(crate) fn release(&self, uid: &str) {
        self.lock().ledger.release(uid);
    }

    /// Forgets a pod.
    pub(crate) fn forget(&self, uid: &str) {
        let mut inner = self.lock();
        inner.pods.remove(uid);
        inner.ledger.release(uid);
    }

    /// The pod of this name; the younger one if an older one has not quite gone.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Known> {
        let inner = self.lock();
        let named = inner.pods.values().filter(|known| {
            let metadata = &known.pod.metadata;
            metadata.namespace.as_deref() == Some(namespace)
                && metadata.name.as_deref() == Some(name)
        });
        named.max_by_key(|known| known.pod.metadata.creation_timestamp.clone()).cloned()
    }

    /// All pods.
    pub(crate) fn all(&self) -> Vec<Known> {
        self.lock().pods.values().cloned().collect()
    }
}
