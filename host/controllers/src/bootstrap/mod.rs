//! Bootstrap tokens, by which new nodes and the cluster come to know each other
//! (`pkg/controller/bootstrap`): those that have ended are taken away, and those that may vouch
//! for the cluster sign what is told of it in public. The tokens are accepted by the API server.

pub(crate) mod cleaner;
pub(crate) mod signer;

use coracle_api::clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

pub(crate) const NAMESPACE: &str = "kube-system";
/// The type of Secrets that hold bootstrap tokens.
pub(crate) const TYPE: &str = "bootstrap.kubernetes.io/token";
/// What their names begin with; the token's identifier follows.
const PREFIX: &str = "bootstrap-token-";

fn text<'a>(secret: &'a Secret, name: &str) -> &'a str {
    let bytes = secret.data.as_ref().and_then(|data| data.get(name));
    bytes.and_then(|bytes| std::str::from_utf8(&bytes.0).ok()).unwrap_or_default()
}

/// When a token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Never,
    At(Timestamp),
    /// What is said of its end cannot be understood; it has ended.
    Unreadable,
}

impl End {
    fn of(secret: &Secret) -> Self {
        match text(secret, "expiration") {
            "" => Self::Never,
            text => text.parse().map_or(Self::Unreadable, Self::At),
        }
    }

    fn is_over(self) -> bool {
        match self {
            Self::Never => false,
            Self::At(end) => end <= clock::now(),
            Self::Unreadable => true,
        }
    }
}
