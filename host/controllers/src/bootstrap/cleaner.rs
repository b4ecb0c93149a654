//! Bootstrap tokens that have ended are taken away.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Preconditions};

use super::End;
use crate::context::Context;
use crate::error::{Result, While};
use crate::runner::{Key, Next, Reconcile, left};

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("token_cleaner");
    context.informers.bootstrap_tokens.on_change({
        let queue = queue.clone();
        move |change| {
            if let Some(secret) = &change.new {
                queue.add(Key::of(&**secret));
            }
        }
    });
    let waiting = context.clone();
    let runner = context.runner(queue, 1, Cleaner { context: context.clone() });
    Box::pin(async move {
        waiting.informers.bootstrap_tokens.synced().await;
        runner.run().await;
    })
}

struct Cleaner {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Cleaner {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let Some(secret) = informers.bootstrap_tokens.get(key) else { return Ok(Next::Wait) };
        let end = End::of(&secret);
        if !end.is_over() {
            let End::At(end) = end else { return Ok(Next::Wait) };
            let left = left(end).unwrap_or_default();
            // Waiting for a fraction of a second would wake this up before it is time.
            return Ok(Next::After(left + Duration::from_secs(1)));
        }
        let only_this = Preconditions { uid: secret.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(only_this), ..DeleteParams::default() };
        let api = Api::<Secret>::namespaced(client.clone(), &key.namespace);
        match api.delete(&key.name, &params).await.doing("taking away a token that has ended") {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(Next::Wait),
        }
    }
}
