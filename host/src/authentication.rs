//! Whose tokens the API server believes, beside its own: options as Kubernetes' API server has them.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use coracle_apiserver::{AuthenticationConfiguration, OidcOptions};

/// Issuers of tokens (OpenID Connect).
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct AuthenticationOptions {
    /// Issuers whose tokens count: a file with an apiserver.config.k8s.io/v1
    /// AuthenticationConfiguration. Instead of the options that begin with `oidc`.
    #[arg(long, env = "CORACLE_AUTHENTICATION_CONFIG")]
    authentication_config: Option<PathBuf>,

    /// The URL of an issuer whose tokens count, with https.
    #[arg(long, env = "CORACLE_OIDC_ISSUER_URL")]
    oidc_issuer_url: Option<String>,

    /// The audience that these tokens must name.
    #[arg(long, env = "CORACLE_OIDC_CLIENT_ID")]
    oidc_client_id: Option<String>,

    /// The claim that is the user's name.
    #[arg(long, env = "CORACLE_OIDC_USERNAME_CLAIM", default_value = "sub")]
    oidc_username_claim: String,

    /// What stands before the user's name: by default the issuer's URL and `#`, unless the name is
    /// an email address; nothing if `-`.
    #[arg(
        long,
        env = "CORACLE_OIDC_USERNAME_PREFIX",
        default_value = "",
        allow_hyphen_values = true
    )]
    oidc_username_prefix: String,

    /// The claim with the user's groups.
    #[arg(long, env = "CORACLE_OIDC_GROUPS_CLAIM", default_value = "")]
    oidc_groups_claim: String,

    /// What stands before the name of each group.
    #[arg(long, env = "CORACLE_OIDC_GROUPS_PREFIX", default_value = "")]
    oidc_groups_prefix: String,

    /// A claim that tokens must have, as key=value; several are separated by commas.
    #[arg(long, env = "CORACLE_OIDC_REQUIRED_CLAIM", value_delimiter = ',', value_parser = pair)]
    oidc_required_claim: Vec<(String, String)>,

    /// Who vouches for the issuer's server: a file of PEM certificates; by default whom the host
    /// trusts.
    #[arg(long, env = "CORACLE_OIDC_CA_FILE")]
    oidc_ca_file: Option<PathBuf>,

    /// Algorithms that tokens may be signed with, separated by commas.
    #[arg(long, env = "CORACLE_OIDC_SIGNING_ALGS", value_delimiter = ',', default_value = "RS256")]
    oidc_signing_algs: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it must be of the form key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl AuthenticationOptions {
    /// What the options, or the file that they name, say.
    pub(crate) fn read(&self) -> Result<AuthenticationConfiguration> {
        let oidc = self.oidc_issuer_url.is_some()
            || self.oidc_client_id.is_some()
            || self.oidc_ca_file.is_some()
            || !self.oidc_required_claim.is_empty()
            || !self.oidc_groups_claim.is_empty();
        if let Some(path) = &self.authentication_config {
            ensure!(!oidc, "authentication-config file and oidc-* flags are mutually exclusive");
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("reading {}", path.display()))?;
            let read = AuthenticationConfiguration::read(&text);
            return read.with_context(|| format!("reading {}", path.display()));
        }
        if !oidc {
            return Ok(AuthenticationConfiguration::default());
        }
        let authorities = match &self.oidc_ca_file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("reading the certificates of {}", path.display()))?,
            None => String::new(),
        };
        Ok(AuthenticationConfiguration::of(OidcOptions {
            issuer_url: self.oidc_issuer_url.clone().unwrap_or_default(),
            client_id: self.oidc_client_id.clone().unwrap_or_default(),
            username_claim: self.oidc_username_claim.clone(),
            username_prefix: self.oidc_username_prefix.clone(),
            groups_claim: self.oidc_groups_claim.clone(),
            groups_prefix: self.oidc_groups_prefix.clone(),
            required_claims: self.oidc_required_claim.clone(),
            authorities,
            signing_algorithms: self.oidc_signing_algs.clone(),
        })?)
    }
}
