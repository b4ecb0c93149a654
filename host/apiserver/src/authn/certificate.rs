//! What a verified client certificate says of its holder: the common name is the user, the
//! organisations are his groups.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::Identity;

pub(super) fn identity(der: &[u8]) -> Option<Identity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let groups =
        subject.iter_organization().filter_map(|o| o.as_str().ok()).map(str::to_owned).collect();
    (!name.is_empty()).then_some(Identity { name, groups, ..Identity::default() })
}
