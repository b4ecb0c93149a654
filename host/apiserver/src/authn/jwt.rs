//! JSON web tokens (RFC 7515, 7517, 7518, 7519): reading, signing with ES256, and checking. Which
//! issuer, audience and time are right is decided elsewhere.
//!
//! ES256 for our own: `ring` can make its keys, signing takes a thirtieth of what RSA takes, and
//! the tokens are shorter.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p521::ecdsa::signature::Verifier;
use p521::ecdsa::{Signature, VerifyingKey};
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

/// A key that signatures are checked with.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {
    id: String,
    /// The one algorithm that it is for, if it says so.
    algorithm: Option<String>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    /// The uncompressed points of a curve.
    P256(Vec<u8>),
    P384(Vec<u8>),
    P521(Box<VerifyingKey>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

impl PublicKey {
    /// Reads a JSON web key; `None` if it is for something else, or of an unknown kind.
    pub(crate) fn from_jwk(key: &Value) -> Option<Self> {
        let text = |name: &str| key[name].as_str();
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let point = |length: usize| -> Option<Vec<u8>> {
            let (x, y) = (bytes("x")?, bytes("y")?);
            // 4 says that both coordinates follow.
            (x.len() == length && y.len() == length).then(|| [&[4][..], &x, &y].concat())
        };
        let material = match (text("kty")?, text("crv")) {
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("EC", Some("P-521")) => {
                Material::P521(Box::new(VerifyingKey::from_sec1_bytes(&point(66)?).ok()?))
            }
            ("RSA", _) => Material::Rsa { modulus: bytes("n")?, exponent: bytes("e")? },
            _ => return None,
        };
        let id = text("kid").unwrap_or_default().to_owned();
        Some(Self { id, algorithm: text("alg").map(str::to_owned), material })
    }

    fn verifies(&self, algorithm: &str, message: &[u8], made: &[u8]) -> bool {
        if self.algorithm.as_deref().is_some_and(|only| only != algorithm) {
            return false;
        }
        let on_curve = |how: &'static signature::EcdsaVerificationAlgorithm, point: &[u8]| {
            signature::UnparsedPublicKey::new(how, point).verify(message, made).is_ok()
        };
        match &self.material {
            Material::P256(point) => {
                algorithm == "ES256" && on_curve(&signature::ECDSA_P256_SHA256_FIXED, point)
            }
            Material::P384(point) => {
                algorithm == "ES384" && on_curve(&signature::ECDSA_P384_SHA384_FIXED, point)
            }
            // `ring` does not know the curve.
            Material::P521(key) => {
                algorithm == "ES512"
                    && Signature::from_slice(made)
                        .is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            Material::Rsa { modulus, exponent } => {
                let Some(how) = rsa(algorithm) else { return false };
                let key = signature::RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(how, message, made).is_ok()
            }
        }
    }
}

fn rsa(algorithm: &str) -> Option<&'static signature::RsaParameters> {
    Some(match algorithm {
        "RS256" => &signature::RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &signature::RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &signature::RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &signature::RSA_PSS_2048_8192_SHA256,
        "PS384" => &signature::RSA_PSS_2048_8192_SHA384,
        "PS512" => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
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
        PublicKey { id: self.id.clone(), algorithm: None, material: Material::P256(point) }
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
    fn keys_are_read_as_they_are_published() {
        let key = SigningKey::generate().unwrap();
        let token = key.sign(&json!({ "iss": "us" })).unwrap();
        let read = Unverified::read(&token).unwrap();
        let holds = |change: Value| {
            let mut jwk = key.jwk();
            json_patch::merge(&mut jwk, &change);
            PublicKey::from_jwk(&jwk).is_some_and(|key| read.signed_by(&[key]))
        };
        assert!(holds(json!({})));
        assert!(holds(json!({ "kid": null, "alg": null, "use": null })));
        for change in [
            json!({ "use": "enc" }),
            json!({ "alg": "ES384" }),
            json!({ "kid": "another" }),
            json!({ "crv": "P-384" }),
            json!({ "kty": "oct" }),
            json!({ "x": "AAAA" }),
            json!({ "y": 7 }),
        ] {
            assert!(!holds(change.clone()), "{change}");
        }
    }

    /// An RSA key and tokens that another program made with it.
    #[test]
    fn rsa_signatures_are_checked() {
        let key = PublicKey::from_jwk(&json!({
            "kty": "RSA", "alg": null, "n": RSA_N, "e": "AQAB",
        }))
        .unwrap();
        for token in [RS256, PS384] {
            let read = Unverified::read(token).unwrap();
            assert!(read.signed_by(std::slice::from_ref(&key)), "{token}");
            let (head, _) = token.rsplit_once('.').unwrap();
            let other = format!("{head}.{}", "A".repeat(342));
            assert!(!Unverified::read(&other).unwrap().signed_by(std::slice::from_ref(&key)));
        }
    }
    const RSA_N: &str = "vSllwLXNGNcQqyyfutzS6shb5FaUTeN67MUeAPq6wcCWCFT14p-lGt5n6j8lyp-05q33zToHFeWpG5xs\
         gE67Ye0f-rca8V-IhubZhVFlogC8EXkYGwaAaQr7ABFQBf0-Einld5i1c2vn-KTBylZfLBYqfyGm-s_-\
         Uqlf7-EFvLhIZPqH-MK0uhzT8BfA2d1z_z_xFjG95grXcT0G3AGD_pGzkWiRdfaoVQWsRbWJCIYLedLE\
         BLtkuzYmXjC6M9xqRkI-3p3VA4Q0RBpYuS1RCVstdT-RNty-dOJked06jHSyVRWyb9vIBhBO7J9EbeXY\
         oRcO5YATAXRWSxYSDNs-Xw";
    const RS256: &str = "eyJhbGciOiAiUlMyNTYifQ.eyJpc3MiOiJ1cyJ9.IaSHqS6XOnQf6qY7n1xAY6N-rNXzlcwUQPC2dXMb\
         X2A_0wSO4vGsDImvMEDzUgpL7sSglbSZYn8_I2p9PndmtKIA9L_Ywz1HvW-b-9bs0iBsjL120hqwsslT\
         yBo90BXKWUS--d6X8NxPhZJl27thtiCmOytsyVz7cM3d2tajV8j_WfSCCx3hbuyD9_ryoelgrKV4_4KG\
         KhNj3ZnqtN_7Z9dBHwFjwzKbmTGlQRxWRUQOgAoYRkPD94pDk-WnmLwQ9C4wR_cICcXjUZ1Qm_F95TF_\
         93ChoMhJJXak3dpluInfjzZOlh5mg8xCzATikR2ZenKn0qZJ4OiUmbTnWh_MFA";
    const PS384: &str = "eyJhbGciOiAiUFMzODQifQ.eyJpc3MiOiJ1cyJ9.jmuB0ivwTmPPqJ71mgMhiIVxOM4BDZoFj8L2dN2Z\
         yuhT4CnQYuFvoOWK08vSBYJrP5TBnmQf80OWSWHCf6nJfLkbkFAUP_GI7-MIm665hj8Vx_5yt90ggQwy\
         H7UxFEUsIZElpnbWAETeWXzQFhW3JBsvvXFzrukxE_7ki_XfB2nFkzaVM3XU0bf7Mw6C5EoSA-iZ120M\
         2MhSDO8hRgBRn53PQ-yrvomPV8BYUAFeYZXZFXMCxkAsahjtC5Bb3WuWgM2z4xWRFai2Ez5rhmpHGPUn\
         jrsQPHV1W8-5UFXq9vFJp2eGNI8AgR-FalGzUbIECwYO9cSvktQqXaZy-NeW4w";

    /// A P-521 key and a token that another program made with it.
    #[test]
    fn signatures_on_the_longest_curve_are_checked() {
        let jwk = json!({ "kty": "EC", "crv": "P-521", "x": P521_X, "y": P521_Y });
        let holds = |token: &str, change: Value| {
            let mut jwk = jwk.clone();
            json_patch::merge(&mut jwk, &change);
            let key = PublicKey::from_jwk(&jwk);
            key.is_some_and(|key| Unverified::read(token).unwrap().signed_by(&[key]))
        };
        assert!(holds(ES512, json!({})));
        assert!(holds(ES512, json!({ "alg": "ES512" })));
        for change in [
            json!({ "alg": "ES384" }),
            json!({ "crv": "P-384" }),
            json!({ "x": P521_Y, "y": P521_X }),
            json!({ "x": "AAAA" }),
        ] {
            assert!(!holds(ES512, change.clone()), "{change}");
        }
        let (head, signature) = ES512.rsplit_once('.').unwrap();
        let (_, claims) = head.split_once('.').unwrap();
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for forged in [
            format!("{}.{}.{signature}", encode(r#"{"alg":"ES512"}"#), encode(r#"{"iss":"me"}"#)),
            format!("{}.{claims}.{signature}", encode(r#"{"alg":"ES384"}"#)),
            format!("{head}.{}", "A".repeat(176)),
            format!("{head}.AAAA"),
        ] {
            assert!(!holds(&forged, json!({})), "{forged}");
        }
    }
    const P521_X: &str = "AA0c4-KJTjK-IIV9GYrJaBIYh-qZOW2eQh0J8ilDomD8pzYMltYzYdwwJSrWF3u1-p2kGL1FFE9xUSccmB\
         UCFWOx";
    const P521_Y: &str = "AGOScdIhNVxNuJqIU5Uy9mepNs3MhbRR-1uVTwbBA76GBqUetVVF5ytoKjEq_uzyhVU74e8kvSfZLliFyz\
         _75xB5";
    const ES512: &str = "eyJhbGciOiAiRVM1MTIifQ.eyJpc3MiOiJ1cyJ9.AQ3boGa6xFVxb3g3WDNmur84hXrsbGkpCNLHZgakmQ\
         79UlYRMx0RzLmACX1Hm_yO5K-j9JFl0rc-IJy8yexT_tcoAHZVvagx8DCsgFoKcF-hvDPKJ9abGpuLf9I3\
         HDpd0JUmzirSWjowL2brxuK079Lpfws4jHyWvoe0q1STOGS3PjS9";

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
