//! Pod templates: which ReplicaSet has the Deployment's, and the hash that names one.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde_json::Value;

use crate::template;

/// The label that tells the pods of a Deployment's ReplicaSets apart.
pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// Whether two templates describe the same pods, the hash label aside.
pub(super) fn same(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    a == b || shape(a) == shape(b)
}

/// A template's shape without the hash label.
fn shape(template: &PodTemplateSpec) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.metadata.as_mut().and_then(|metadata| metadata.labels.as_mut()) {
        labels.remove(HASH_LABEL);
    }
    template::shape(&template)
}

/// The ReplicaSet with the Deployment's template: the oldest if there are several.
pub(super) fn find_new<T: AsRef<ReplicaSet>>(deployment: &Deployment, all: &[T]) -> Option<usize> {
    let template = &deployment.spec.as_ref()?.template;
    let mut matching: Vec<usize> = (0..all.len())
        .filter(|index| {
            let spec = all[*index].as_ref().spec.as_ref();
            spec.and_then(|spec| spec.template.as_ref()).is_some_and(|its| same(its, template))
        })
        .collect();
    matching.sort_by_key(|index| {
        let metadata = &all[*index].as_ref().metadata;
        (metadata.creation_timestamp.as_ref().map(|time| time.0), metadata.name.clone())
    });
    matching.first().copied()
}

/// The hash of a template; `collisions` makes another one out of the same template.
pub(super) fn hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    template::hash(&shape(template), collisions)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(value: Value) -> PodTemplateSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_hash_label_makes_no_difference() {
        let plain = template(json!({"metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}));
        let mut labelled = plain.clone();
        let labels = labelled.metadata.as_mut().unwrap().labels.as_mut().unwrap();
        labels.insert(HASH_LABEL.into(), "xyz".into());
        assert!(same(&plain, &labelled));
        assert_eq!(hash(&plain, None), hash(&labelled, None));
        labels_of(&mut labelled).insert("a".into(), "c".into());
        assert!(!same(&plain, &labelled));
    }

    fn labels_of(
        template: &mut PodTemplateSpec,
    ) -> &mut std::collections::BTreeMap<String, String> {
        template.metadata.as_mut().unwrap().labels.as_mut().unwrap()
    }
}
