//! Which issuers are trusted, and what their tokens mean: `AuthenticationConfiguration` of
//! `apiserver.config.k8s.io`, and the options that stand for the simplest one.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

use super::mapping::Mapping;

/// What may sign tokens; which of these an issuer uses is its own choice.
const ALGORITHMS: &[&str] =
    &["ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];
const VERSIONS: [&str; 2] = ["apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"];
/// Issuers that may be configured.
const ISSUERS_AT_MOST: usize = 64;

/// A configuration that cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigurationError(String);

type Result<T, E = ConfigurationError> = std::result::Result<T, E>;

/// Whose tokens count, beside the cluster's own.
#[derive(Debug, Default)]
pub struct AuthenticationConfiguration(Vec<(Issuer, Mapping)>);

/// The flags `--oidc-*` of Kubernetes' API server.
#[derive(Clone, Debug, Default)]
pub struct OidcOptions {
    /// The issuer's URL.
    pub issuer_url: String,
    /// The audience that tokens must name.
    pub client_id: String,
    /// The claim that is the user's name.
    pub username_claim: String,
    /// What stands before it; the issuer and `#` if empty, nothing if `-`.
    pub username_prefix: String,
    /// The claim with the user's groups; none if empty.
    pub groups_claim: String,
    /// What stands before each.
    pub groups_prefix: String,
    /// Claims that must be there, with their values.
    pub required_claims: Vec<(String, String)>,
    /// Authorities that vouch for the issuer's server, as PEM; the host's if empty.
    pub authorities: String,
    /// Algorithms that tokens may be signed with; RS256 if empty.
    pub signing_algorithms: Vec<String>,
}

/// Who issues.
#[derive(Clone, Debug)]
pub(super) struct Issuer {
    pub(super) url: String,
    /// Where its configuration stands, if not at the usual place.
    pub(super) discovery_url: Option<String>,
    pub(super) authorities: String,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<String>,
}

impl AuthenticationConfiguration {
    /// Reads a configuration file: YAML or JSON.
    pub fn read(text: &str) -> Result<Self> {
        let file: File = serde_yaml::from_str(text)
            .map_err(|error| ConfigurationError(format!("the configuration: {error}")))?;
        if file.kind != "AuthenticationConfiguration" || !VERSIONS.contains(&&*file.api_version) {
            let File { kind, api_version, .. } = file;
            return Err(ConfigurationError(format!(
                "no kind {kind:?} is registered for version {api_version:?}"
            )));
        }
        if file.anonymous.is_some() {
            let why = "anonymous: Forbidden: anonymous requests reach health checks alone";
            return Err(ConfigurationError(why.into()));
        }
        if file.jwt.len() > ISSUERS_AT_MOST {
            let why = format!(
                "jwt: Too many: {}: must have at most {ISSUERS_AT_MOST} items",
                file.jwt.len()
            );
            return Err(ConfigurationError(why));
        }
        let algorithms: Vec<String> = ALGORITHMS.iter().map(|name| (*name).to_owned()).collect();
        let mut found = vec![];
        for (at, jwt) in file.jwt.into_iter().enumerate() {
            let path = format!("jwt[{at}]");
            let issuer = jwt.issuer.checked(&format!("{path}.issuer"), algorithms.clone())?;
            if found.iter().any(|(known, _): &(Issuer, Mapping)| known.url == issuer.url) {
                let url = &issuer.url;
                let why = format!("{path}.issuer.url: Duplicate value: {url:?}");
                return Err(ConfigurationError(why));
            }
            let mapping = Mapping::new(
                jwt.claim_mappings,
                jwt.claim_validation_rules,
                jwt.user_validation_rules,
                &path,
            );
            found.push((issuer, mapping.map_err(ConfigurationError)?));
        }
        Ok(Self(found))
    }

    /// What options say.
    pub fn of(options: OidcOptions) -> Result<Self> {
        if options.issuer_url.is_empty() || options.client_id.is_empty() {
            let why = "oidc-issuer-url and oidc-client-id must be specified together when any \
                       oidc-* flags are set";
            return Err(ConfigurationError(why.into()));
        }
        let claim = options.username_claim;
        let prefix = match options.username_prefix.as_str() {
            // Names of other issuers must not be taken for this one's; addresses are unique.
            "" if claim != "email" => format!("{}#", options.issuer_url),
            "-" => String::new(),
            given => given.to_owned(),
        };
        let of = |claim: String, prefix: String| Source {
            claim,
            prefix: Some(prefix),
            expression: String::new(),
        };
        let groups = match options.groups_claim {
            claim if claim.is_empty() => Source::default(),
            claim => of(claim, options.groups_prefix),
        };
        let mappings = Mappings { username: of(claim, prefix), groups, ..Mappings::default() };
        let rules = options.required_claims.into_iter().map(|(claim, required_value)| ClaimRule {
            claim,
            required_value,
            ..ClaimRule::default()
        });
        let mapping = Mapping::new(mappings, rules.collect(), vec![], "oidc");
        let mut algorithms = options.signing_algorithms;
        if algorithms.is_empty() {
            algorithms.push("RS256".into());
        }
        if let Some(unknown) = algorithms.iter().find(|name| !ALGORITHMS.contains(&name.as_str())) {
            let why = format!("oidc: unsupported signing alg: {unknown:?}");
            return Err(ConfigurationError(why));
        }
        let given = GivenIssuer {
            url: options.issuer_url,
            audiences: vec![options.client_id],
            certificate_authority: options.authorities,
            ..GivenIssuer::default()
        };
        let issuer = given.checked("oidc-issuer", algorithms)?;
        Ok(Self(vec![(issuer, mapping.map_err(ConfigurationError)?)]))
    }

    pub(super) fn into_parts(self) -> impl Iterator<Item = (Issuer, Mapping)> {
        self.0.into_iter()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    api_version: String,
    kind: String,
    #[serde(default)]
    jwt: Vec<Jwt>,
    anonymous: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Jwt {
    issuer: GivenIssuer,
    #[serde(default)]
    claim_validation_rules: Vec<ClaimRule>,
    claim_mappings: Mappings,
    #[serde(default)]
    user_validation_rules: Vec<UserRule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct GivenIssuer {
    url: String,
    #[serde(rename = "discoveryURL")]
    discovery_url: Option<String>,
    certificate_authority: String,
    audiences: Vec<String>,
    audience_match_policy: String,
}

/// A claim that must have a value, or an expression that must be true.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ClaimRule {
    pub(super) claim: String,
    pub(super) required_value: String,
    pub(super) expression: String,
    pub(super) message: String,
}

/// An expression about the user that must be true.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UserRule {
    pub(super) expression: String,
    pub(super) message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Mappings {
    pub(super) username: Source,
    pub(super) groups: Source,
    pub(super) uid: Source,
    pub(super) extra: Vec<Extra>,
}

/// Where a part of an identity comes from.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Source {
    pub(super) claim: String,
    pub(super) prefix: Option<String>,
    pub(super) expression: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Extra {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value_expression: String,
}

impl GivenIssuer {
    fn checked(self, path: &str, algorithms: Vec<String>) -> Result<Issuer> {
        let fail = |why: String| Err(ConfigurationError(format!("{path}.{why}")));
        if let Err(why) = is_url(&self.url) {
            return fail(format!("url: {why}"));
        }
        if let Some(url) = &self.discovery_url {
            if let Err(why) = is_url(url) {
                return fail(format!("discoveryURL: {why}"));
            }
            if url.trim_end_matches('/') == self.url.trim_end_matches('/') {
                let why = "discoveryURL must be different from URL";
                return fail(format!("discoveryURL: Invalid value: {url:?}: {why}"));
            }
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return fail("audiences: Required value: at least one audience is required".into());
        }
        match self.audience_match_policy.as_str() {
            "MatchAny" => {}
            "" if self.audiences.len() == 1 => {}
            other => {
                let why = "audienceMatchPolicy must be MatchAny for multiple audiences";
                return fail(format!("audienceMatchPolicy: Invalid value: {other:?}: {why}"));
            }
        }
        for certificate in CertificateDer::pem_slice_iter(self.certificate_authority.as_bytes()) {
            if let Err(error) = certificate {
                return fail(format!("certificateAuthority: Invalid value: {error}"));
            }
        }
        Ok(Issuer {
            url: self.url,
            discovery_url: self.discovery_url,
            authorities: self.certificate_authority,
            audiences: self.audiences,
            algorithms,
        })
    }
}

/// An `https` URL that names a place and nothing else.
fn is_url(url: &str) -> std::result::Result<(), String> {
    if url.is_empty() {
        return Err("Required value: URL is required".into());
    }
    let fail = |why: &str| Err(format!("Invalid value: {url:?}: {why}"));
    let Ok(parsed) = url.parse::<http::Uri>() else { return fail("it is no URL") };
    if parsed.scheme_str() != Some("https") {
        return fail("URL scheme must be https");
    }
    if parsed.authority().is_none_or(|authority| authority.as_str().contains('@')) {
        return fail("URL must not contain a username or password");
    }
    if url.contains('?') {
        return fail("URL must not contain a query");
    }
    if url.contains('#') {
        return fail("URL must not contain a fragment");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_options_must_say() {
        let options = |issuer: &str, client: &str| OidcOptions {
            issuer_url: issuer.into(),
            client_id: client.into(),
            username_claim: "sub".into(),
            ..OidcOptions::default()
        };
        assert!(AuthenticationConfiguration::of(options("https://x", "me")).is_ok());
        let signed = |algorithm: &str| OidcOptions {
            signing_algorithms: vec![algorithm.into()],
            ..options("https://x", "me")
        };
        assert!(AuthenticationConfiguration::of(signed("ES512")).is_ok());
        for (options, expected) in [
            (options("https://x", ""), "oidc-issuer-url and oidc-client-id must be specified"),
            (options("http://x", "me"), "oidc-issuer.url: Invalid value: \"http://x\": URL scheme"),
            (signed("HS256"), "oidc: unsupported signing alg: \"HS256\""),
        ] {
            let why = AuthenticationConfiguration::of(options).unwrap_err().to_string();
            assert!(why.starts_with(expected), "{why}");
        }
    }

    #[test]
    fn what_a_file_must_say() {
        let file = |jwt: &str| {
            let text = format!(
                "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n{jwt}"
            );
            AuthenticationConfiguration::read(&text).map(drop).map_err(|error| error.to_string())
        };
        let of = |issuer: &str, rest: &str| format!("- issuer: {issuer}\n{rest}");
        let good = "{url: 'https://x', audiences: [a]}";
        let named = "  claimMappings: {username: {claim: sub, prefix: ''}}\n";
        assert_eq!(file(&of(good, named)), Ok(()));
        for (text, expected) in [
            (of("{url: 'https://x', audiences: []}", named), "jwt[0].issuer.audiences: Required"),
            (
                of("{url: 'https://x', audiences: [a, b]}", named),
                "jwt[0].issuer.audienceMatchPolicy: Invalid value: \"\"",
            ),
            (
                of("{url: 'https://x', discoveryURL: 'https://x/', audiences: [a]}", named),
                "jwt[0].issuer.discoveryURL: Invalid value",
            ),
            (of(good, named).repeat(2), "jwt[1].issuer.url: Duplicate value: \"https://x\""),
            (
                of(good, "  claimMappings: {username: {claim: sub}}"),
                "jwt[0].claimMappings.username.prefix: Required value",
            ),
            (
                of(good, "  claimMappings: {username: {}}"),
                "jwt[0].claimMappings.username: Required value: claim or expression is required",
            ),
            (
                of(good, "  claimMappings: {username: {expression: 'claims.'}}"),
                "jwt[0].claimMappings.username.expression: Invalid value: \"claims.\": ",
            ),
            (
                of(
                    good,
                    &format!("{named}  userValidationRules: [{{expression: 'user.username'}}]"),
                ),
                "jwt[0].userValidationRules[0].expression: Invalid value: \"user.username\": must \
                 evaluate to bool",
            ),
            (
                of(good, "  claimMappings: {username: {claim: a, prefix: '', expression: b}}"),
                "jwt[0].claimMappings.username: Invalid value: \"\": claim and expression can't both be set",
            ),
        ] {
            let why = file(&text).unwrap_err();
            assert!(why.starts_with(expected), "{why}");
        }
        let why = AuthenticationConfiguration::read("apiVersion: v1\nkind: Pod").unwrap_err();
        assert_eq!(why.to_string(), "no kind \"Pod\" is registered for version \"v1\"");
    }
}
