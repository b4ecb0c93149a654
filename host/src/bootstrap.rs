//! The objects that a cluster has from its first moment on. Created through the API like any
//! other, and only where they are missing, so that a person's changes to them stay.

use std::fmt::Debug;
use std::net::IpAddr;

use anyhow::{Context, Result};
use coracle_api::module::READY_MADE_NAMESPACE;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::timeouts;

/// The namespaces that every cluster has.
const NAMESPACES: [&str; 5] =
    ["default", "kube-system", "kube-public", "kube-node-lease", READY_MADE_NAMESPACE];

/// The Service by which pods find the API server.
const NAME: &str = "kubernetes";
const NAMESPACE: &str = "default";

/// The API server as pods find it.
pub(crate) struct ApiServerAddress {
    /// The cluster address of the Service `kubernetes`.
    pub(crate) service: IpAddr,
    /// Where it really listens on the pod network.
    pub(crate) endpoint: IpAddr,
    /// On which port.
    pub(crate) port: u16,
    /// What can be told to everybody: a kubeconfig.
    pub(crate) info: String,
}

/// Makes what is missing, and points the Service `kubernetes` at the API server.
pub(crate) async fn run(client: &Client, address: &ApiServerAddress) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for name in NAMESPACES {
        ensure(&namespaces, name, json!({})).await?;
    }
    let service = json!({
        "metadata": {"labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "clusterIP": address.service,
            "ports": [{"name": "https", "port": 443, "targetPort": address.port}],
        },
    });
    ensure::<Service>(&Api::namespaced(client.clone(), NAMESPACE), NAME, service).await?;
    let ports = json!([{"name": "https", "port": address.port, "protocol": "TCP"}]);
    let endpoints = json!({
        "metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": address.endpoint}], "ports": ports}],
    });
    let all: Api<Endpoints> = Api::namespaced(client.clone(), NAMESPACE);
    keep(&all, NAME, endpoints, "/subsets").await?;
    let slice = json!({
        "metadata": {"labels": {"kubernetes.io/service-name": NAME}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address.endpoint], "conditions": {"ready": true}}],
        "ports": ports,
    });
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), NAMESPACE);
    keep(&slices, NAME, slice, "/endpoints/0/addresses").await?;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-public");
    let info = json!({"data": {"kubeconfig": address.info}});
    keep(&maps, "cluster-info", info, "/data/kubeconfig").await
}

/// Does so again and again: whoever deletes the Service `kubernetes` by mistake gets it back.
pub(crate) async fn watch_over(client: Client, address: ApiServerAddress) {
    loop {
        tokio::time::sleep(timeouts::BOOTSTRAP).await;
        if let Err(error) = run(&client, &address).await {
            tracing::warn!(%error, "the first objects of the cluster cannot be kept");
        }
    }
}

/// Brings back the object's part at `part` where it differs: the address may be another than
/// before a restart.
async fn keep<K: Clone + Debug + DeserializeOwned + Serialize>(
    api: &Api<K>,
    name: &str,
    object: Value,
    part: &str,
) -> Result<()> {
    let Some(found) = ensure(api, name, object.clone()).await? else { return Ok(()) };
    if serde_json::to_value(&found)?.pointer(part) == object.pointer(part) {
        return Ok(());
    }
    api.patch(name, &PatchParams::default(), &Patch::Merge(object))
        .await
        .with_context(|| format!("bringing {name} up to date"))
        .map(drop)
}

/// The object of this name, if there is one; otherwise it is created.
async fn ensure<K: Clone + Debug + DeserializeOwned + Serialize>(
    api: &Api<K>,
    name: &str,
    mut object: Value,
) -> Result<Option<K>> {
    let context = || format!("creating {name}");
    if let Some(found) = api.get_opt(name).await.with_context(context)? {
        return Ok(Some(found));
    }
    object["metadata"]["name"] = json!(name);
    match api.create(&PostParams::default(), &serde_json::from_value(object)?).await {
        Ok(_) => Ok(None),
        // Its namespace is about to go, or somebody was faster: the next round sees.
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(None),
        Err(error) => Err(error).with_context(context),
    }
}
