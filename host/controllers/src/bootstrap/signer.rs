//! The ConfigMap `cluster-info` in `kube-public` says where the cluster is and whom to trust. Each
//! bootstrap token that may, signs it, so that whoever holds the token can tell a true one.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, PostParams};
use ring::hmac;
use serde_json::json;

use super::{End, PREFIX, text};
use crate::context::Context;
use crate::error::{Result, While};
use crate::runner::{Key, Next, Reconcile};

pub(crate) const NAMESPACE: &str = "kube-public";
pub(crate) const NAME: &str = "cluster-info";
/// The entry that is signed.
const SIGNED: &str = "kubeconfig";
/// What the names of signatures begin with; the token's identifier follows.
const SIGNATURE: &str = "jws-kubeconfig-";

pub(crate) fn start(context: Context) -> BoxFuture<'static, ()> {
    let queue = context.queue("bootstrap_signer_queue");
    context.informers.cluster_info.on_change({
        let queue = queue.clone();
        move |_| queue.add(Key::new(NAMESPACE, NAME))
    });
    context.informers.bootstrap_tokens.on_change({
        let queue = queue.clone();
        move |_| queue.add(Key::new(NAMESPACE, NAME))
    });
    let waiting = context.clone();
    let runner = context.runner(queue, 1, Signer { context: context.clone() });
    Box::pin(async move {
        waiting.informers.cluster_info.synced().await;
        waiting.informers.bootstrap_tokens.synced().await;
        runner.run().await;
    })
}

struct Signer {
    context: Context,
}

#[async_trait]
impl Reconcile<Key> for Signer {
    async fn reconcile(&self, key: &Key) -> Result<Next> {
        let Context { client, informers, .. } = &self.context;
        let Some(map) = informers.cluster_info.get(key) else { return Ok(Next::Wait) };
        let nothing = BTreeMap::new();
        let data = map.data.as_ref().unwrap_or(&nothing);
        let Some(content) = data.get(SIGNED) else { return Ok(Next::Wait) };
        let mut signed: BTreeMap<_, _> =
            data.iter().filter(|(name, _)| !name.starts_with(SIGNATURE)).collect();
        let tokens = informers.bootstrap_tokens.all();
        let signatures: BTreeMap<String, String> = tokens
            .iter()
            .filter_map(|secret| vouching(secret))
            .map(|(id, secret)| (format!("{SIGNATURE}{id}"), signature(content, id, secret)))
            .collect();
        signed.extend(&signatures);
        if signed.iter().map(|(name, text)| (*name, *text)).eq(data) {
            return Ok(Next::Wait);
        }
        let data = signed.into_iter().map(|(name, text)| (name.clone(), text.clone())).collect();
        let changed = ConfigMap { data: Some(data), ..(*map).clone() };
        let api = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
        let written = api.replace(NAME, &PostParams::default(), &changed).await;
        match written.doing("signing what is told of the cluster") {
            Ok(written) => drop(informers.cluster_info.observe(written)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        Ok(Next::Wait)
    }
}

/// Identifier and secret of a token that may sign.
fn vouching(secret: &Secret) -> Option<(&str, &str)> {
    let id = secret.metadata.name.as_deref()?.strip_prefix(PREFIX)?;
    let key = text(secret, "token-secret");
    let may = !id.is_empty()
        && text(secret, "token-id") == id
        && !key.is_empty()
        && text(secret, "usage-bootstrap-signing") == "true"
        && !End::of(secret).is_over();
    may.then_some((id, key))
}

/// The signature of `content` as a JSON web signature without its content (RFC 7515, appendix F).
fn signature(content: &str, id: &str, secret: &str) -> String {
    let header = json!({ "alg": "HS256", "kid": id }).to_string();
    let header = URL_SAFE_NO_PAD.encode(header);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let made = hmac::sign(&key, message.as_bytes());
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(made.as_ref()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn signatures_are_those_that_joining_nodes_expect() {
        // The example of `k8s.io/cluster-bootstrap/token/jws`.
        assert_eq!(
            signature(
                "Hello from the other side. I must have called a thousand times.",
                "joshua",
                "my voice is my passcode"
            ),
            "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"
        );
    }

    #[test]
    fn tokens_vouch_that_may() {
        let of = |change: Value| {
            let mut secret = json!({
                "metadata": { "name": "bootstrap-token-abcdef" },
                "stringData": { "token-id": "abcdef", "token-secret": "0123456789abcdef",
                    "usage-bootstrap-signing": "true" },
            });
            json_patch::merge(&mut secret, &json!({ "stringData": change }));
            let texts = secret["stringData"].take();
            let mut secret: Secret = serde_json::from_value(secret).unwrap();
            let texts: BTreeMap<String, String> = serde_json::from_value(texts).unwrap();
            let bytes = |text: String| k8s_openapi::ByteString(text.into_bytes());
            secret.data = Some(texts.into_iter().map(|(k, text)| (k, bytes(text))).collect());
            vouching(&secret).is_some()
        };
        assert!(of(json!({})));
        assert!(of(json!({ "expiration": "2999-01-01T00:00:00Z" })));
        for change in [
            json!({ "usage-bootstrap-signing": null }),
            json!({ "token-id": "another" }),
            json!({ "token-secret": null }),
            json!({ "expiration": "2000-01-01T00:00:00Z" }),
            json!({ "expiration": "soon" }),
        ] {
            assert!(!of(change.clone()), "{change}");
        }
    }
}
