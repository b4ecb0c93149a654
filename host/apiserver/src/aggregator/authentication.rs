//! The ConfigMap from which extensions learn whom to believe: who vouches for client certificates,
//! and how they recognise this server, which speaks for its callers
//! (`clusterauthenticationtrust` of Kubernetes). What another server has added to it stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};

use crate::authn::RequestHeader;
use crate::error::{ApiError, Result};
use crate::server::Server;
use crate::timeouts;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
const KEY: &str = "/registry/core/configmaps/kube-system/extension-apiserver-authentication";
/// How a certificate ends in PEM.
const END: &str = "-----END CERTIFICATE-----";

pub(super) async fn run(server: &Arc<Server>, client: &Client) {
    loop {
        if let Err(error) = follow(server, client).await {
            tracing::warn!(%error, name = NAME, "cannot keep a ConfigMap");
        }
        tokio::time::sleep(timeouts::AGGREGATOR_RETRY).await;
    }
}

async fn follow(server: &Arc<Server>, client: &Client) -> Result<()> {
    let revision = server.store.revision().await?;
    let mut watch = server.store.watch(KEY, revision).await?;
    loop {
        publish(server, client).await?;
        let Some(event) = watch.next().await else { return Ok(()) };
        event?;
    }
}

async fn publish(server: &Server, client: &Client) -> Result<()> {
    let all = Api::<ConfigMap>::namespaced(client.clone(), NAMESPACE);
    let present = all.get_opt(NAME).await.map_err(ApiError::internal)?;
    let data = present.as_ref().and_then(|present| present.data.clone()).unwrap_or_default();
    let due = combined(&data, &server.client_authorities, &server.authenticator.request_header);
    if present.is_some() && due == data {
        return Ok(());
    }
    let metadata = ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() };
    let mut object = present.clone().unwrap_or(ConfigMap { metadata, ..ConfigMap::default() });
    object.data = Some(due).filter(|due| !due.is_empty());
    let written = match present {
        Some(_) => all.replace(NAME, &PostParams::default(), &object).await,
        None => all.create(&PostParams::default(), &object).await,
    };
    written.map(drop).map_err(ApiError::internal)
}

/// What is there, and what this server has to say.
fn combined(
    present: &BTreeMap<String, String>,
    clients: &str,
    own: &RequestHeader,
) -> BTreeMap<String, String> {
    let mut data = BTreeMap::new();
    let text = |key: &str| present.get(key).map(String::as_str).unwrap_or_default();
    let mut say = |key: &str, value: String| {
        if !value.is_empty() {
            data.insert(key.to_owned(), value);
        }
    };
    say("client-ca-file", certificates(text("client-ca-file"), clients));
    let authorities = certificates(text("requestheader-client-ca-file"), &own.authorities);
    if !authorities.is_empty() {
        for (key, own) in [
            ("requestheader-allowed-names", &own.allowed_names),
            ("requestheader-extra-headers-prefix", &own.extra_prefixes),
            ("requestheader-group-headers", &own.group_headers),
            ("requestheader-uid-headers", &own.uid_headers),
            ("requestheader-username-headers", &own.username_headers),
        ] {
            let mut list: Vec<String> = serde_json::from_str(text(key)).unwrap_or_default();
            list.extend(own.iter().cloned());
            let mut seen = std::collections::HashSet::new();
            list.retain(|one| seen.insert(one.clone()));
            say(key, serde_json::json!(list).to_string());
        }
        say("requestheader-client-ca-file", authorities);
    }
    data
}

/// Every certificate of both, once.
fn certificates(present: &str, own: &str) -> String {
    let mut all: Vec<&str> = vec![];
    for one in present.split_inclusive(END).chain(own.split_inclusive(END)) {
        let one = one.trim();
        if one.ends_with(END) && !all.contains(&one) {
            all.push(one);
        }
    }
    all.iter().map(|one| format!("{one}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_stays() {
        let pem = |name: &str| format!("-----BEGIN CERTIFICATE-----\n{name}\n{END}\n");
        let own = RequestHeader { authorities: pem("proxy"), ..RequestHeader::default() };
        let first = combined(&BTreeMap::new(), &pem("ca"), &own);
        assert_eq!(first["client-ca-file"], pem("ca"));
        assert_eq!(first["requestheader-allowed-names"], r#"["front-proxy-client"]"#);
        assert_eq!(first["requestheader-extra-headers-prefix"], r#"["X-Remote-Extra-"]"#);
        assert_eq!(first["requestheader-uid-headers"], r#"["X-Remote-Uid"]"#);
        assert_eq!(combined(&first, &pem("ca"), &own), first);
        let other = RequestHeader {
            authorities: pem("other"),
            allowed_names: vec!["other".into()],
            ..RequestHeader::default()
        };
        let both = combined(&first, "", &other);
        assert_eq!(both["client-ca-file"], pem("ca"));
        assert_eq!(both["requestheader-client-ca-file"], pem("proxy") + &pem("other"));
        assert_eq!(both["requestheader-allowed-names"], r#"["front-proxy-client","other"]"#);
        let none = combined(&BTreeMap::new(), "", &RequestHeader::default());
        assert!(none.is_empty());
    }
}
