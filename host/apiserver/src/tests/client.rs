//! The server through `kube::Client`, without sockets.

use futures::{StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::Server;
use crate::{Identity, client};

fn configmap(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name }, "data": { "a": "1" } })).unwrap()
}

async fn api(server: &Server) -> Api<ConfigMap> {
    let client = client(server.router.clone(), Identity::master("tester"), "default");
    Api::default_namespaced(client)
}

#[tokio::test]
async fn objects_live_and_die() {
    let server = Server::new().await;
    let api = api(&server).await;
    let made = api.create(&PostParams::default(), &configmap("a")).await.unwrap();
    assert!(made.uid().is_some());
    let patch = Patch::Merge(json!({ "data": { "b": "2" } }));
    let patched = api.patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(patched.data.unwrap().len(), 2);
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 1);
    assert!(api.delete("a", &DeleteParams::default()).await.unwrap().is_right());
    assert!(api.get_opt("a").await.unwrap().is_none());
    let error = api.get("a").await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.is_not_found()));
}

#[tokio::test]
async fn identities_are_their_own() {
    let server = Server::new().await;
    let client = client(server.router.clone(), Identity::new("jane", &[]), "default");
    let error = Api::<Namespace>::all(client).list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.is_forbidden()));
}

#[tokio::test]
async fn watchers_follow() {
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let server = Server::new().await;
        let api = api(&server).await;
        api.create(&PostParams::default(), &configmap("a")).await.unwrap();
        let events = watcher::watcher(api.clone(), config);
        pin_mut!(events);
        let mut seen = vec![];
        while let Some(event) = events.try_next().await.unwrap() {
            match event {
                Event::Init => seen.push("init".to_owned()),
                Event::InitApply(object) => seen.push(format!("first {}", object.name_any())),
                Event::InitDone => {
                    seen.push("done".into());
                    api.create(&PostParams::default(), &configmap("b")).await.unwrap();
                }
                Event::Apply(object) => {
                    seen.push(format!("applied {}", object.name_any()));
                    api.delete("b", &DeleteParams::default()).await.unwrap();
                }
                Event::Delete(object) => {
                    seen.push(format!("deleted {}", object.name_any()));
                    break;
                }
            }
        }
        assert_eq!(seen, ["init", "first a", "done", "applied b", "deleted b"]);
    }
}

#[tokio::test]
async fn raw_watches_stream() {
    let server = Server::new().await;
    let api = api(&server).await;
    let events = api.watch(&kube::api::WatchParams::default(), "0").await.unwrap();
    pin_mut!(events);
    api.create(&PostParams::default(), &configmap("a")).await.unwrap();
    let event = events.next().await.unwrap().unwrap();
    assert!(matches!(event, kube::api::WatchEvent::Added(object) if object.name_any() == "a"));
}
