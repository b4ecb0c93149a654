//! The APIServices of the groups that this server serves itself.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec};

use crate::aggregator::{AUTOMANAGED, Priorities};
use crate::registry::Table;

/// The group that registers the others, and so itself.
const OWN: &str = "apiregistration.k8s.io";

/// How far before others a group stands.
const GROUPS: &[(&str, i32)] = &[
    ("", 18_000),
    ("apps", 17_800),
    ("events.k8s.io", 17_750),
    ("authentication.k8s.io", 17_700),
    ("authorization.k8s.io", 17_600),
    ("autoscaling", 17_500),
    ("batch", 17_400),
    ("certificates.k8s.io", 17_300),
    ("networking.k8s.io", 17_200),
    ("policy", 17_100),
    ("rbac.authorization.k8s.io", 17_000),
    ("storage.k8s.io", 16_800),
    ("apiextensions.k8s.io", 16_700),
    ("admissionregistration.k8s.io", 16_700),
    ("scheduling.k8s.io", 16_600),
    ("coordination.k8s.io", 16_500),
    ("node.k8s.io", 16_300),
    ("discovery.k8s.io", 16_200),
    ("flowcontrol.apiserver.k8s.io", 16_100),
];
/// All others.
const OTHER_GROUP: i32 = 1000;

/// Where a version of a built-in group stands.
pub(crate) fn priorities(group: &str, version: &str) -> Priorities {
    let known = GROUPS.iter().find(|(known, _)| *known == group);
    let of_group = known.map_or(OTHER_GROUP, |(_, priority)| *priority);
    Priorities { group: of_group, version: version_priority(group, version) }
}

fn version_priority(group: &str, version: &str) -> i32 {
    match (group, version) {
        ("", "v1") => 1,
        ("autoscaling", "v2") => 30,
        ("flowcontrol.apiserver.k8s.io", "v1") => 21,
        (_, version) if version.contains("beta") => 9,
        (_, version) if version.contains("alpha") => 1,
        _ => 15,
    }
}

/// One for each group and version of the table.
pub(super) fn local(table: &Table) -> Vec<APIService> {
    let resources = table.resources();
    let served: BTreeSet<_> = resources
        .map(|resource| {
            let names = resource.names();
            (names.group.to_string(), names.version.to_string())
        })
        .filter(|(group, _)| group != OWN)
        .collect();
    served.into_iter().map(|(group, version)| api_service(group, version)).collect()
}

fn api_service(group: String, version: String) -> APIService {
    let priorities = priorities(&group, &version);
    let label = (AUTOMANAGED.to_owned(), "onstart".to_owned());
    APIService {
        metadata: ObjectMeta {
            name: Some(format!("{version}.{group}")),
            labels: Some(BTreeMap::from([label])),
            ..ObjectMeta::default()
        },
        spec: Some(APIServiceSpec {
            group_priority_minimum: priorities.group,
            version_priority: priorities.version,
            group: Some(group),
            version: Some(version),
            ..APIServiceSpec::default()
        }),
        status: None,
    }
}
