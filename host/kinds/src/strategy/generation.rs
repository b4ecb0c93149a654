//! `metadata.generation`: counts the changes of what an object's owner wants.

use kube::Resource;

/// Starts counting.
pub(super) fn start<K: Resource>(object: &mut K) {
    object.meta_mut().generation = Some(1);
}

/// Takes the count of the `old` object, one more if there was a change.
pub(super) fn count<K: Resource>(new: &mut K, old: &K, changed: bool) {
    let before = old.meta().generation.unwrap_or(0);
    new.meta_mut().generation = Some(before + i64::from(changed));
}
