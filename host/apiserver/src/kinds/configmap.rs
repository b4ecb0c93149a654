//! ConfigMap.

use k8s_openapi::api::core::v1::ConfigMap;

use crate::registry::{Names, Strategy};

impl Strategy for ConfigMap {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short: &["cm"],
        categories: &[],
        namespaced: true,
        status: false,
    };
}
