//! What a request asks for, as far as signers look at it (`pkg/apis/certificates/helpers.go`).

use std::collections::BTreeSet;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use crate::error::{Error, Result};

const NODES: &str = "system:nodes";
const NODE: &str = "system:node:";

/// A request for a certificate, taken out of PEM and checked against its own key.
#[derive(Debug)]
pub(super) struct Requested {
    /// The subject, DER-encoded.
    pub(super) subject: Vec<u8>,
    pub(super) common_name: String,
    organizations: Vec<String>,
    /// The public key with its algorithm, DER-encoded.
    pub(super) public_key: Vec<u8>,
    pub(super) names: Names,
}

/// The alternative names of a subject; names of other forms are left out.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) dns: Vec<String>,
    pub(super) emails: Vec<String>,
    pub(super) addresses: Vec<Vec<u8>>,
    pub(super) urls: Vec<String>,
}

impl Names {
    pub(super) fn is_empty(&self) -> bool {
        let Self { dns, emails, addresses, urls } = self;
        dns.is_empty() && emails.is_empty() && addresses.is_empty() && urls.is_empty()
    }
}

impl Requested {
    pub(super) fn read(pem: &[u8]) -> Result<Self> {
        let block = Pem::iter_from_buffer(pem).next().and_then(std::result::Result::ok);
        let block = block
            .filter(|block| block.label == "CERTIFICATE REQUEST")
            .ok_or_else(|| invalid("PEM block type must be CERTIFICATE REQUEST"))?;
        let (_, request) = X509CertificationRequest::from_der(&block.contents).map_err(invalid)?;
        request.verify_signature().map_err(invalid)?;
        let info = &request.certification_request_info;
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            value.as_str().map(str::to_owned).ok()
        };
        let mut names = Names::default();
        for extension in request.requested_extensions().into_iter().flatten() {
            let ParsedExtension::SubjectAlternativeName(given) = extension else { continue };
            for name in &given.general_names {
                match name {
                    GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                    GeneralName::RFC822Name(name) => names.emails.push((*name).to_owned()),
                    GeneralName::IPAddress(bytes) => names.addresses.push(bytes.to_vec()),
                    GeneralName::URI(name) => names.urls.push((*name).to_owned()),
                    _ => {}
                }
            }
        }
        Ok(Self {
            subject: info.subject.as_raw().to_vec(),
            common_name: info.subject.iter_common_name().last().and_then(text).unwrap_or_default(),
            organizations: info.subject.iter_organization().filter_map(text).collect(),
            public_key: info.subject_pki.raw.to_vec(),
            names,
        })
    }

    /// Why this is no request of a kubelet for a certificate that it shows to the API server.
    pub(super) fn check_kubelet_client(&self, usages: &[String]) -> Result<(), String> {
        self.check_organization()?;
        let Names { dns, emails, addresses, urls } = &self.names;
        for (given, what) in [
            (dns.is_empty(), "DNS"),
            (emails.is_empty(), "Email"),
            (addresses.is_empty(), "IP"),
            (urls.is_empty(), "URI"),
        ] {
            if !given {
                return Err(format!("{what} subjectAltNames are not allowed"));
            }
        }
        self.check_common_name()?;
        check_usages(usages, "client auth")
    }

    /// Why this is no request of a kubelet for a certificate that it serves with.
    pub(super) fn check_kubelet_serving(&self, usages: &[String]) -> Result<(), String> {
        self.check_organization()?;
        let Names { dns, emails, addresses, urls } = &self.names;
        if dns.is_empty() && addresses.is_empty() {
            return Err("DNS or IP subjectAltName is required".to_owned());
        }
        for (given, what) in [(emails.is_empty(), "Email"), (urls.is_empty(), "URI")] {
            if !given {
                return Err(format!("{what} subjectAltNames are not allowed"));
            }
        }
        check_usages(usages, "server auth")?;
        self.check_common_name()
    }

    fn check_organization(&self) -> Result<(), String> {
        if self.organizations == [NODES] {
            return Ok(());
        }
        Err("subject organization is not system:nodes".to_owned())
    }

    fn check_common_name(&self) -> Result<(), String> {
        if self.common_name.starts_with(NODE) {
            return Ok(());
        }
        Err("subject common name does not begin with system:node:".to_owned())
    }
}

fn invalid(why: impl ToString) -> Error {
    Error::Invalid(format!("unable to parse csr: {}", why.to_string()))
}

/// A kubelet asks for `purpose` and digital signatures, and with an RSA key for key encipherment.
fn check_usages(usages: &[String], purpose: &str) -> Result<(), String> {
    let given: BTreeSet<&str> = usages.iter().map(String::as_str).collect();
    let mut wanted = BTreeSet::from(["digital signature", purpose]);
    if given == wanted {
        return Ok(());
    }
    wanted.insert("key encipherment");
    if given == wanted {
        return Ok(());
    }
    let wanted: Vec<_> = wanted.into_iter().collect();
    Err(format!("usages did not match [{}]", wanted.join(" ")))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A request for a certificate, as clients make it.
    pub(crate) fn pem(name: &str, organization: &str, names: &[&str]) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.distinguished_name.push(rcgen::DnType::OrganizationName, organization);
        parameters.serialize_request(&key).unwrap().pem().unwrap()
    }

    #[test]
    fn kubelets_ask_for_themselves_alone() {
        let both = "usages did not match [client auth digital signature key encipherment]";
        for (name, organization, names, usages, expected) in [
            ("system:node:a", NODES, &[][..], &["digital signature", "client auth"][..], None),
            (
                "system:node:a",
                NODES,
                &[],
                &["client auth", "key encipherment", "digital signature"],
                None,
            ),
            ("a", NODES, &[], &[], Some("subject common name does not begin with system:node:")),
            ("system:node:a", "x", &[], &[], Some("subject organization is not system:nodes")),
            (
                "system:node:a",
                NODES,
                &["a.example.com"],
                &[],
                Some("DNS subjectAltNames are not allowed"),
            ),
            (
                "system:node:a",
                NODES,
                &["192.0.2.1"],
                &[],
                Some("IP subjectAltNames are not allowed"),
            ),
            ("system:node:a", NODES, &[], &["client auth"], Some(both)),
        ] {
            let request = Requested::read(pem(name, organization, names).as_bytes()).unwrap();
            let usages: Vec<String> = usages.iter().map(|usage| (*usage).to_owned()).collect();
            let said = request.check_kubelet_client(&usages).err();
            assert_eq!(said.as_deref(), expected, "{name} {organization} {names:?} {usages:?}");
        }
        let request = pem("system:node:a", NODES, &["a.example.com", "192.0.2.1"]);
        let request = Requested::read(request.as_bytes()).unwrap();
        let serving = ["digital signature", "server auth"].map(str::to_owned);
        assert_eq!(request.check_kubelet_serving(&serving), Ok(()));
        let bare = Requested::read(pem("system:node:a", NODES, &[]).as_bytes()).unwrap();
        assert_eq!(
            bare.check_kubelet_serving(&serving).unwrap_err(),
            "DNS or IP subjectAltName is required"
        );
    }
}
