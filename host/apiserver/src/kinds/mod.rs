//! The table of built-in kinds: one line a kind, one file a kind for what is special about it.

mod configmap;

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use crate::registry::{Builtin, Column, Kind, Strategy};

/// Every built-in kind, in the order of `kubectl api-resources`.
pub(crate) fn table() -> Vec<Arc<dyn Kind>> {
    vec![Builtin::<ConfigMap>::kind()]
}
