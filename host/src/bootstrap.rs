//! The objects that a cluster has from its first moment on. Created through the API like any
//! other, and only where they are missing, so that a person's changes to them stay.

use std::net::IpAddr;

use anyhow::{Context, Result};
use coracle_api::module::READY_MADE_NAMESPACE;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 5] =
    ["default", "kube-system", "kube-public", "kube-node-lease", READY_MADE_NAMESPACE];

/// The API server as pods find it.
pub(crate) struct ApiServerAddress {
    /// The cluster address of the Service `kubernetes`.
    pub(crate) service: IpAddr,
    /// Where it really listens on the pod network.
    pub(crate) endpoint: IpAddr,
    /// On which port.
    pub(crate) port: u16,
}

/// Creates the first objects, and points the Service `kubernetes` at the API server. What can be
/// told to everybody of the cluster is `info`, a kubeconfig.
pub(crate) async fn run(client: &Client, address: &ApiServerAddress, info: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in NAMESPACES {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..Default::default() };
        ensure(&namespaces, &Namespace { metadata, ..Default::default() }).await?;
    }
    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let service = serde_json::from_value(json!({
        "metadata": {
            "name": "kubernetes",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": address.service,
            "ports": [{"name": "https", "port": 443, "targetPort": address.port}],
        },
    }))?;
    ensure(&services, &service).await?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), "default");
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {
            "name": "kubernetes",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address.endpoint], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": address.port, "protocol": "TCP"}],
    }))?;
    if !ensure(&slices, &slice).await? {
        // The address may be another than before the restart.
        slices
            .patch("kubernetes", &PatchParams::default(), &Patch::Merge(&slice))
            .await
            .context("pointing the service kubernetes at the API server")?;
    }
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-public");
    let info = json!({"metadata": {"name": "cluster-info"}, "data": {"kubeconfig": info}});
    let info: ConfigMap = serde_json::from_value(info)?;
    if !ensure(&maps, &info).await? {
        maps.patch("cluster-info", &PatchParams::default(), &Patch::Merge(&info))
            .await
            .context("saying in public where the cluster is")?;
    }
    Ok(())
}

/// Creates `object` unless there is one of its name; whether it was created.
async fn ensure<K>(api: &Api<K>, object: &K) -> Result<bool>
where
    K: kube::Resource + serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    match api.create(&PostParams::default(), object).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(false),
        Err(error) => {
            let name = object.meta().name.clone().unwrap_or_default();
            Err(error).with_context(|| format!("creating {name}"))
        }
    }
}
