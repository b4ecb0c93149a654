//! JSON web tokens (RFC 7515, 7517, 7519): reading, signing and checking with ES256. Which issuer,
//! audience and time are right is decided elsewhere.
//!
//! ES256 for our own: `ring` can make its keys, signing takes a thirtieth of what RSA takes, and
//! the tokens are shorter.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Longer tokens are nobody's.
const LONGEST: usize = 64 << 10;
/// What stands before the point of a P-256 key in its `SubjectPublicKeyInfo`.
const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Header {
    pub(crate) alg: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) kid: String,
}

/// A token that has been taken apart. Nothing in it is to be believed yet.
#[derive(Debug)]
pub(crate) struct Unverified<'a> {
    pub(crate) header: Header,
    pub(crate) claims: Value,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    pub(crate) fn read(token: &'a str) -> Option<Self> {
        if token.len() > LONGEST {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        Some(Self {
            header: serde_json::from_slice(&decode(header)?).ok()?,
            claims: serde_json::from_slice(&decode(claims)?).ok()?,
            signed,
            signature: decode(signature)?,
        })
    }

    pub(crate) fn issuer(&self) -> &str {
        self.claims["iss"].as_str().unwrap_or_default()
    }

    /// Whether one of the keys made the signature. A key that is named must be the one.
    pub(crate) fn signed_by(&self, keys: &[PublicKey]) -> bool {
        keys.iter().any(|key| {
            let named =
                self.header.kid.is_empty() || key.id.is_empty() || key.id == self.header.kid;
            named && key.verifies(&self.header.alg, self.signed.as_bytes(), &self.signature)
        })
    }
}

/// A P-256 key that signatures are checked with.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {
    id: String,
    /// The uncompressed point.
    point: Vec<u8>,
}

impl PublicKey {
    fn verifies(&self, algorithm: &str, message: &[u8], made: &[u8]) -> bool {
        let key =
            signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, &self.point);
        algorithm == "ES256" && key.verify(message, made).is_ok()
    }
}

/// A P-256 key that service accounts' tokens are signed with.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    id: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A private key that is none.
#[derive(Debug, thiserror::Error)]
#[error("not a P-256 private key in PKCS #8: {0}")]
pub struct KeyRejected(String);

impl SigningKey {
    /// Reads a private key (PKCS #8, DER).
    pub fn read(pkcs8: &[u8]) -> Result<Self, KeyRejected> {
        let how = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(how, pkcs8, &SystemRandom::new())
            .map_err(|error| KeyRejected(error.to_string()))?;
        let info = [P256_PREFIX, pair.public_key().as_ref()].concat();
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(info));
        Ok(Self { pair, id })
    }

    /// A new key, for servers that keep none.
    pub(crate) fn generate() -> Result<Self, KeyRejected> {
        let how = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(how, &SystemRandom::new())
            .map_err(|error| KeyRejected(error.to_string()))?;
        Self::read(pkcs8.as_ref())
    }

    pub(crate) fn public(&self) -> PublicKey {
        let point = self.pair.public_key().as_ref().to_vec();
        PublicKey { id: self.id.clone(), point }
    }

    /// The public half as a JSON web key.
    pub(crate) fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
        json!({
            "use": "sig",
            "kty": "EC",
            "kid": self.id,
            "crv": "P-256",
            "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// The token that says `claims`; `None` if the system has no randomness.
    pub(crate) fn sign(&self, claims: &Value) -> Option<String> {
        let header = Header { alg: "ES256".into(), kid: self.id.clone() };
        let header = serde_json::to_vec(&header).ok()?;
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(&SystemRandom::new(), token.as_bytes()).ok()?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_hold_for_what_was_signed_by_the_key_alone() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign(&json!({ "iss": "us", "sub": "x" })).unwrap();
        let public = key.public();
        let read = Unverified::read(&token).unwrap();
        assert_eq!((read.issuer(), &*read.header.alg), ("us", "ES256"));
        assert!(read.signed_by(std::slice::from_ref(&public)));
        assert!(!read.signed_by(&[SigningKey::generate().unwrap().public()]));
        let mut renamed = public.clone();
        renamed.id = "another".into();
        assert!(!read.signed_by(&[renamed]));

        let parts: Vec<_> = token.split('.').collect();
        let forged = URL_SAFE_NO_PAD.encode(r#"{"iss":"us","sub":"y"}"#);
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let rsa = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
        for forged in [
            format!("{}.{forged}.{}", parts[0], parts[2]),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{rsa}.{}.{}", parts[1], parts[2]),
        ] {
            let read = Unverified::read(&forged).unwrap();
            assert!(!read.signed_by(std::slice::from_ref(&public)), "{forged}");
        }
        for broken in ["", "a.b", "a.b.c", ".."] {
            assert!(Unverified::read(broken).is_none(), "{broken}");
        }
    }
}
