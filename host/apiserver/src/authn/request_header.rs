//! Callers whom a proxy in front of the server has authenticated: what it says in headers counts
//! because of its own client certificate
//! (`k8s.io/apiserver/pkg/authentication/request/headerrequest`).

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Extensions, HeaderMap};
use percent_encoding::percent_decode_str;

use super::{Identity, certificate};

/// Which proxies are believed, and what they say where.
#[derive(Clone, Debug)]
pub struct RequestHeader {
    /// The authorities of proxies' certificates, PEM-encoded. Checked by the TLS layer; shown here
    /// to extension API servers, for which this server is such a proxy.
    pub authorities: String,
    /// Common names of those who are believed; all if empty.
    pub allowed_names: Vec<String>,
    /// Headers that name the user; the first that is there counts.
    pub username_headers: Vec<String>,
    /// Headers with the user's uid; the first that is there counts.
    pub uid_headers: Vec<String>,
    /// Headers with the user's groups; all count.
    pub group_headers: Vec<String>,
    /// What the names of headers begin with that say something else.
    pub extra_prefixes: Vec<String>,
}

impl Default for RequestHeader {
    fn default() -> Self {
        Self {
            authorities: String::new(),
            allowed_names: vec!["front-proxy-client".into()],
            username_headers: vec!["X-Remote-User".into()],
            uid_headers: vec!["X-Remote-Uid".into()],
            group_headers: vec!["X-Remote-Group".into()],
            extra_prefixes: vec!["X-Remote-Extra-".into()],
        }
    }
}

/// The client certificate of a connection, as DER, if the TLS layer found that one of
/// [`RequestHeader::authorities`] signed it: a request extension.
#[derive(Clone, Debug)]
pub struct ProxyCertificate(pub Arc<[u8]>);

impl RequestHeader {
    /// Whom a proxy speaks for; `None` if it is not believed, or says nothing.
    pub(super) fn identity(&self, headers: &HeaderMap, own: &Extensions) -> Option<Identity> {
        let ProxyCertificate(der) = own.get()?;
        let proxy = certificate::identity(der)?.name;
        if !self.allowed_names.is_empty() && !self.allowed_names.contains(&proxy) {
            return None;
        }
        let first = |names: &[String]| all(headers, names).next().map(str::to_owned);
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for prefix in &self.extra_prefixes {
            for (name, value) in headers {
                let Some(key) = rest(name.as_str(), prefix) else { continue };
                let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
                let Ok(value) = value.to_str() else { continue };
                extra.entry(key).or_default().push(value.to_owned());
            }
        }
        Some(Identity {
            name: first(&self.username_headers)?,
            uid: first(&self.uid_headers).unwrap_or_default(),
            groups: all(headers, &self.group_headers).map(str::to_owned).collect(),
            extra: extra.into_iter().collect(),
        })
    }

    /// Removes what only a proxy may say, whoever said it.
    pub(super) fn clear(&self, headers: &mut HeaderMap) {
        let named = [&self.username_headers, &self.uid_headers, &self.group_headers];
        for name in named.into_iter().flatten() {
            headers.remove(name);
        }
        let further = |name: &&http::HeaderName| {
            self.extra_prefixes.iter().any(|prefix| rest(name.as_str(), prefix).is_some())
        };
        let further: Vec<_> = headers.keys().filter(further).cloned().collect();
        for name in further {
            headers.remove(name);
        }
    }
}

/// What follows on `prefix`, in small letters.
fn rest<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Every value of the headers of these names that says anything.
fn all<'a>(headers: &'a HeaderMap, names: &'a [String]) -> impl Iterator<Item = &'a str> {
    let values = names.iter().flat_map(|name| headers.get_all(name));
    values.filter_map(|value| value.to_str().ok()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str) -> ProxyCertificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        ProxyCertificate(Arc::from(params.self_signed(&key).unwrap().der().as_ref()))
    }

    fn said() -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-remote-user", "jane"),
            ("x-remote-uid", "17"),
            ("x-remote-group", "devs"),
            ("x-remote-group", "ops"),
            ("x-remote-extra-example.com%2fscope", "a"),
            ("x-remote-extra-example.com%2fscope", "b"),
            ("accept", "*/*"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_proxy_that_may_speak_for_others_does() {
        let own = RequestHeader::default();
        let mut extensions = Extensions::new();
        assert_eq!(own.identity(&said(), &extensions), None);
        extensions.insert(certificate("somebody"));
        assert_eq!(own.identity(&said(), &extensions), None);
        let lenient = RequestHeader { allowed_names: vec![], ..RequestHeader::default() };
        assert!(lenient.identity(&said(), &extensions).is_some());
        extensions.insert(certificate("front-proxy-client"));
        let jane = own.identity(&said(), &extensions).unwrap();
        assert_eq!((jane.name.as_str(), jane.uid.as_str()), ("jane", "17"));
        assert_eq!(jane.groups, ["devs", "ops"]);
        assert_eq!(jane.extra, [("example.com/scope".into(), vec!["a".into(), "b".into()])]);
        assert_eq!(own.identity(&HeaderMap::new(), &extensions), None);
        let mut headers = said();
        own.clear(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }
}
