//! Kubeconfigs: the admin's, and the one that says no more than where the cluster is.

use std::path::Path;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::files;
use crate::pki::Pki;

/// Writes a kubeconfig for the cluster at `url`, complete in itself.
pub(crate) fn write(path: &Path, url: &str, pki: &Pki) -> Result<()> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "coracle",
        "clusters": [{"name": "coracle", "cluster": {
            "server": url,
            "certificate-authority-data": STANDARD.encode(&pki.ca),
        }}],
        "users": [{"name": "kubernetes-admin", "user": {
            "client-certificate-data": STANDARD.encode(&pki.admin.certificate),
            "client-key-data": STANDARD.encode(&pki.admin.key),
        }}],
        "contexts": [{"name": "coracle", "context": {
            "cluster": "coracle",
            "user": "kubernetes-admin",
        }}],
    });
    files::write_private(path, serde_yaml::to_string(&config)?.as_bytes())
}

/// A kubeconfig that names nobody: where the cluster is and whom to trust there.
pub(crate) fn public(url: &str, pki: &Pki) -> Result<String> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": {
            "server": url,
            "certificate-authority-data": STANDARD.encode(&pki.ca),
        }}],
    });
    Ok(serde_yaml::to_string(&config)?)
}
