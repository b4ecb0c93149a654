//! A certificate authority that signs what it is asked to sign
//! (`pkg/controller/certificates/authority`). Certificates are written here, and not by `rcgen`,
//! because subjects belong to several organisations, which its names cannot say.

use std::time::Duration;

use coracle_api::dice;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use x509_parser::extensions::ParsedExtension;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use yasna::models::{ObjectIdentifier, TaggedDerValue};
use yasna::{DERWriter, DERWriterSeq, Tag, TagClass};

use super::request::{Names, Requested};

/// How long before it is made a certificate begins, for clients whose clock is behind.
const BACKDATE: Duration = Duration::from_secs(5 * 60);
/// Certificates that live shorter are not cut by what they were backdated by.
const SHORT: Duration = Duration::from_secs(8 * 3600);

/// The key and the certificate that certificates are signed with.
pub struct Authority {
    /// The authority's name, DER-encoded.
    name: Vec<u8>,
    /// What its certificate calls its key, if it does.
    key_id: Option<Vec<u8>>,
    key: KeyPair,
    algorithm: &'static [u64],
    ends: Timestamp,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("ends", &self.ends).finish_non_exhaustive()
    }
}

/// A certificate and a key that do not make an authority.
#[derive(Debug, thiserror::Error)]
#[error("no certificate authority: {0}")]
pub struct AuthorityRejected(String);

/// What a certificate is good for, and for how long.
pub(super) struct Policy<'a> {
    pub(super) usages: &'a [String],
    pub(super) life: Duration,
    pub(super) now: Timestamp,
}

impl Authority {
    /// Reads a certificate and its private key, both PEM-encoded.
    pub fn read(certificate: &str, key: &str) -> Result<Self, AuthorityRejected> {
        let reject = |why: &dyn std::fmt::Display| AuthorityRejected(why.to_string());
        let block = Pem::iter_from_buffer(certificate.as_bytes()).next();
        let block = block.ok_or_else(|| reject(&"there is no certificate"))?;
        let block = block.map_err(|error| reject(&error))?;
        let (_, certificate) =
            X509Certificate::from_der(&block.contents).map_err(|error| reject(&error))?;
        let key = KeyPair::from_pem(key).map_err(|error| reject(&error))?;
        let algorithm = signature_algorithm(&key)
            .ok_or_else(|| reject(&"it cannot sign with a key of this algorithm"))?;
        if certificate.public_key().raw != key.subject_public_key_info() {
            return Err(reject(&"the key is not that of the certificate"));
        }
        let key_id = certificate.extensions().iter().find_map(|extension| {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            }
        });
        let ends = Timestamp::from_second(certificate.validity().not_after.timestamp())
            .map_err(|error| reject(&error))?;
        Ok(Self { name: certificate.subject().as_raw().to_vec(), key_id, key, algorithm, ends })
    }

    /// A certificate for the subject and the key of a request, PEM-encoded.
    pub(super) fn sign(&self, request: &Requested, policy: &Policy<'_>) -> Result<String, String> {
        let body = self.body(request, policy)?;
        let signature = self.key.sign(&body).map_err(|error| error.to_string())?;
        let certificate = yasna::construct_der(|writer| {
            writer.write_sequence(|parts| {
                parts.next().write_der(&body);
                self.write_algorithm(parts.next());
                parts.next().write_bitvec_bytes(&signature, signature.len() * 8);
            });
        });
        Ok(pem("CERTIFICATE", &certificate))
    }

    /// `TBSCertificate` of RFC 5280.
    fn body(&self, request: &Requested, policy: &Policy<'_>) -> Result<Vec<u8>, String> {
        let Policy { usages, life, now } = *policy;
        let begin = now.saturating_sub(BACKDATE).map_err(|error| error.to_string())?;
        let cut = if life < SHORT { Duration::ZERO } else { BACKDATE };
        let end = now.saturating_add(life - cut).map_err(|error| error.to_string())?;
        let end = end.min(self.ends);
        if end <= now {
            return Err(format!("the signer has expired: NotAfter={}", self.ends));
        }
        let uses = Uses::read(usages)?;
        let mut serial = [0; 16];
        serial.copy_from_slice(&dice::secret()[..16]);
        Ok(yasna::construct_der(|writer| {
            writer.write_sequence(|parts| {
                // Version 3.
                parts.next().write_tagged(Tag::context(0), |writer| writer.write_u8(2));
                parts.next().write_bigint_bytes(&serial, true);
                self.write_algorithm(parts.next());
                parts.next().write_der(&self.name);
                parts.next().write_sequence(|times| {
                    write_time(times.next(), begin);
                    write_time(times.next(), end);
                });
                parts.next().write_der(&request.subject);
                parts.next().write_der(&request.public_key);
                parts.next().write_tagged(Tag::context(3), |writer| {
                    writer.write_sequence(|all| self.write_extensions(all, request, &uses));
                });
            });
        }))
    }

    fn write_algorithm(&self, writer: DERWriter<'_>) {
        writer.write_sequence(|parts| {
            parts.next().write_oid(&oid(self.algorithm));
            // Of RSA alone the algorithm has parameters, and they are none.
            if self.algorithm == RSA_SHA256 {
                parts.next().write_null();
            }
        });
    }

    fn write_extensions(&self, all: &mut DERWriterSeq<'_>, request: &Requested, uses: &Uses) {
        if uses.key != 0 {
            let bits = uses.key.to_be_bytes();
            let length = 16 - uses.key.trailing_zeros();
            write_extension(all, KEY_USAGE, true, |writer| {
                writer.write_bitvec_bytes(&bits[..length.div_ceil(8) as usize], length as usize);
            });
        }
        if !uses.purposes.is_empty() {
            write_extension(all, PURPOSES, false, |writer| {
                writer.write_sequence(|purposes| {
                    for purpose in &uses.purposes {
                        purposes.next().write_oid(&oid(purpose));
                    }
                });
            });
        }
        // Its holder is no authority.
        write_extension(all, BASIC_CONSTRAINTS, true, |writer| writer.write_sequence(|_| {}));
        if let Some(id) = &self.key_id {
            write_extension(all, AUTHORITY_KEY, false, |writer| {
                writer.write_sequence(|parts| {
                    let tag = Tag::context(0);
                    parts.next().write_tagged_implicit(tag, |writer| writer.write_bytes(id));
                });
            });
        }
        if !request.names.is_empty() {
            // The names are all that there is of a subject without a name.
            let critical = request.subject == EMPTY_NAME;
            write_extension(all, ALTERNATIVE_NAMES, critical, |writer| {
                writer.write_sequence(|parts| write_names(parts, &request.names));
            });
        }
    }
}

const EMPTY_NAME: [u8; 2] = [0x30, 0x00];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const ALTERNATIVE_NAMES: &[u64] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const AUTHORITY_KEY: &[u64] = &[2, 5, 29, 35];
const PURPOSES: &[u64] = &[2, 5, 29, 37];
const RSA_SHA256: &[u64] = &[1, 2, 840, 113_549, 1, 1, 11];

fn signature_algorithm(key: &KeyPair) -> Option<&'static [u64]> {
    let algorithm = key.algorithm();
    let known: [(_, &[u64]); 4] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, &[1, 2, 840, 10045, 4, 3, 2]),
        (&rcgen::PKCS_ECDSA_P384_SHA384, &[1, 2, 840, 10045, 4, 3, 3]),
        (&rcgen::PKCS_RSA_SHA256, RSA_SHA256),
        (&rcgen::PKCS_ED25519, &[1, 3, 101, 112]),
    ];
    known.into_iter().find(|(known, _)| *known == algorithm).map(|(_, oid)| oid)
}

/// What a certificate may be used for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Uses {
    /// The bits of `KeyUsage`, the first one highest.
    key: u16,
    purposes: Vec<&'static [u64]>,
}

impl Uses {
    fn read(usages: &[String]) -> Result<Self, String> {
        let mut uses = Self::default();
        for usage in usages {
            if let Some((_, bit)) = KEY_USAGES.iter().find(|(name, _)| name == usage) {
                uses.key |= 0x8000 >> bit;
            } else if let Some((_, purpose)) = KEY_PURPOSES.iter().find(|(name, _)| name == usage) {
                if !uses.purposes.contains(purpose) {
                    uses.purposes.push(purpose);
                }
            } else {
                return Err(format!("unrecognized usage values: [{usage:?}]"));
            }
        }
        // As they are numbered in Kubernetes' language.
        let place = |purpose: &&[u64]| KEY_PURPOSES.iter().position(|(_, known)| known == purpose);
        uses.purposes.sort_by_key(place);
        Ok(uses)
    }
}

const KEY_USAGES: &[(&str, u16)] = &[
    ("signing", 0),
    ("digital signature", 0),
    ("content commitment", 1),
    ("key encipherment", 2),
    ("data encipherment", 3),
    ("key agreement", 4),
    ("cert sign", 5),
    ("crl sign", 6),
    ("encipher only", 7),
    ("decipher only", 8),
];

const KEY_PURPOSES: &[(&str, &[u64])] = &[
    ("any", &[2, 5, 29, 37, 0]),
    ("server auth", &[1, 3, 6, 1, 5, 5, 7, 3, 1]),
    ("client auth", &[1, 3, 6, 1, 5, 5, 7, 3, 2]),
    ("code signing", &[1, 3, 6, 1, 5, 5, 7, 3, 3]),
    ("email protection", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("s/mime", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("ipsec end system", &[1, 3, 6, 1, 5, 5, 7, 3, 5]),
    ("ipsec tunnel", &[1, 3, 6, 1, 5, 5, 7, 3, 6]),
    ("ipsec user", &[1, 3, 6, 1, 5, 5, 7, 3, 7]),
    ("timestamping", &[1, 3, 6, 1, 5, 5, 7, 3, 8]),
    ("ocsp signing", &[1, 3, 6, 1, 5, 5, 7, 3, 9]),
    ("microsoft sgc", &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3]),
    ("netscape sgc", &[2, 16, 840, 1, 113_730, 4, 1]),
];

fn oid(numbers: &[u64]) -> ObjectIdentifier {
    ObjectIdentifier::from_slice(numbers)
}

fn write_extension(
    all: &mut DERWriterSeq<'_>,
    id: &[u64],
    critical: bool,
    value: impl FnOnce(DERWriter<'_>),
) {
    all.next().write_sequence(|parts| {
        parts.next().write_oid(&oid(id));
        if critical {
            parts.next().write_bool(true);
        }
        parts.next().write_bytes(&yasna::construct_der(value));
    });
}

fn write_names(parts: &mut DERWriterSeq<'_>, names: &Names) {
    let text = |names: &[String]| -> Vec<Vec<u8>> {
        names.iter().map(|name| name.clone().into_bytes()).collect()
    };
    let Names { dns, emails, addresses, urls } = names;
    for (tag, names) in [(2, text(dns)), (1, text(emails)), (7, addresses.clone()), (6, text(urls))]
    {
        for name in names {
            let tag = Tag::context(tag);
            parts.next().write_tagged_implicit(tag, |writer| writer.write_bytes(&name));
        }
    }
}

/// Two digits of the year until 2049, four from then on.
fn write_time(writer: DERWriter<'_>, at: Timestamp) {
    let at = at.to_zoned(TimeZone::UTC);
    let (number, format) =
        if at.year() < 2050 { (23, "%y%m%d%H%M%SZ") } else { (24, "%Y%m%d%H%M%SZ") };
    let tag = Tag { tag_class: TagClass::Universal, tag_number: number };
    let text = at.strftime(format).to_string().into_bytes();
    writer.write_tagged_der(&TaggedDerValue::from_tag_and_bytes(tag, text));
}

fn pem(label: &str, bytes: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa};
    use x509_parser::extensions::GeneralName;

    use super::super::request::tests::pem as request;
    use super::*;

    /// An authority that lives as long as `rcgen` gives it.
    pub(crate) fn authority() -> (Authority, String) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap().pem();
        (Authority::read(&certificate, &key.serialize_pem()).unwrap(), certificate)
    }

    fn usages(usages: &[&str]) -> Vec<String> {
        usages.iter().map(|usage| (*usage).to_owned()).collect()
    }

    #[test]
    fn what_is_signed_is_what_was_asked_for() {
        let (authority, own) = authority();
        let asked = request("jane", "dev", &["web.example.com", "192.0.2.1"]);
        let asked = Requested::read(asked.as_bytes()).unwrap();
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let usages = usages(&["decipher only", "client auth", "signing", "any", "client auth"]);
        let policy = Policy { usages: &usages, life: Duration::from_secs(600), now };
        let made = authority.sign(&asked, &policy).unwrap();

        let block = Pem::iter_from_buffer(made.as_bytes()).next().unwrap().unwrap();
        let (rest, certificate) = X509Certificate::from_der(&block.contents).unwrap();
        assert!(rest.is_empty());
        let own = Pem::iter_from_buffer(own.as_bytes()).next().unwrap().unwrap();
        let own = own.parse_x509().unwrap();
        certificate.verify_signature(Some(own.public_key())).unwrap();
        assert_eq!(certificate.issuer().as_raw(), own.subject().as_raw());
        assert_eq!(certificate.subject().as_raw(), asked.subject);
        assert_eq!(certificate.public_key().raw, asked.public_key);
        let validity = certificate.validity();
        let seconds = |second: i64| second - now.as_second();
        assert_eq!(seconds(validity.not_before.timestamp()), -300);
        assert_eq!(seconds(validity.not_after.timestamp()), 600);
        assert!(!certificate.is_ca());
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && usage.decipher_only());
        assert!(!usage.key_encipherment() && !usage.key_cert_sign());
        let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.any && purposes.client_auth && !purposes.server_auth);
        let names = certificate.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(
            names.general_names,
            [GeneralName::DNSName("web.example.com"), GeneralName::IPAddress(&[192, 0, 2, 1])]
        );
        assert!(certificate.serial.bits() > 64, "a serial number nobody guesses");
        let again = authority.sign(&asked, &policy).unwrap();
        assert_ne!(made, again, "each has a number of its own");
    }

    #[test]
    fn a_certificate_does_not_outlive_its_authority() {
        let (authority, _) = authority();
        let asked = Requested::read(request("jane", "dev", &[]).as_bytes()).unwrap();
        let usages = usages(&["client auth"]);
        let end = |now: Timestamp, life: Duration| {
            let made = authority.sign(&asked, &Policy { usages: &usages, life, now })?;
            let block = Pem::iter_from_buffer(made.as_bytes()).next().unwrap().unwrap();
            let end = block.parse_x509().unwrap().validity().not_after.timestamp();
            Ok::<_, String>(end)
        };
        let day = Duration::from_secs(24 * 3600);
        let now: Timestamp = "2060-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(end(now, day).unwrap(), now.as_second() + 24 * 3600 - 300);
        let last = authority.ends - Duration::from_secs(3600);
        assert_eq!(end(last, day).unwrap(), authority.ends.as_second());
        let why = end(authority.ends, day).unwrap_err();
        assert!(why.starts_with("the signer has expired: NotAfter="), "{why}");
    }

    #[test]
    fn a_key_of_somebody_else_is_refused() {
        let (_, certificate) = authority();
        let key = KeyPair::generate().unwrap().serialize_pem();
        let error = Authority::read(&certificate, &key).unwrap_err().to_string();
        assert_eq!(error, "no certificate authority: the key is not that of the certificate");
    }
}
