//! Which Kubernetes this is.

/// The Kubernetes version whose behaviour the cluster has, as `gitVersion` and `kubeletVersion`
/// spell it.
pub const KUBERNETES: &str = "v1.36.0";
/// Its major version.
pub const MAJOR: &str = "1";
/// Its minor version.
pub const MINOR: &str = "36";
