//! The ConfigMap by which pods of every namespace know the API server's certificate authority.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;

use crate::context::Context;
use crate::error::{Result, While};
use crate::runner::{Key, Next, Reconcile};
use crate::serviceaccount::stays;

/// Its name.
pub(crate) const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal \
     endpoints such as the internal service IP or kubernetes.default.svc. No other usage is \
     guaranteed across distributions of Kubernetes clusters.",
);

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("root_ca_cert_publisher");
    context.informers.namespaces.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(namespace) = &change.new {
                queue.add(Key::of(&**namespace));
            }
        }
    });
    context.informers.config_maps.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(config_map) = change.latest().filter(|_| change.old.is_some()) {
                queue.add(Key::new("", config_map.metadata.namespace.clone().unwrap_or_default()));
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, 1, Publisher { context: context.clone() });
    Box::pin(async move {
        waiting.informers.namespaces.synced().await;
        waiting.informers.config_maps.synced().await;
        runner.run().await;
    })
}

struct Publisher {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Publisher {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, options, .. } = &self.context;
        if informers.namespaces.get(key).filter(|namespace| stays(namespace)).is_none() {
            return Ok(Next::Wait);
        }
        let data = BTreeMap::from([("ca.crt".to_owned(), options.root_ca.clone())]);
        let api = Api::<ConfigMap>::namespaced(client.clone(), &key.name);
        let written = match informers.config_maps.get(&Key::new(&key.name, NAME)) {
            Some(existing) if existing.data.as_ref() == Some(&data) => return Ok(Next::Wait),
            Some(existing) => {
                let changed = ConfigMap { data: Some(data), ..(*existing).clone() };
                api.replace(NAME, &PostParams::default(), &changed).await
            }
            None => {
                let (name, text) = DESCRIPTION;
                let metadata = ObjectMeta {
                    name: Some(NAME.to_owned()),
                    namespace: Some(key.name.clone()),
                    annotations: Some([(name.to_owned(), text.to_owned())].into()),
                    ..ObjectMeta::default()
                };
                let config_map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
                api.create(&PostParams::default(), &config_map).await
            }
        };
        match written.doing("publishing the certificate authority") {
            Ok(written) => drop(informers.config_maps.observe(written)),
            Err(error) if error.is_namespace_terminating() => {}
            Err(error) => return Err(error),
        }
        Ok(Next::Wait)
    }
}
