//! Who a StatefulSet's pods are: their names, their labels, the claims they mount. Pure.

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::history::REVISION_LABEL;
use crate::podcontrol;

const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

pub(super) fn spec(set: &StatefulSet) -> Option<&StatefulSetSpec> {
    set.spec.as_ref()
}

fn name_of(set: &StatefulSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}

/// The first ordinal.
pub(super) fn start(set: &StatefulSet) -> i64 {
    spec(set).and_then(|spec| spec.ordinals.as_ref()?.start).map_or(0, i64::from)
}

/// How many pods there should be.
pub(super) fn replicas(set: &StatefulSet) -> i64 {
    spec(set).and_then(|spec| spec.replicas).map_or(1, i64::from)
}

/// Whether the pod with an ordinal should be there.
pub(super) fn in_range(set: &StatefulSet, ordinal: i64) -> bool {
    (start(set)..start(set) + replicas(set)).contains(&ordinal)
}

/// The ordinal of a pod that is a member of the set by its name.
pub(super) fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i64> {
    let (parent, digits) = pod.metadata.name.as_deref()?.rsplit_once('-')?;
    let number: i32 = digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?;
    // Only the spelling that the set itself would choose is an identity.
    (parent == name_of(set) && pod.metadata.name == Some(pod_name(set, number.into())))
        .then(|| number.into())
}

pub(super) fn pod_name(set: &StatefulSet, ordinal: i64) -> String {
    format!("{}-{ordinal}", name_of(set))
}

/// The revision that a pod was made of.
pub(super) fn revision_of(pod: &Pod) -> &str {
    let labels = pod.metadata.labels.as_ref();
    labels.and_then(|labels| labels.get(REVISION_LABEL)).map_or("", String::as_str)
}

/// The pod of an ordinal.
pub(super) fn new_pod(
    set: &StatefulSet,
    template: &PodTemplateSpec,
    revision: &str,
    ordinal: i64,
) -> Pod {
    let name = pod_name(set, ordinal);
    let mut pod = podcontrol::from_template(set, template);
    pod.metadata.generate_name = None;
    pod.metadata.name = Some(name.clone());
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_LABEL.to_owned(), revision.to_owned());
    let inside = pod.spec.get_or_insert_default();
    inside.hostname = Some(name);
    inside.subdomain =
        spec(set).and_then(|spec| spec.service_name.clone()).filter(|name| !name.is_empty());
    conform(set, &mut pod, ordinal);
    pod
}

/// Gives a pod the labels of its identity and the volumes of its claims; answers whether it was
/// without some of them.
pub(super) fn conform(set: &StatefulSet, pod: &mut Pod, ordinal: i64) -> bool {
    let labels = pod.metadata.labels.get_or_insert_default();
    let mut changed = false;
    for (label, value) in [(NAME_LABEL, pod_name(set, ordinal)), (INDEX_LABEL, ordinal.to_string())]
    {
        if labels.get(label) != Some(&value) {
            labels.insert(label.to_owned(), value);
            changed = true;
        }
    }
    let claims = claims(set, ordinal);
    let inside = pod.spec.get_or_insert_default();
    let claimed = |volume: &Volume| {
        volume.persistent_volume_claim.as_ref().map(|claim| claim.claim_name.clone())
    };
    let mounted = claims.iter().all(|(volume, claim)| {
        inside.volumes.iter().flatten().any(|one| {
            one.name == *volume && claimed(one).as_deref() == claim.metadata.name.as_deref()
        })
    });
    if !mounted {
        let others = inside.volumes.take().unwrap_or_default().into_iter();
        let others = others.filter(|one| claims.iter().all(|(volume, _)| one.name != *volume));
        let ours = claims.iter().map(|(volume, claim)| Volume {
            name: volume.clone(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim.metadata.name.clone().unwrap_or_default(),
                read_only: None,
            }),
            ..Volume::default()
        });
        inside.volumes = Some(ours.chain(others).collect());
        changed = true;
    }
    changed
}

/// The claims of an ordinal, each with the name of its volume.
pub(super) fn claims(set: &StatefulSet, ordinal: i64) -> Vec<(String, PersistentVolumeClaim)> {
    let templates = spec(set).and_then(|spec| spec.volume_claim_templates.as_ref());
    let selector = spec(set).and_then(|spec| spec.selector.match_labels.clone());
    let claim = |template: &PersistentVolumeClaim| {
        let volume = template.metadata.name.clone().unwrap_or_default();
        let mut labels = template.metadata.labels.clone().unwrap_or_default();
        labels.extend(selector.clone().unwrap_or_default());
        let metadata = ObjectMeta {
            name: Some(format!("{volume}-{}", pod_name(set, ordinal))),
            namespace: set.metadata.namespace.clone(),
            labels: (!labels.is_empty()).then_some(labels),
            annotations: template.metadata.annotations.clone(),
            finalizers: template.metadata.finalizers.clone(),
            ..ObjectMeta::default()
        };
        (volume, PersistentVolumeClaim { metadata, spec: template.spec.clone(), status: None })
    };
    templates.into_iter().flatten().map(claim).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(changes: Value) -> StatefulSet {
        let mut set = json!({"metadata": {"name": "web", "namespace": "ns", "uid": "u"},
            "spec": {"replicas": 2, "serviceName": "svc",
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                    "containers": [{"name": "c"}],
                    "volumes": [{"name": "data", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]}},
                "volumeClaimTemplates": [{"metadata": {"name": "data", "labels": {"x": "y"}},
                    "spec": {"accessModes": ["ReadWriteOnce"]}}]}});
        for (key, value) in changes.as_object().unwrap() {
            set["spec"][key] = value.clone();
        }
        serde_json::from_value(set).unwrap()
    }

    #[test]
    fn ordinals_are_read_from_names() {
        let set = set(json!({"ordinals": {"start": 3}}));
        for (name, expected) in [
            ("web-0", Some(0)),
            ("web-12", Some(12)),
            ("web-01", None),
            ("web", None),
            ("web-", None),
            ("web-+1", None),
            ("other-1", None),
            ("web-a-1", None),
            ("web-99999999999", None),
        ] {
            let mut pod = Pod::default();
            pod.metadata.name = Some(name.to_owned());
            assert_eq!(ordinal(&set, &pod), expected, "{name}");
        }
        let inside: Vec<_> = (0..10).filter(|ordinal| in_range(&set, *ordinal)).collect();
        assert_eq!(inside, [3, 4]);
    }

    #[test]
    fn a_pod_has_its_identity_and_its_claims() {
        let set = set(json!({}));
        let template = &set.spec.as_ref().unwrap().template;
        let mut pod = new_pod(&set, template, "web-abc", 1);
        let labels = pod.metadata.labels.clone().unwrap();
        assert_eq!(labels[NAME_LABEL], "web-1");
        assert_eq!(labels[INDEX_LABEL], "1");
        assert_eq!((revision_of(&pod), labels["app"].as_str()), ("web-abc", "web"));
        let inside = pod.spec.clone().unwrap();
        assert_eq!(inside.hostname.as_deref(), Some("web-1"));
        assert_eq!(inside.subdomain.as_deref(), Some("svc"));
        let volumes = inside.volumes.unwrap();
        let names: Vec<_> = volumes.iter().map(|volume| volume.name.as_str()).collect();
        assert_eq!(names, ["data", "tmp"], "the template's own volume of that name gives way");
        let claim = volumes[0].persistent_volume_claim.as_ref().unwrap();
        assert_eq!(claim.claim_name, "data-web-1");
        assert!(!conform(&set, &mut pod, 1), "it is as it should be");
        pod.metadata.labels.as_mut().unwrap().remove(NAME_LABEL);
        assert!(conform(&set, &mut pod, 1));

        let (volume, claim) = claims(&set, 1).remove(0);
        assert_eq!((volume.as_str(), claim.metadata.name.as_deref()), ("data", Some("data-web-1")));
        let labels = claim.metadata.labels.unwrap();
        assert_eq!((labels["app"].as_str(), labels["x"].as_str()), ("web", "y"));
    }
}
