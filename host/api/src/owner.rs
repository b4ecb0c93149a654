//! Owner references: which object controls another, and how a dependent names its owner.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

/// The reference to the object that controls the one `metadata` belongs to.
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whether the object with `uid` controls the one `metadata` belongs to.
pub fn is_controlled_by(metadata: &ObjectMeta, uid: &str) -> bool {
    controller_of(metadata).is_some_and(|owner| owner.uid == uid)
}

/// What a dependent of `owner` writes into its metadata: a controlling reference that holds the
/// owner back in a foreground deletion.
pub fn controller_reference<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    let metadata = owner.meta();
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::ReplicaSet;

    use super::*;

    #[test]
    fn a_reference_names_its_owner() {
        let mut owner = ReplicaSet::default();
        owner.metadata.name = Some("web".into());
        owner.metadata.uid = Some("u-1".into());
        let reference = controller_reference(&owner);
        assert_eq!(
            (reference.api_version.as_str(), reference.kind.as_str()),
            ("apps/v1", "ReplicaSet")
        );

        let plain = OwnerReference { uid: "u-0".into(), ..OwnerReference::default() };
        let dependent =
            ObjectMeta { owner_references: Some(vec![plain, reference]), ..ObjectMeta::default() };
        assert!(is_controlled_by(&dependent, "u-1"));
        assert!(!is_controlled_by(&dependent, "u-0"), "an owner need not be the controller");
        assert_eq!(controller_of(&ObjectMeta::default()), None);
    }
}
