//! The keys of an issuer: found by its configuration, fetched when a token needs them, kept until
//! one is signed by a key that is not there.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Body;
use http::{Request, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::configuration::Issuer;
use crate::authn::jwt::{PublicKey, Unverified};
use crate::config::Dialer;
use crate::server::Server;
use crate::upstream::{Peer, Trust, Upstream};

/// Keys are fetched this often at most, whatever tokens claim.
const PAUSE: Duration = Duration::from_secs(10);
/// How long fetching may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a configuration, and of a set of keys.
const LARGEST: usize = 1 << 20;
/// Keys of one issuer.
const KEYS_AT_MOST: usize = 256;

pub(super) struct Keys {
    issuer: String,
    /// Where the issuer's configuration is.
    configuration: String,
    upstream: Result<Upstream, String>,
    known: RwLock<Arc<[PublicKey]>>,
    /// When keys were last asked for. Held while they are.
    asked: Mutex<Option<Instant>>,
}

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

impl Keys {
    pub(super) fn new(issuer: &Issuer, dialer: &Arc<dyn Dialer>) -> Self {
        let usual =
            || format!("{}/.well-known/openid-configuration", issuer.url.trim_end_matches('/'));
        let trust = Trust { bundle: issuer.authorities.as_bytes(), anyone: false, shown: None };
        Self {
            issuer: issuer.url.clone(),
            configuration: issuer.discovery_url.clone().unwrap_or_else(usual),
            upstream: Upstream::new(dialer, Peer::Host, &trust),
            known: RwLock::new(Arc::new([])),
            asked: Mutex::default(),
        }
    }

    fn known(&self) -> Arc<[PublicKey]> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fails unless a key of the issuer made the token's signature.
    pub(super) async fn expect_signature(
        &self,
        server: &Server,
        token: &Unverified<'_>,
    ) -> Result<(), String> {
        let before = self.known();
        if token.signed_by(&before) {
            return Ok(());
        }
        let mut asked = self.asked.lock().await;
        // Somebody else may have asked meanwhile.
        let now = self.known();
        if !Arc::ptr_eq(&now, &before) && token.signed_by(&now) {
            return Ok(());
        }
        if asked.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(unverified(&now));
        }
        *asked = Some(Instant::now());
        let fetched = tokio::time::timeout(LIMIT, self.fetch(server)).await;
        let fetched = fetched.unwrap_or_else(|_| Err("the issuer does not answer".into()));
        let fetched: Arc<[PublicKey]> = fetched
            .inspect_err(|why| tracing::warn!(issuer = self.issuer, why, "no keys of an issuer"))?
            .into();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = fetched.clone();
        if token.signed_by(&fetched) { Ok(()) } else { Err(unverified(&fetched)) }
    }

    async fn fetch(&self, server: &Server) -> Result<Vec<PublicKey>, String> {
        let found: Configuration = self.get(server, &self.configuration).await?;
        if found.issuer != self.issuer {
            let Self { issuer, .. } = self;
            return Err(format!(
                "issuer did not match the issuer returned by provider, expected {issuer:?} got {:?}",
                found.issuer
            ));
        }
        if !found.jwks_uri.starts_with("https://") {
            return Err(format!("the keys' address {:?} is none of https", found.jwks_uri));
        }
        let set: KeySet = self.get(server, &found.jwks_uri).await?;
        let usable = set.keys.iter().filter_map(PublicKey::from_jwk);
        Ok(usable.take(KEYS_AT_MOST).collect())
    }

    async fn get<T: for<'a> Deserialize<'a>>(
        &self,
        server: &Server,
        url: &str,
    ) -> Result<T, String> {
        let upstream = self.upstream.as_ref().map_err(Clone::clone)?;
        let request = Request::get(url)
            .header(header::ACCEPT, "application/json")
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let wrong = |why: &dyn std::fmt::Display| format!("Get {url:?}: {why}");
        let response = upstream.send(server, request).await.map_err(|why| wrong(&why))?;
        if !response.status().is_success() {
            return Err(wrong(&response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| wrong(&error))?.to_bytes();
        serde_json::from_slice(&body).map_err(|error| wrong(&error))
    }
}

fn unverified(known: &[PublicKey]) -> String {
    if known.is_empty() {
        "authenticator not initialized".into()
    } else {
        "verify token: failed to verify signature: failed to verify id token signature".into()
    }
}
