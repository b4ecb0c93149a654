//! Tokens of others' issuers (OpenID Connect): who issues them, whom they stand for, and the keys
//! by which that is believed (`plugin/pkg/authenticator/token/oidc`). What is configured stands in
//! `configuration`, what claims mean in `mapping`, keys are fetched in `keys`.

mod configuration;
mod keys;
mod mapping;

use std::sync::Arc;

use coracle_api::clock;

pub use configuration::{AuthenticationConfiguration, ConfigurationError, OidcOptions};

use self::configuration::Issuer;
use self::keys::Keys;
use self::mapping::Mapping;
use super::Identity;
use super::jwt::Unverified;
use super::service_account::{moment, strings};
use crate::config::Dialer;
use crate::server::Server;

/// How far clocks may be apart, in seconds, where a token says when it begins.
const LEEWAY: i64 = 300;

/// All issuers whose tokens count.
pub(crate) struct Issuers(Vec<Trusted>);

/// An issuer whose tokens count.
struct Trusted {
    issuer: Issuer,
    mapping: Mapping,
    keys: Keys,
}

impl Issuers {
    pub(crate) fn new(
        configuration: AuthenticationConfiguration,
        dialer: &Arc<dyn Dialer>,
    ) -> Self {
        let trusted = configuration.into_parts().map(|(issuer, mapping)| {
            let keys = Keys::new(&issuer, dialer);
            Trusted { issuer, mapping, keys }
        });
        Self(trusted.collect())
    }

    /// Whom the token stands for; `None` if its issuer is not known.
    pub(crate) async fn identify(
        &self,
        server: &Server,
        token: &Unverified<'_>,
    ) -> Option<Result<Identity, String>> {
        // One issuer may serve several audiences, each with a meaning of its own.
        let mut answer = None;
        for trusted in self.0.iter().filter(|known| known.issuer.url == token.issuer()) {
            let judged = trusted.identify(server, token).await;
            let held = judged.is_ok();
            answer = Some(judged.map_err(|why| format!("oidc: {why}")));
            if held {
                break;
            }
        }
        answer
    }
}

impl Trusted {
    async fn identify(&self, server: &Server, token: &Unverified<'_>) -> Result<Identity, String> {
        let Issuer { audiences, algorithms, .. } = &self.issuer;
        let algorithm = &token.header.alg;
        if !algorithms.iter().any(|known| known == algorithm) {
            return Err(format!(
                "verify token: id token signed with unsupported algorithm, expected {algorithms:?} \
                 got {algorithm:?}"
            ));
        }
        let meant = strings(&token.claims["aud"]);
        if !meant.iter().any(|audience| audiences.contains(audience)) {
            return Err(format!("verify token: expected audience in {audiences:?} got {meant:?}"));
        }
        let now = clock::now().as_second();
        if moment(&token.claims["exp"]).is_none_or(|end| end < now) {
            return Err("verify token: token is expired".into());
        }
        if moment(&token.claims["nbf"]).is_some_and(|begin| begin > now + LEEWAY) {
            return Err("verify token: current time is before the nbf (not before) time".into());
        }
        self.keys.expect_signature(server, token).await?;
        self.mapping.identity(&token.claims)
    }
}
