//! Rules for names, labels and annotations, with Kubernetes' sentences
//! (`k8s.io/apimachinery/pkg/util/validation`). Each rule returns its complaints: none is good.

/// The longest DNS-1123 or DNS-1035 label, label value and name part of a qualified name.
pub const LABEL_MAX: usize = 63;
/// The longest DNS-1123 subdomain.
pub const SUBDOMAIN_MAX: usize = 253;
/// The most bytes that all annotations of an object may take together.
pub const ANNOTATIONS_MAX: usize = 256 * 1024;

const DNS_1123_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_1123_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const DNS_1035_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED_NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_VAR_NAME: &str = "a valid environment variable name must consist only of printable ASCII characters other than '='";
const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
const EMPTY: &str = "must be non-empty";

/// What Kubernetes says of a text longer than `max` bytes.
pub fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`
fn is_dns_label(text: &[u8]) -> bool {
    let [first, .., last] = text else {
        return matches!(text, [only] if lower_or_digit(*only));
    };
    let inner = |byte: &u8| lower_or_digit(*byte) || *byte == b'-';
    lower_or_digit(*first) && lower_or_digit(*last) && text.iter().all(inner)
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`
fn is_qualified(text: &[u8]) -> bool {
    let [first, .., last] = text else {
        return matches!(text, [only] if only.is_ascii_alphanumeric());
    };
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() && text.iter().all(inner)
}

fn complaints(text: &str, max: usize, good: bool, sentence: &str) -> Vec<String> {
    let long = (text.len() > max).then(|| too_long(max));
    long.into_iter().chain((!good).then(|| sentence.to_owned())).collect()
}

/// A name of most kinds: `my-name` up to 63 bytes.
pub fn dns_1123_label(text: &str) -> Vec<String> {
    complaints(text, LABEL_MAX, is_dns_label(text.as_bytes()), DNS_1123_LABEL)
}

/// Labels joined by dots up to 253 bytes.
pub fn dns_1123_subdomain(text: &str) -> Vec<String> {
    let good = text.as_bytes().split(|byte| *byte == b'.').all(is_dns_label);
    complaints(text, SUBDOMAIN_MAX, good, DNS_1123_SUBDOMAIN)
}

/// A label that begins with a letter: the names of Services.
pub fn dns_1035_label(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let good = is_dns_label(bytes) && bytes.first().is_some_and(u8::is_ascii_lowercase);
    complaints(text, LABEL_MAX, good, DNS_1035_LABEL)
}

/// A label key, resource name or finalizer: `name` or `example.com/name`.
pub fn qualified_name(text: &str) -> Vec<String> {
    let mut found = vec![];
    let mut parts = text.splitn(3, '/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                found.push(format!("prefix part {EMPTY}"));
            } else {
                let of_prefix = dns_1123_subdomain(prefix).into_iter();
                found.extend(of_prefix.map(|text| format!("prefix part {text}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a qualified name {QUALIFIED_NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        found.push(format!("name part {EMPTY}"));
    } else if name.len() > LABEL_MAX {
        found.push(format!("name part {}", too_long(LABEL_MAX)));
    }
    if !is_qualified(name.as_bytes()) {
        found.push(format!("name part {QUALIFIED_NAME}"));
    }
    found
}

/// The value of a label; may be empty.
pub fn label_value(text: &str) -> Vec<String> {
    let good = text.is_empty() || is_qualified(text.as_bytes());
    complaints(text, LABEL_MAX, good, LABEL_VALUE)
}

/// A name that is only ever a segment of a path: anything that does not break the path.
pub fn path_segment(text: &str) -> Vec<String> {
    if text == "." || text == ".." {
        return vec![format!("may not be '{text}'")];
    }
    let found = ['/', '%'].into_iter().filter(|illegal| text.contains(*illegal));
    found.map(|illegal| format!("may not contain '{illegal}'")).collect()
}

/// A key of a ConfigMap's or Secret's data.
pub fn config_key(text: &str) -> Vec<String> {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let good = !text.is_empty() && text.bytes().all(inner);
    let mut found = complaints(text, SUBDOMAIN_MAX, good, CONFIG_KEY);
    match text {
        "." => found.push("must not be '.'".into()),
        ".." => found.push("must not be '..'".into()),
        _ if text.starts_with("..") => found.push("must not start with '..'".into()),
        _ => {}
    }
    found
}

/// The name of an environment variable.
pub fn env_name(text: &str) -> Vec<String> {
    if text.is_empty() {
        return vec!["environment variable name must be non-empty".into()];
    }
    let good = text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
    if good { vec![] } else { vec![ENV_VAR_NAME.into()] }
}

/// The name of a port: a service name of RFC 6335.
pub fn port_name(text: &str) -> Vec<String> {
    let mut found = vec![];
    if text.len() > 15 {
        found.push("must be no more than 15 characters".into());
    }
    let inner = |byte: u8| lower_or_digit(byte) || byte == b'-';
    if !text.bytes().all(inner) {
        found.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        found.push("must contain at least one letter (a-z)".into());
    }
    if text.contains("--") {
        found.push("must not contain consecutive hyphens".into());
    }
    if text.starts_with('-') || text.ends_with('-') {
        found.push("must not begin or end with a hyphen".into());
    }
    found
}

/// A TCP or UDP port.
pub fn port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) {
        vec![]
    } else {
        vec!["must be between 1 and 65535, inclusive".into()]
    }
}

/// `*.` and a DNS-1123 subdomain.
pub fn wildcard_dns_1123_subdomain(text: &str) -> Vec<String> {
    let below = text.strip_prefix("*.").unwrap_or_default();
    let good = below.as_bytes().split(|byte| *byte == b'.').all(is_dns_label);
    complaints(text, SUBDOMAIN_MAX, good, WILDCARD)
}

/// A range of addresses, as in `10.9.8.0/24`. Bits beyond the prefix are allowed.
pub fn cidr(text: &str) -> Vec<String> {
    if network(text).is_some() { vec![] } else { vec![CIDR.into()] }
}

/// The address and the length of the prefix in a range of addresses.
pub fn network(text: &str) -> Option<(std::net::IpAddr, u8)> {
    let (ip, bits) = text.split_once('/')?;
    let ip: std::net::IpAddr = ip.parse().ok()?;
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let digits = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    let bits = bits.parse().ok().filter(|bits| digits && *bits <= most)?;
    Some((ip, bits))
}

/// A share such as `25%`.
pub fn percent(text: &str) -> Vec<String> {
    let digits = text.strip_suffix('%').unwrap_or_default();
    let good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if good { vec![] } else { vec![PERCENT.into()] }
}

/// An IPv4 or IPv6 address.
pub fn ip(text: &str) -> Vec<String> {
    if text.parse::<std::net::IpAddr>().is_ok() {
        vec![]
    } else {
        vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for good in ["a", "1", "a-b", "0a", "a--b", &"x".repeat(63)] {
            assert_eq!(dns_1123_label(good), Vec::<String>::new(), "{good}");
        }
        for bad in ["", "-", "a-", "-a", "A", "a.b", "a_b", "ä", &"x".repeat(64)] {
            assert_eq!(dns_1123_label(bad).len(), 1, "{bad}");
        }
        assert!(dns_1035_label("1a").len() == 1 && dns_1035_label("a1").is_empty());
        assert_eq!(dns_1123_label(&"X".repeat(64)).len(), 2);
    }

    #[test]
    fn ranges_of_addresses() {
        for good in ["10.0.0.0/8", "10.1.2.3/8", "::/0", "2001:db8::/128", "0.0.0.0/0"] {
            assert!(cidr(good).is_empty(), "{good}");
        }
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "::/129", "::/"] {
            assert_eq!(cidr(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn wildcards() {
        assert!(wildcard_dns_1123_subdomain("*.a.b").is_empty());
        for bad in ["*", "*.", "a.*.b", "*a.b", "*.*.b"] {
            assert_eq!(wildcard_dns_1123_subdomain(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn path_segments() {
        assert!(path_segment("system:node-proxier").is_empty());
        assert_eq!(path_segment(".."), ["may not be '..'"]);
        assert_eq!(path_segment("a/b%"), ["may not contain '/'", "may not contain '%'"]);
    }

    #[test]
    fn subdomains() {
        for good in ["a", "a.b", "1.2-3.c"] {
            assert!(dns_1123_subdomain(good).is_empty(), "{good}");
        }
        for bad in ["", ".", "a..b", "a.", ".a", "a.-b", "A.b"] {
            assert_eq!(dns_1123_subdomain(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn qualified_names() {
        for good in ["a", "A_b.c", "example.com/A", "1/2"] {
            assert!(qualified_name(good).is_empty(), "{good}");
        }
        assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(qualified_name("a/").len(), 2);
        assert!(qualified_name("a/b/c")[0].starts_with("a qualified name must consist"));
        assert!(qualified_name("A.com/a")[0].starts_with("prefix part a lowercase RFC 1123"));
        assert!(qualified_name("-a")[0].starts_with("name part must consist"));
    }

    #[test]
    fn values_and_keys() {
        assert!(label_value("").is_empty() && label_value("A_b.c").is_empty());
        assert_eq!(label_value("a b").len(), 1);
        assert!(config_key("a.b-C_d").is_empty() && config_key("..a").len() == 1);
        assert_eq!(config_key("").len(), 1);
        assert!(env_name("a.b c").is_empty() && env_name("a=b").len() == 1);
        assert!(port_name("http-1").is_empty() && port_name("1--").len() == 3);
        assert!(percent("25%").is_empty() && percent("%").len() == 1 && percent("5").len() == 1);
        assert!(ip("::1").is_empty() && ip("01.2.3.4").len() == 1);
    }
}
