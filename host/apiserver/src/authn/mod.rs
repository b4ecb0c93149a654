//! Who is asking: in-process identities, client certificates, bearer tokens of several kinds, and
//! as whom. Decides nothing about what the caller may do, but for acting as somebody else.

mod bootstrap_token;
mod certificate;
pub(crate) mod impersonation;
mod jwt;
mod oidc;
mod request_header;
pub(crate) mod service_account;
mod static_tokens;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Extensions, HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::error::{ApiError, Result};
use crate::server::Server;
use jwt::Unverified;
pub(crate) use oidc::Issuers;

pub use jwt::{KeyRejected, SigningKey as ServiceAccountKey};
pub use oidc::{AuthenticationConfiguration, ConfigurationError, OidcOptions};
pub use request_header::{ProxyCertificate, RequestHeader};
pub(crate) use service_account::ServiceAccounts;
pub use static_tokens::TokenFileError;

/// The group of everybody who has shown who he is.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// The group of everybody who has not.
pub(crate) const UNAUTHENTICATED: &str = "system:unauthenticated";
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
        Self::new("system:anonymous", &[UNAUTHENTICATED])
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

/// Whom a token stands for, and for which of the audiences asked for it was made.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) identity: Arc<Identity>,
    pub(crate) audiences: Vec<String>,
}

/// How many certificates are remembered before all are forgotten.
const REMEMBERED: usize = 1024;

/// What every bad token is told.
const INVALID: &str = "invalid bearer token";

pub(crate) struct Authenticator {
    /// By the digest of the token, so that looking one up takes no longer for a better guess.
    tokens: HashMap<[u8; 32], Arc<Identity>>,
    /// What certificates were found to say: reading one costs more than a whole request.
    certificates: RwLock<HashMap<Arc<[u8]>, Arc<Identity>>>,
    pub(crate) service_accounts: ServiceAccounts,
    /// Others whose tokens count.
    issuers: Issuers,
    pub(crate) request_header: RequestHeader,
}

impl Authenticator {
    pub(crate) fn new(
        tokens: Vec<StaticToken>,
        service_accounts: ServiceAccounts,
        issuers: Issuers,
        request_header: RequestHeader,
    ) -> Self {
        let tokens = tokens
            .into_iter()
            .map(|StaticToken { token, identity }| (digest(&token), identity.authenticated()))
            .collect();
        Self { tokens, certificates: RwLock::default(), service_accounts, issuers, request_header }
    }

    /// The caller; `None` if the request says nothing about him.
    pub(crate) async fn authenticate(
        &self,
        server: &Server,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Option<Arc<Identity>>> {
        if let Some(identity) = extensions.get::<Arc<Identity>>() {
            return Ok(Some(identity.clone()));
        }
        if let Some(identity) = self.request_header.identity(headers, extensions) {
            return Ok(Some(identity.authenticated()));
        }
        if let Some(authorization) = headers.get(header::AUTHORIZATION) {
            let token = authorization.to_str().ok().and_then(token);
            // A header of another scheme is somebody else's business; a bad token is not.
            if let Some(token) = token {
                let own = [self.service_accounts.issuer()];
                return match self.identify(server, &token, &own).await {
                    Ok(verified) => Ok(Some(verified.identity)),
                    Err(reason) => {
                        tracing::debug!(reason, "a bearer token was refused");
                        Err(ApiError::unauthorized())
                    }
                };
            }
        }
        match extensions.get::<PeerCertificate>() {
            Some(PeerCertificate(der)) => self.certified(der).map(Some),
            None => Ok(None),
        }
    }

    /// Removes from a request what has shown who the caller is, and what could pretend to.
    pub(crate) fn clear(&self, headers: &mut HeaderMap) {
        headers.remove(header::AUTHORIZATION);
        self.request_header.clear(headers);
    }

    /// Whom a bearer token stands for, if it was made for one of `audiences`; or why it does not
    /// count.
    pub(crate) async fn identify(
        &self,
        server: &Server,
        token: &str,
        audiences: &[&str],
    ) -> Result<Verified, String> {
        let own = self.service_accounts.issuer();
        // Tokens that say nothing of an audience are for this server.
        let plain = |identity: Arc<Identity>| {
            if audiences.contains(&own) {
                Ok(Verified { identity, audiences: vec![own.to_owned()] })
            } else {
                Err(INVALID.to_owned())
            }
        };
        if let Some(identity) = self.tokens.get(&digest(token)) {
            return plain(identity.clone());
        }
        let accounts = &self.service_accounts;
        if accounts.knows(token) {
            return accounts.verify(server, token, None, audiences).await;
        }
        if let Some(read) = Unverified::read(token) {
            if accounts.issues(read.issuer()) {
                return accounts.verify(server, token, Some(&read), audiences).await;
            }
            return match self.issuers.identify(server, &read).await {
                Some(identity) => plain(identity?.authenticated()),
                None => Err(INVALID.into()),
            };
        }
        match bootstrap_token::identify(server, token).await {
            Some(identity) => plain(identity.authenticated()),
            None => Err(INVALID.into()),
        }
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
