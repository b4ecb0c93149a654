//! How webhooks are reached, whatever they are asked.

use coracle_api::cause::Cause;
use coracle_api::meta;
use http::Uri;

use super::all;

const FORM: &str = "; desired format: https://host[/path]";

/// The address of a webhook outside of the cluster.
pub(crate) fn webhook_url(text: &str, path: &str) -> Vec<Cause> {
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    let Ok(uri) = address.parse::<Uri>() else {
        let detail = format!("url must be a valid URL: parse {text:?}: invalid URI{FORM}");
        return vec![Cause::required(path, &detail)];
    };
    let mut faults = vec![];
    let mut refuse = |value: &str, detail: String| {
        faults.push(Cause::invalid(path, value, &detail));
    };
    let scheme = uri.scheme_str().unwrap_or_default();
    if scheme != "https" {
        refuse(scheme, format!("'https' is the only allowed URL scheme{FORM}"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if scheme.is_empty() || host.is_empty() {
        refuse("", format!("host must be specified{FORM}"));
    }
    if !user.is_empty() {
        refuse(user, "user information is not permitted in the URL".into());
    }
    if !fragment.is_empty() {
        refuse(fragment, "fragments are not permitted in the URL".into());
    }
    if let Some(query) = uri.query().filter(|query| !query.is_empty()) {
        refuse(query, "query parameters are not permitted in the URL".into());
    }
    faults
}

/// The Service behind which a webhook answers.
pub(crate) fn webhook_service(
    name: &str,
    namespace: &str,
    place: Option<&str>,
    port: i32,
    path: &str,
) -> Vec<Cause> {
    let mut faults = vec![];
    if name.is_empty() {
        faults.push(Cause::required(format!("{path}.name"), "service name is required"));
    }
    if namespace.is_empty() {
        let detail = "service namespace is required";
        faults.push(Cause::required(format!("{path}.namespace"), detail));
    }
    let complaints = meta::port_number(port.into());
    if !complaints.is_empty() {
        let detail = format!("port is not valid: {}", complaints.join(", "));
        faults.push(Cause::invalid(format!("{path}.port"), port, &detail));
    }
    if let Some(place) = place.filter(|place| !place.is_empty() && *place != "/") {
        faults.extend(url_path(place, &format!("{path}.path")));
    }
    faults
}

fn url_path(text: &str, path: &str) -> Vec<Cause> {
    if text == "//" {
        return vec![Cause::invalid(path, text, "segment[0] may not be empty")];
    }
    let mut faults = vec![];
    if !text.starts_with('/') {
        faults.push(Cause::invalid(path, text, "must start with a '/'"));
    }
    let inner = text.get(1..).unwrap_or_default();
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    for (at, step) in inner.split('/').enumerate() {
        if step.is_empty() {
            let detail = format!("segment[{at}] may not be empty");
            faults.push(Cause::invalid(path, text, &detail));
            continue;
        }
        let complaints = meta::dns_1123_subdomain(step).into_iter();
        let complaints = complaints.map(|complaint| format!("segment[{at}]: {complaint}"));
        faults.extend(all(path, text, complaints.collect()));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::lines;
    use super::*;

    #[test]
    fn urls() {
        assert_eq!(webhook_url("https://a.example.com:8443/path", "u"), []);
        for (url, expected) in [
            (
                "http://a",
                "u: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]",
            ),
            (
                "https://u:p@a",
                "u: Invalid value: \"u:p\": user information is not permitted in the URL",
            ),
            (
                "https://a?x=y",
                "u: Invalid value: \"x=y\": query parameters are not permitted in the URL",
            ),
            ("https://a#b", "u: Invalid value: \"b\": fragments are not permitted in the URL"),
        ] {
            assert_eq!(lines(webhook_url(url, "u")), [expected]);
        }
        assert_eq!(webhook_url("", "u").len(), 1);
        assert_eq!(lines(webhook_url("a", "u")).len(), 2);
    }

    #[test]
    fn services() {
        assert_eq!(webhook_service("a", "b", Some("/c/d.e/"), 443, "s"), []);
        assert_eq!(
            lines(webhook_service("", "", Some("c//D"), 0, "s")),
            [
                "s.name: Required value: service name is required",
                "s.namespace: Required value: service namespace is required",
                "s.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
                "s.path: Invalid value: \"c//D\": must start with a '/'",
            ]
            .into_iter()
            .map(str::to_owned)
            .chain(lines(url_path("c//D", "s.path")).into_iter().skip(1))
            .collect::<Vec<_>>()
        );
        assert_eq!(url_path("/a//b", "p").len(), 1);
    }
}
