//! Which slices there must be: pure. Few slices change for few changed endpoints, because every
//! change of a slice is sent to every watcher of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::backends::Family;

/// Endpoints in one slice.
const CAPACITY: usize = 100;

/// The endpoints of each kind of slice.
pub(super) type Groups = BTreeMap<Group, Vec<Endpoint>>;

/// What all endpoints of a slice have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) family: Family,
    pub(super) ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) protocol: String,
    pub(super) port: i32,
    pub(super) app_protocol: Option<String>,
}

/// What slices are made for.
pub(super) struct Whole {
    /// The families of addresses that are told of even if there are none.
    pub(super) families: Vec<Family>,
    /// The metadata of each slice; without annotations, those of a slice stay as they are.
    pub(super) metadata: ObjectMeta,
}

/// What must be written.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) create: Vec<EndpointSlice>,
    pub(super) update: Vec<EndpointSlice>,
    pub(super) delete: Vec<Arc<EndpointSlice>>,
}

/// From the `existing` slices of a whole to those that hold the `wanted` endpoints.
pub(super) fn plan(whole: &Whole, existing: &[Arc<EndpointSlice>], mut wanted: Groups) -> Plan {
    let mut plan = Plan::default();
    let mut by_group: BTreeMap<Group, Vec<Arc<EndpointSlice>>> = BTreeMap::new();
    for slice in existing {
        if slice.metadata.deletion_timestamp.is_none() {
            by_group.entry(group_of(slice)).or_default().push(slice.clone());
        }
    }
    for &family in &whole.families {
        if !wanted.keys().any(|group| group.family == family) {
            let kept = by_group.keys().find(|group| group.family == family).cloned();
            let none = Group { family, ports: Vec::new() };
            wanted.entry(kept.unwrap_or(none)).or_default();
        }
    }
    for (group, endpoints) in wanted {
        let slices = by_group.remove(&group).unwrap_or_default();
        fill(whole, &group, slices, endpoints, &mut plan);
    }
    plan.delete.extend(by_group.into_values().flatten());
    plan
}

fn group_of(slice: &EndpointSlice) -> Group {
    let family = if slice.address_type == "IPv6" { Family::V6 } else { Family::V4 };
    let port = |port: &EndpointPort| Port {
        name: port.name.clone().unwrap_or_default(),
        protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
        port: port.port.unwrap_or_default(),
        app_protocol: port.app_protocol.clone(),
    };
    let mut ports: Vec<_> = slice.ports.iter().flatten().map(port).collect();
    ports.sort();
    Group { family, ports }
}

/// A slice that is being changed.
struct Draft {
    original: Arc<EndpointSlice>,
    endpoints: Vec<Endpoint>,
    changed: bool,
}

fn fill(
    whole: &Whole,
    group: &Group,
    slices: Vec<Arc<EndpointSlice>>,
    endpoints: Vec<Endpoint>,
    plan: &mut Plan,
) {
    let mut missing: HashMap<_, Endpoint> =
        endpoints.into_iter().map(|endpoint| (identity(&endpoint), endpoint)).collect();
    // Endpoints that are still wanted stay where they are.
    let mut drafts: Vec<Draft> = slices
        .into_iter()
        .map(|original| {
            let mut changed = false;
            let mut kept = Vec::new();
            for old in original.endpoints.iter().flatten() {
                match missing.remove(&identity(old)) {
                    Some(new) => {
                        changed |= new != *old;
                        kept.push(new);
                    }
                    None => changed = true,
                }
            }
            Draft { original, endpoints: kept, changed }
        })
        .collect();

    let mut missing: Vec<_> = missing.into_values().collect();
    missing.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    // New ones go first to slices that are written anyway, then to the fullest that has room for all.
    drafts.sort_by_key(|draft| (!draft.changed, std::cmp::Reverse(draft.endpoints.len())));
    for draft in drafts.iter_mut().filter(|draft| draft.changed) {
        draft.take(&mut missing);
    }
    if !missing.is_empty() && missing.len() < CAPACITY {
        let room = |draft: &&mut Draft| draft.endpoints.len() + missing.len() <= CAPACITY;
        if let Some(draft) = drafts.iter_mut().find(room) {
            draft.take(&mut missing);
        }
    }
    let mut fresh: Vec<Vec<Endpoint>> = Vec::new();
    while !missing.is_empty() {
        let rest = missing.split_off(missing.len().min(CAPACITY));
        fresh.push(std::mem::replace(&mut missing, rest));
    }

    let mut filled = !fresh.is_empty() || drafts.iter().any(|draft| !draft.endpoints.is_empty());
    for draft in drafts {
        // Of several empty slices one stays, so that there is one.
        if draft.endpoints.is_empty() && filled {
            plan.delete.push(draft.original);
            continue;
        }
        filled = true;
        let wanted = whole.metadata(Some(&draft.original.metadata));
        if draft.changed || wanted != draft.original.metadata {
            plan.update.push(EndpointSlice {
                metadata: wanted,
                endpoints: some(draft.endpoints),
                ..(*draft.original).clone()
            });
        }
    }
    if !filled {
        fresh.push(Vec::new());
    }
    plan.create.extend(fresh.into_iter().map(|endpoints| EndpointSlice {
        address_type: group.family.as_str().to_owned(),
        ports: some(group.ports.iter().cloned().map(EndpointPort::from).collect()),
        endpoints: some(endpoints),
        metadata: whole.metadata(None),
    }));
}

impl Draft {
    fn take(&mut self, missing: &mut Vec<Endpoint>) {
        let room = CAPACITY.saturating_sub(self.endpoints.len()).min(missing.len());
        self.changed |= room > 0;
        self.endpoints.extend(missing.drain(..room));
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// An endpoint is the same while its pod and its addresses are.
fn identity(endpoint: &Endpoint) -> (Option<String>, Vec<String>) {
    let uid = endpoint.target_ref.as_ref().and_then(|target| target.uid.clone());
    (uid, endpoint.addresses.clone())
}

impl Whole {
    /// The metadata of a slice.
    fn metadata(&self, old: Option<&ObjectMeta>) -> ObjectMeta {
        let wanted = &self.metadata;
        let Some(old) = old else { return wanted.clone() };
        let annotations = wanted.annotations.as_ref().or(old.annotations.as_ref());
        ObjectMeta {
            labels: wanted.labels.clone(),
            annotations: annotations.filter(|all| !all.is_empty()).cloned(),
            ..old.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service() -> Whole {
        let service = serde_json::from_value(json!({"metadata": {"name": "web",
            "namespace": "default", "labels": {"team": "a"}}, "spec": {"clusterIP": "10.0.0.1"}}))
        .unwrap();
        super::super::whole(&service)
    }

    fn endpoint(number: usize, ready: bool) -> Endpoint {
        serde_json::from_value(json!({"addresses": [format!("10.1.0.{number}")],
            "conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "uid": number.to_string()}}))
        .unwrap()
    }

    fn group(port: i32) -> Group {
        let port = Port { name: String::new(), protocol: "TCP".into(), port, app_protocol: None };
        Group { family: Family::V4, ports: vec![port] }
    }

    fn wanted(numbers: impl IntoIterator<Item = usize>) -> Groups {
        let endpoints = numbers.into_iter().map(|number| endpoint(number, true)).collect();
        [(group(80), endpoints)].into()
    }

    /// Plans, and carries it out in memory.
    fn apply(existing: &mut Vec<Arc<EndpointSlice>>, wanted: Groups) -> (usize, usize, usize) {
        let plan = plan(&service(), existing, wanted);
        let counts = (plan.create.len(), plan.update.len(), plan.delete.len());
        existing.retain(|old| {
            let name = &old.metadata.name;
            !plan.delete.iter().any(|gone| gone.metadata.name == *name)
                && !plan.update.iter().any(|new| new.metadata.name == *name)
        });
        existing.extend(plan.update.into_iter().map(Arc::new));
        for mut new in plan.create {
            let name = format!("web-{}-{}", existing.len(), coracle_api::dice::suffix(8));
            new.metadata.name = Some(name);
            existing.push(Arc::new(new));
        }
        counts
    }

    fn held(slices: &[Arc<EndpointSlice>]) -> usize {
        let all = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
        let mut addresses: Vec<_> = all.map(|endpoint| endpoint.addresses.clone()).collect();
        addresses.sort();
        addresses.dedup();
        addresses.len()
    }

    #[test]
    fn slices_are_filled_to_a_hundred() {
        let mut slices = Vec::new();
        assert_eq!(apply(&mut slices, wanted(0..250)), (3, 0, 0));
        assert_eq!(held(&slices), 250);
        assert!(slices.iter().all(|slice| slice.endpoints.as_ref().unwrap().len() <= CAPACITY));
        assert_eq!(apply(&mut slices, wanted(0..250)), (0, 0, 0), "nothing changed");
    }

    #[test]
    fn few_changes_touch_few_slices() {
        let mut slices = Vec::new();
        apply(&mut slices, wanted(0..250));
        assert_eq!(apply(&mut slices, wanted(1..251)), (0, 1, 0), "one out, one in");
        assert_eq!(held(&slices), 250);
        assert_eq!(apply(&mut slices, wanted(1..260)), (0, 1, 0), "a few more");
        assert_eq!(held(&slices), 259);
        apply(&mut slices, wanted(1..3));
        assert_eq!(held(&slices), 2);
        assert!(slices.iter().all(|slice| slice.endpoints.is_some()), "no empty slice is left");
    }

    #[test]
    fn a_service_without_pods_keeps_one_empty_slice() {
        let mut slices = Vec::new();
        assert_eq!(apply(&mut slices, Groups::new()), (1, 0, 0));
        assert_eq!(slices[0].endpoints, None);
        assert_eq!(apply(&mut slices, Groups::new()), (0, 0, 0));
        assert_eq!(apply(&mut slices, wanted([1])), (1, 0, 1), "its ports are known now");
        assert_eq!(apply(&mut slices, Groups::new()), (0, 1, 0));
        assert_eq!(apply(&mut slices, wanted([2])), (0, 1, 0), "and are kept");
    }

    #[test]
    fn other_ports_are_other_slices() {
        let mut slices = Vec::new();
        let mut both = wanted([1]);
        both.insert(group(81), vec![endpoint(2, true)]);
        assert_eq!(apply(&mut slices, both), (2, 0, 0));
        assert_eq!(apply(&mut slices, wanted([1])), (0, 0, 1));
    }

    #[test]
    fn readiness_and_labels_are_kept_current() {
        let mut slices = Vec::new();
        apply(&mut slices, wanted([1, 2]));
        let labels = slices[0].metadata.labels.clone().unwrap();
        assert_eq!(labels["kubernetes.io/service-name"], "web");
        assert_eq!(labels["team"], "a");
        let mut unready = wanted([1]);
        unready.entry(group(80)).or_default().push(endpoint(2, false));
        assert_eq!(apply(&mut slices, unready.clone()), (0, 1, 0));
        let stale = &mut Arc::make_mut(&mut slices[0]).metadata.labels;
        stale.as_mut().unwrap().insert("team".into(), "b".into());
        assert_eq!(apply(&mut slices, unready), (0, 1, 0));
    }
}
