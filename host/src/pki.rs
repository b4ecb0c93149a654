//! The cluster's certificate authorities and what they sign: the server's certificate, the admin's,
//! and by an authority of its own the one with which the server speaks for its callers.
//! Made on first start, kept below `<data-dir>/pki`, renewed before they end.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use coracle_api::clock;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::files;

const CA_LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// A certificate with less than this to live is replaced at start.
const RENEWAL: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A certificate and its private key, PEM-encoded.
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) certificate: String,
    /// The PKCS #8 private key.
    pub(crate) key: String,
}

/// The authority and the certificates that the cluster needs to start.
pub(crate) struct Pki {
    /// The authority's certificate, PEM-encoded.
    pub(crate) ca: String,
    /// The authority's private key, PEM-encoded.
    pub(crate) ca_key: String,
    /// What the API server shows to clients.
    pub(crate) server: Pair,
    /// The private key of service accounts' tokens: PKCS #8, DER.
    pub(crate) service_account_key: Vec<u8>,
    /// `system:masters` for whoever can read the data directory.
    pub(crate) admin: Pair,
    /// The authority of those who may speak for others, PEM-encoded.
    pub(crate) front_proxy_ca: String,
    /// What the API server shows to extension API servers, to which it speaks for its callers.
    pub(crate) front_proxy: Pair,
}

/// What a leaf certificate is for.
struct Leaf<'a> {
    name: &'a str,
    common_name: &'a str,
    organization: Option<&'a str>,
    alternative_names: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
}

impl Pki {
    /// Reads the authority below `directory`, or makes it, and (re)issues what is missing, about to
    /// end, or does not cover `addresses`.
    pub(crate) fn open(directory: &Path, addresses: &[IpAddr], service: IpAddr) -> Result<Self> {
        files::private_directory(directory)?;
        let (ca, issuer) = open_authority(directory, "ca", "coracle-ca")?;
        let (front_proxy_ca, front_proxy_issuer) =
            open_authority(directory, "front-proxy-ca", "front-proxy-ca")?;
        let mut names: Vec<String> = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "127.0.0.1",
            "::1",
        ]
        .map(str::to_owned)
        .into();
        names.push(service.to_string());
        names.extend(addresses.iter().filter(|a| !a.is_unspecified()).map(IpAddr::to_string));
        names.sort();
        names.dedup();
        let server = open_leaf(
            directory,
            &issuer,
            Leaf {
                name: "server",
                common_name: "kube-apiserver",
                organization: None,
                alternative_names: names,
                usage: ExtendedKeyUsagePurpose::ServerAuth,
            },
        )?;
        let admin = open_leaf(
            directory,
            &issuer,
            Leaf {
                name: "admin",
                common_name: "kubernetes-admin",
                organization: Some("system:masters"),
                alternative_names: vec![],
                usage: ExtendedKeyUsagePurpose::ClientAuth,
            },
        )?;
        let front_proxy = open_leaf(
            directory,
            &front_proxy_issuer,
            Leaf {
                name: "front-proxy-client",
                common_name: "front-proxy-client",
                organization: None,
                alternative_names: vec![],
                usage: ExtendedKeyUsagePurpose::ClientAuth,
            },
        )?;
        let service_account_key = open_service_account_key(directory)?;
        Ok(Self {
            ca: ca.certificate,
            ca_key: ca.key,
            server,
            service_account_key,
            admin,
            front_proxy_ca: front_proxy_ca.certificate,
            front_proxy,
        })
    }
}

fn paths(directory: &Path, name: &str) -> (PathBuf, PathBuf) {
    (directory.join(format!("{name}.crt")), directory.join(format!("{name}.key")))
}

/// The pair of files `name`, if both are there.
fn read_pair(directory: &Path, name: &str) -> Result<Option<Pair>> {
    let (certificate, key) = paths(directory, name);
    Ok(match (files::read_if_present(&certificate)?, files::read_if_present(&key)?) {
        (Some(certificate), Some(key)) => Some(Pair { certificate, key }),
        _ => None,
    })
}

fn write_pair(directory: &Path, name: &str, pair: &Pair) -> Result<()> {
    let (certificate, key) = paths(directory, name);
    files::write_private(&key, pair.key.as_bytes())?;
    files::write_private(&certificate, pair.certificate.as_bytes())
}

fn validity(params: &mut CertificateParams, life: SignedDuration) -> Result<()> {
    let date = |at: Timestamp| -> Result<_> {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        Ok(rcgen::date_time_ymd(
            i32::from(date.year()),
            u8::try_from(date.month())?,
            u8::try_from(date.day())?,
        ))
    };
    // A day earlier than now, for clients whose clock is behind.
    params.not_before = date(clock::now().checked_sub(SignedDuration::from_hours(24))?)?;
    params.not_after = date(clock::now().checked_add(life)?)?;
    Ok(())
}

/// The authority `name`, and what signs in its name.
fn open_authority(
    directory: &Path,
    name: &str,
    common_name: &str,
) -> Result<(Pair, Issuer<'static, KeyPair>)> {
    let pair = match read_pair(directory, name)? {
        Some(pair) => pair,
        None => make_authority(directory, name, common_name)?,
    };
    let issuer = Issuer::from_ca_cert_pem(&pair.certificate, KeyPair::from_pem(&pair.key)?)
        .with_context(|| format!("reading the certificate authority {name}"))?;
    Ok((pair, issuer))
}

fn make_authority(directory: &Path, name: &str, common_name: &str) -> Result<Pair> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, CA_LIFE)?;
    let certificate = params.self_signed(&key)?.pem();
    let pair = Pair { certificate, key: key.serialize_pem() };
    write_pair(directory, name, &pair)?;
    Ok(pair)
}

/// The key that service accounts' tokens are signed with. It is never replaced: tokens outlive
/// restarts.
fn open_service_account_key(directory: &Path) -> Result<Vec<u8>> {
    let path = directory.join("sa.key");
    let key = match files::read_if_present(&path)? {
        Some(pem) => KeyPair::from_pem(&pem)
            .with_context(|| format!("reading the key {}", path.display()))?,
        None => {
            let key = KeyPair::generate()?;
            files::write_private(&path, key.serialize_pem().as_bytes())?;
            key
        }
    };
    Ok(key.serialize_der())
}

fn open_leaf(directory: &Path, issuer: &Issuer<'_, KeyPair>, leaf: Leaf<'_>) -> Result<Pair> {
    if let Some(pair) = read_pair(directory, leaf.name)?
        && still_good(&pair, &leaf.alternative_names)
    {
        return Ok(pair);
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(leaf.alternative_names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, leaf.common_name);
    if let Some(organization) = leaf.organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![leaf.usage];
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, LEAF_LIFE)?;
    let certificate = params.signed_by(&key, issuer)?.pem();
    let pair = Pair { certificate, key: key.serialize_pem() };
    write_pair(directory, leaf.name, &pair)?;
    Ok(pair)
}

/// Whether a leaf lives on for a while and covers `names`.
fn still_good(pair: &Pair, names: &[String]) -> bool {
    let covered = || -> Option<bool> {
        let pem = Pem::iter_from_buffer(pair.certificate.as_bytes()).next()?.ok()?;
        let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
        let end = certificate.validity().not_after.timestamp();
        if end < (clock::now() + RENEWAL).as_second() {
            return Some(false);
        }
        let wanted = CertificateParams::new(names.to_vec()).ok()?.subject_alt_names.len();
        let held = certificate
            .subject_alternative_name()
            .ok()?
            .map_or(0, |extension| extension.value.general_names.len());
        Some(wanted == held && names.iter().all(|name| covers(&certificate, name)))
    };
    covered().unwrap_or(false)
}

fn covers(certificate: &X509Certificate<'_>, name: &str) -> bool {
    use x509_parser::extensions::GeneralName;
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return false };
    let address = name.parse::<IpAddr>().ok().map(|address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    });
    extension.value.general_names.iter().any(|held| match (held, &address) {
        (GeneralName::IPAddress(held), Some(address)) => held == address,
        (GeneralName::DNSName(held), None) => *held == name,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_outlive_a_restart_and_follow_the_addresses() {
        let directory = tempfile::tempdir().unwrap();
        let service: IpAddr = "10.96.0.1".parse().unwrap();
        let open = |addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            Pki::open(directory.path(), &addresses, service).unwrap()
        };
        let first = open(&["127.0.0.1"]);
        let second = open(&["127.0.0.1"]);
        assert_eq!(first.server.certificate, second.server.certificate);
        assert_eq!(first.ca, second.ca);
        assert_eq!(first.front_proxy_ca, second.front_proxy_ca);
        assert_eq!(first.front_proxy.certificate, second.front_proxy.certificate);
        assert_eq!(first.service_account_key, second.service_account_key);
        let moved = open(&["192.0.2.7"]);
        assert_ne!(moved.server.certificate, second.server.certificate);
        assert_eq!(moved.ca, second.ca);
        assert_eq!(moved.admin.certificate, second.admin.certificate);
    }
}
