//! Namespaces.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::api::core::v1::Namespace;

use super::all;

/// The faults of a namespace.
pub(crate) fn namespace(namespace: &Namespace) -> Vec<Cause> {
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref());
    let mut faults = vec![];
    for finalizer in finalizers.unwrap_or_default() {
        faults.extend(all("spec.finalizers", finalizer, meta::qualified_name(finalizer)));
        if !finalizer.contains('/') && finalizer != "kubernetes" {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            faults.push(Cause::invalid("spec.finalizers", finalizer.as_str(), detail));
        }
    }
    faults
}

/// The faults of a change of a namespace's status.
pub(crate) fn namespace_status(namespace: &Namespace) -> Vec<Cause> {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    let phase = phase.unwrap_or_default();
    let detail = match (namespace.metadata.deletion_timestamp.is_some(), phase) {
        (false, "Active") | (true, "Terminating") => return vec![],
        (false, _) => "may only be 'Active' if `deletionTimestamp` is empty",
        (true, _) => "may only be 'Terminating' if `deletionTimestamp` is not empty",
    };
    vec![Cause::invalid("status.Phase", phase, detail)]
}
