//! Bootstrap tokens: `<id>.<secret>`, kept in a Secret `bootstrap-token-<id>` of `kube-system`, by
//! which new nodes make themselves known (`plugin/pkg/auth/authenticator/token/bootstrap`).

use coracle_api::clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use sha2::{Digest, Sha256};

use super::Identity;
use crate::registry::key;
use crate::server::Server;

const TYPE: &str = "bootstrap.kubernetes.io/token";
const NAMESPACE: &str = "kube-system";

/// Identifier and secret of a text that has the form of a bootstrap token.
fn parts(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    (id.len() == 6 && secret.len() == 16 && plain(id) && plain(secret)).then_some((id, secret))
}

/// Whom the token stands for.
pub(super) async fn identify(server: &Server, token: &str) -> Option<Identity> {
    let (id, given) = parts(token)?;
    let kind = server.registry.kind("", "secrets")?;
    let name = format!("bootstrap-token-{id}");
    let entry = server.store.get(&key(kind.names(), NAMESPACE, &name)).await.ok()??;
    let secret: Secret = serde_json::from_slice(&entry.value).ok()?;
    identity(&secret, id, given)
}

fn identity(secret: &Secret, id: &str, given: &str) -> Option<Identity> {
    if secret.type_.as_deref() != Some(TYPE) || secret.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let text = |name: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(name));
        bytes.and_then(|bytes| std::str::from_utf8(&bytes.0).ok()).unwrap_or_default()
    };
    // Digests take the same time to compare however good a guess is.
    if text("token-id") != id || Sha256::digest(text("token-secret")) != Sha256::digest(given) {
        return None;
    }
    let end = text("expiration");
    if !end.is_empty() && end.parse::<Timestamp>().ok()? < clock::now() {
        return None;
    }
    if text("usage-bootstrap-authentication") != "true" {
        return None;
    }
    let mut groups = vec!["system:bootstrappers".to_owned()];
    for group in text("auth-extra-groups").split(',').filter(|group| !group.is_empty()) {
        // One group that may not be given spoils the token.
        groups.push(permitted(group)?.to_owned());
    }
    Some(Identity { name: format!("system:bootstrap:{id}"), groups, ..Identity::default() })
}

fn permitted(group: &str) -> Option<&str> {
    let rest = group.strip_prefix("system:bootstrappers:")?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let last = rest.bytes().last().is_some_and(plain);
    let all = rest.bytes().all(|b| plain(b) || b == b':' || b == b'-');
    (last && all && rest.len() <= 256).then_some(group)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(pairs: &[(&str, &str)]) -> Secret {
        let mut data: std::collections::BTreeMap<String, ByteString> = [
            ("token-id", "abcdef"),
            ("token-secret", "0123456789abcdef"),
            ("usage-bootstrap-authentication", "true"),
        ]
        .iter()
        .chain(pairs)
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
        .collect();
        data.retain(|_, value| !value.0.is_empty());
        Secret { type_: Some(TYPE.into()), data: Some(data), ..Secret::default() }
    }

    #[test]
    fn tokens_hold_as_their_secret_says() {
        let groups = |pairs: &[(&str, &str)]| {
            identity(&secret(pairs), "abcdef", "0123456789abcdef").map(|found| found.groups)
        };
        assert_eq!(groups(&[]).unwrap(), ["system:bootstrappers"]);
        let extra = "system:bootstrappers:kubeadm:default-node-token";
        assert_eq!(
            groups(&[("auth-extra-groups", extra)]).unwrap(),
            ["system:bootstrappers", extra]
        );
        assert!(groups(&[("expiration", "2999-01-01T00:00:00Z")]).is_some());
        for pair in [
            ("expiration", "2000-01-01T00:00:00Z"),
            ("expiration", "soon"),
            ("usage-bootstrap-authentication", ""),
            ("auth-extra-groups", "system:masters"),
            ("token-id", "other0"),
            ("token-secret", "0123456789abcdee"),
        ] {
            assert_eq!(groups(&[pair]), None, "{pair:?}");
        }
        for (text, is) in [
            ("abcdef.0123456789abcdef", true),
            ("abcdef.0123456789ABCDEF", false),
            ("abcdef", false),
        ] {
            assert_eq!(parts(text).is_some(), is, "{text}");
        }
    }
}
