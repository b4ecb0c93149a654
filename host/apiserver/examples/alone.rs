//! The API server alone, over plain HTTP and memory, for everybody who connects: to look at its
//! answers with kubectl or to measure it.
//!
//! `cargo run -p coracle-apiserver --example alone`, then `kubectl --server http://127.0.0.1:8001`.

use std::sync::Arc;

use axum::Extension;
use coracle_apiserver::{ApiServer, Config, Identity, client};
use coracle_store::MemoryStore;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Api;
use kube::api::PostParams;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = ApiServer::new(Config::default(), Arc::new(MemoryStore::new()));
    let router = server.router();
    server.bootstrap().await?;
    let client = client(router.clone(), Identity::master("bootstrap"), "default");
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut default = Namespace::default();
    default.metadata.name = Some("default".into());
    namespaces.create(&PostParams::default(), &default).await?;
    // Pods run as it.
    let mut account = ServiceAccount::default();
    account.metadata.name = Some("default".into());
    Api::default_namespaced(client).create(&PostParams::default(), &account).await?;
    let everybody = Extension(Arc::new(Identity::master("everybody")));
    let port = std::env::args().nth(1).unwrap_or_else(|| "8001".into());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener, router.layer(everybody)).await?;
    Ok(())
}
