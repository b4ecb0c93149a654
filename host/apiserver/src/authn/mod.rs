//! Who is asking: in-process identities, client certificates, bearer tokens. Decides nothing about
//! what the caller may do.

mod certificate;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, header};
use sha2::{Digest, Sha256};

use crate::error::{ApiError, Result};

/// The group of everybody who has shown who he is.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// The group that may do everything.
pub(crate) const MASTERS: &str = "system:masters";
/// The group of all nodes, and what their names begin with.
pub(crate) const NODES: &str = "system:nodes";
pub(crate) const NODE: &str = "system:node:";
/// What the names of service accounts begin with.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The user name of a service account.
pub(crate) fn service_account_name(namespace: &str, name: &str) -> String {
    format!("{SERVICE_ACCOUNT}{namespace}:{name}")
}

/// The groups of the service accounts of a namespace.
pub(crate) fn service_account_groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")]
}

/// A caller: `authentication.k8s.io/v1 UserInfo`.
///
/// A request that carries an `Arc<Identity>` extension is taken as already authenticated, so only
/// the program itself may set one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub name: String,
    /// Tells users of the same name apart in time; may be empty.
    pub uid: String,
    /// The groups the user belongs to.
    pub groups: Vec<String>,
    /// Whatever else the authenticator knows.
    pub extra: Vec<(String, Vec<String>)>,
}

impl Identity {
    /// A user with groups and nothing else.
    pub fn new(name: impl Into<String>, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Self { name: name.into(), groups, ..Self::default() }
    }

    /// Somebody who may do everything.
    pub fn master(name: impl Into<String>) -> Self {
        Self::new(name, &[MASTERS, AUTHENTICATED])
    }

    /// A component of the program itself, in the groups that its name puts it in: those of a
    /// service account, of a node, or none.
    pub fn component(name: impl Into<String>) -> Self {
        let name = name.into();
        let mut identity = Self::default();
        if let Some(account) = name.strip_prefix(SERVICE_ACCOUNT) {
            let namespace = account.split(':').next().unwrap_or_default();
            identity.groups = service_account_groups(namespace);
        } else if name.starts_with(NODE) {
            identity.groups.push(NODES.into());
        }
        identity.groups.push(AUTHENTICATED.into());
        Self { name, ..identity }
    }

    pub(crate) fn anonymous() -> Self {
        Self::new("system:anonymous", &["system:unauthenticated"])
    }

    /// Whether the user belongs to `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    fn authenticated(mut self) -> Arc<Self> {
        if !self.is_in(AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.into());
        }
        Arc::new(self)
    }
}

/// A bearer token and whom it stands for.
#[derive(Clone, Debug)]
pub struct StaticToken {
    /// The secret.
    pub token: String,
    /// Whom it stands for.
    pub identity: Identity,
}

/// The client certificate of a connection, as DER, verified by the TLS layer: a request extension.
#[derive(Clone, Debug)]
pub struct PeerCertificate(pub Arc<[u8]>);

/// How many certificates are remembered before all are forgotten.
const REMEMBERED: usize = 1024;

pub(crate) struct Authenticator {
    /// By the digest of the token, so that looking one up takes no longer for a better guess.
    tokens: HashMap<[u8; 32], Arc<Identity>>,
    /// What certificates were found to say: reading one costs more than a whole request.
    certificates: RwLock<HashMap<Arc<[u8]>, Arc<Identity>>>,
}

impl Authenticator {
    pub(crate) fn new(tokens: Vec<StaticToken>) -> Self {
        let tokens = tokens
            .into_iter()
            .map(|StaticToken { token, identity }| (digest(&token), identity.authenticated()))
            .collect();
        Self { tokens, certificates: RwLock::default() }
    }

    /// The caller; `None` if the request says nothing about him.
    pub(crate) fn authenticate(&self, request: &Request<Body>) -> Result<Option<Arc<Identity>>> {
        if let Some(identity) = request.extensions().get::<Arc<Identity>>() {
            return Ok(Some(identity.clone()));
        }
        if let Some(authorization) = request.headers().get(header::AUTHORIZATION) {
            let token = authorization.to_str().ok().and_then(token);
            // A header of another scheme is somebody else's business; a bad token is not.
            if let Some(token) = token {
                let identity = self.identify(&token).ok_or_else(ApiError::unauthorized)?;
                return Ok(Some(identity));
            }
        }
        match request.extensions().get::<PeerCertificate>() {
            Some(PeerCertificate(der)) => self.certified(der).map(Some),
            None => Ok(None),
        }
    }

    /// Whom a bearer token stands for.
    pub(crate) fn identify(&self, token: &str) -> Option<Arc<Identity>> {
        self.tokens.get(&digest(token)).cloned()
    }

    fn certified(&self, der: &Arc<[u8]>) -> Result<Arc<Identity>> {
        let known = self.certificates.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = known.get(der) {
            return Ok(identity.clone());
        }
        drop(known);
        let identity =
            certificate::identity(der).ok_or_else(ApiError::unauthorized)?.authenticated();
        let mut known = self.certificates.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(der.clone(), identity.clone());
        Ok(identity)
    }
}

/// The token in an `Authorization` header: a bearer token, or the password of the basic scheme
/// under any user name, which is all that OCI clients can be told.
fn token(authorization: &str) -> Option<Cow<'_, str>> {
    let (scheme, credentials) = authorization.trim().split_once(' ')?;
    let credentials = credentials.trim();
    let token = if scheme.eq_ignore_ascii_case("bearer") {
        Cow::Borrowed(credentials)
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
        Cow::Owned(decoded.split_once(':')?.1.to_owned())
    } else {
        return None;
    };
    (!token.is_empty()).then_some(token)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_as_bearer_or_as_password() {
        let basic = format!("Basic {}", STANDARD.encode("anyone:se:cret"));
        for (header, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            (basic.as_str(), Some("se:cret")),
            ("Basic not base64", None),
            ("Bearer ", None),
            ("Digest abc", None),
            ("abc", None),
        ] {
            assert_eq!(token(header).as_deref(), expected, "{header}");
        }
    }
}
