//! The ServiceAccount that every namespace is given.

use async_trait::async_trait;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;

use crate::context::Context;
use crate::error::{Result, While};
use crate::runner::{Key, Next, Reconcile};

/// Its name.
pub(crate) const NAME: &str = "default";

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("serviceaccount");
    context.informers.namespaces.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(namespace) = &change.new {
                queue.add(Key::of(&**namespace));
            }
        }
    });
    context.informers.service_accounts.on_change({
        let queue = queue.clone();
        move |change| {
            if let (Some(gone), None) = (&change.old, &change.new) {
                queue.add(Key::new("", gone.metadata.namespace.clone().unwrap_or_default()));
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, 1, ServiceAccounts { context: context.clone() });
    Box::pin(async move {
        waiting.informers.namespaces.synced().await;
        waiting.informers.service_accounts.synced().await;
        runner.run().await;
    })
}

/// Whether a namespace is there to stay.
pub(crate) fn stays(namespace: &Namespace) -> bool {
    let phase = namespace.status.as_ref().and_then(|status| status.phase.as_deref());
    namespace.metadata.deletion_timestamp.is_none() && phase != Some("Terminating")
}

struct ServiceAccounts {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for ServiceAccounts {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let namespace = informers.namespaces.get(key).filter(|namespace| stays(namespace));
        let exists = || informers.service_accounts.get(&Key::new(&key.name, NAME)).is_some();
        if namespace.is_none() || exists() {
            return Ok(Next::Wait);
        }
        let account = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(key.name.clone()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        let api = Api::<ServiceAccount>::namespaced(client.clone(), &key.name);
        match api.create(&PostParams::default(), &account).await.doing("creating a ServiceAccount")
        {
            Ok(created) => drop(informers.service_accounts.observe(created)),
            Err(error) if error.is_already_exists() || error.is_namespace_terminating() => {}
            Err(error) => return Err(error),
        }
        Ok(Next::Wait)
    }
}
