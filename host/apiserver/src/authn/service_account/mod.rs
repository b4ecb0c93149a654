//! Service accounts' tokens: what they say, whom they are given to, and whether they still hold
//! (`pkg/serviceaccount`). A token ends with what it is bound to: that is looked up at each
//! request, so that nothing has to be revoked.

mod claims;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use coracle_api::clock;
use coracle_store::Entry;
use serde_json::{Value, json};

use super::jwt::{PublicKey, SigningKey, Unverified};
use super::{Identity, Verified, digest, service_account_groups, service_account_name};
use crate::config::ServiceAccountIssuer;
use crate::registry::{Facts, key};
use crate::server::Server;

pub(crate) use claims::{Bound, Claims, Reference, WARN_AFTER, moment, strings};

/// How many tokens whose signature was checked are remembered before all are forgotten.
const REMEMBERED: usize = 4096;
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 60;
/// The issuer of tokens that stand in Secrets.
pub(crate) const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// The issuer of service accounts' tokens.
pub(crate) struct ServiceAccounts {
    issuer: String,
    /// Missing only where the system has no randomness.
    key: Option<SigningKey>,
    keys: Vec<PublicKey>,
    /// Where clients find the keys.
    keys_url: String,
    checked: RwLock<HashMap<[u8; 32], Arc<Claims>>>,
}

impl ServiceAccounts {
    pub(crate) fn new(config: ServiceAccountIssuer) -> Self {
        let ServiceAccountIssuer { issuer, key, keys_url } = config;
        let key = key.or_else(|| match SigningKey::generate() {
            Ok(key) => Some(key),
            Err(error) => {
                tracing::error!(%error, "no tokens for service accounts");
                None
            }
        });
        let keys = key.iter().map(SigningKey::public).collect();
        Self { issuer, key, keys, keys_url, checked: RwLock::default() }
    }

    /// Who issues, which is also the audience of tokens for the API server.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The token that says `claims`.
    pub(crate) fn sign(&self, claims: &Claims) -> Option<String> {
        self.key.as_ref()?.sign(&claims.json(&self.issuer))
    }

    /// `/.well-known/openid-configuration`.
    pub(crate) fn configuration(&self) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": self.keys_url,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// `/openid/v1/jwks`.
    pub(crate) fn key_set(&self) -> Value {
        json!({ "keys": self.key.iter().map(SigningKey::jwk).collect::<Vec<_>>() })
    }

    /// Whether tokens of this issuer are judged here.
    pub(crate) fn issues(&self, issuer: &str) -> bool {
        issuer == self.issuer || issuer == LEGACY_ISSUER
    }

    /// Whom the token stands for, if it holds for one of `audiences`.
    pub(crate) async fn verify(
        &self,
        server: &Server,
        token: &str,
        read: Option<&Unverified<'_>>,
        audiences: &[&str],
    ) -> Result<Verified, String> {
        let digest = digest(token);
        let known = self.remembered(&digest);
        let claims = match known {
            Some(claims) => claims,
            None => {
                let read = read.ok_or("invalid bearer token")?;
                if !read.signed_by(&self.keys) {
                    return Err("invalid bearer token".into());
                }
                let claims = if read.issuer() == LEGACY_ISSUER {
                    Claims::legacy(&read.claims)
                } else {
                    Claims::read(&read.claims)
                };
                let claims = Arc::new(claims.ok_or("invalid bearer token")?);
                self.remember(digest, claims.clone());
                claims
            }
        };
        self.check(server, token, &claims, audiences).await
    }

    /// A token that was checked before, without taking it apart again.
    pub(crate) fn knows(&self, token: &str) -> bool {
        self.remembered(&digest(token)).is_some()
    }

    fn remembered(&self, digest: &[u8; 32]) -> Option<Arc<Claims>> {
        self.checked.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn remember(&self, digest: [u8; 32], claims: Arc<Claims>) {
        let mut checked = self.checked.write().unwrap_or_else(PoisonError::into_inner);
        if checked.len() >= REMEMBERED {
            checked.clear();
        }
        checked.insert(digest, claims);
    }

    async fn check(
        &self,
        server: &Server,
        token: &str,
        claims: &Claims,
        audiences: &[&str],
    ) -> Result<Verified, String> {
        let legacy = matches!(claims.bound, Bound::Legacy(_));
        // Tokens in Secrets know no audience: they are for whoever the API server is.
        let own = std::slice::from_ref(&self.issuer);
        let held = if legacy { own } else { &claims.audiences };
        let shared: Vec<String> =
            held.iter().filter(|held| audiences.contains(&held.as_str())).cloned().collect();
        if shared.is_empty() {
            return Err(format!(
                "token audiences {held:?} is invalid for the target audiences {audiences:?}"
            ));
        }
        let now = clock::now().as_second();
        if claims.expires.is_some_and(|end| now > end + LEEWAY) {
            return Err("service account token has expired".into());
        }
        if claims.not_before.is_some_and(|begin| now + LEEWAY < begin) {
            return Err("service account token is not valid yet".into());
        }
        let Claims { namespace, account, .. } = claims;
        let exists = async |plural: &str, namespace: &str, of: &Reference, what: &str| {
            let entry = stored(server, plural, namespace, &of.name).await?;
            let (uid, deleted) = entry;
            if deleted.is_some_and(|at| at < now - LEEWAY) {
                return Err(format!("{what} has been deleted"));
            }
            if uid != of.uid {
                return Err(match what {
                    "service account" => {
                        format!("service account UID ({uid}) does not match claim ({})", of.uid)
                    }
                    _ => format!(
                        "{what} UID ({uid}) does not match service account {what} ref claim ({})",
                        of.uid
                    ),
                });
            }
            Ok(())
        };
        exists("serviceaccounts", namespace, account, "service account").await?;
        let mut extra = vec![];
        let mut add = |key: &str, value: &str| {
            extra.push((format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]));
        };
        if !claims.id.is_empty() {
            add("credential-id", &format!("JTI={}", claims.id));
        }
        let mut node = |node: &Reference| {
            add("node-name", &node.name);
            if !node.uid.is_empty() {
                add("node-uid", &node.uid);
            }
        };
        match &claims.bound {
            Bound::Nothing => {}
            Bound::Pod(pod, on) => {
                exists("pods", namespace, pod, "pod").await?;
                on.iter().for_each(&mut node);
                add("pod-name", &pod.name);
                add("pod-uid", &pod.uid);
            }
            Bound::Secret(secret) => exists("secrets", namespace, secret, "secret").await?,
            Bound::Node(to) => {
                exists("nodes", "", to, "node").await?;
                node(to);
            }
            Bound::Legacy(secret) => holds(server, namespace, secret, token).await?,
        }
        extra.sort();
        let identity = Identity {
            name: service_account_name(namespace, &account.name),
            uid: account.uid.clone(),
            groups: service_account_groups(namespace),
            extra,
        };
        Ok(Verified { identity: identity.authenticated(), audiences: shared })
    }
}

impl SigningKey {
    /// The token of a service account that holds for as long as it stands in the Secret of this
    /// name in the account's namespace.
    pub fn secret_token(
        &self,
        namespace: &str,
        account: &str,
        uid: &str,
        secret: &str,
    ) -> Option<String> {
        let account = Reference { name: account.to_owned(), uid: uid.to_owned() };
        let claims = Claims {
            namespace: namespace.to_owned(),
            account,
            bound: Bound::Legacy(secret.to_owned()),
            audiences: vec![],
            id: String::new(),
            not_before: None,
            expires: None,
            warn_after: None,
        };
        self.sign(&claims.json(LEGACY_ISSUER))
    }
}

async fn entry(
    server: &Server,
    plural: &str,
    namespace: &str,
    name: &str,
) -> Result<Arc<Entry>, String> {
    let missing = || format!("{plural} {name:?} not found");
    let kind = server.registry.kind("", plural).ok_or_else(missing)?;
    let found = server.store.get(&key(kind.names(), namespace, name)).await;
    found.map_err(|error| error.to_string())?.ok_or_else(missing)
}

/// The uid of an object, and when it goes, if it does.
async fn stored(
    server: &Server,
    plural: &str,
    namespace: &str,
    name: &str,
) -> Result<(String, Option<i64>), String> {
    let entry = entry(server, plural, namespace, name).await?;
    let kind = server.registry.kind("", plural).ok_or("no such kind")?;
    let facts = Facts::of(&entry, &*kind).ok_or("unreadable")?;
    Ok((facts.uid.clone(), facts.deletion))
}

/// Whether the Secret still holds the token.
async fn holds(server: &Server, namespace: &str, secret: &str, token: &str) -> Result<(), String> {
    let entry = entry(server, "secrets", namespace, secret).await;
    let entry = entry.map_err(|_| "service account token has been invalidated")?;
    let secret: k8s_openapi::api::core::v1::Secret =
        serde_json::from_slice(&entry.value).map_err(|error| error.to_string())?;
    let held = secret.data.as_ref().and_then(|data| data.get("token"));
    if held.is_some_and(|held| digest_bytes(&held.0) == digest(token)) {
        Ok(())
    } else {
        Err("service account token does not match server's copy".into())
    }
}

fn digest_bytes(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}
