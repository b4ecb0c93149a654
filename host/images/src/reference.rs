//! What a container's `image` says, by the grammar of image references.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::Digest;

/// The tag that a reference without tag and digest means.
pub(crate) const DEFAULT_TAG: &str = "latest";

/// The longest tag.
const TAG_LENGTH: usize = 128;
/// The longest repository, with its registry.
const REPOSITORY_LENGTH: usize = 255;

/// `[registry/]path[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `example.com:5000`, if one is named.
    pub registry: Option<String>,
    /// The repository's name in its registry.
    pub path: String,
    /// What follows the colon.
    pub tag: Option<String>,
    /// What follows the at sign; it decides if there is a tag too.
    pub digest: Option<Digest>,
}

/// A reference that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("couldn't parse image name {reference:?}: {reason}")]
pub struct InvalidReference {
    /// The text.
    pub reference: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Reference {
    /// The repository with its registry.
    pub fn repository(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.path),
            None => self.path.clone(),
        }
    }

    /// The tag to look for if there is no digest.
    pub fn tag_or_default(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |reason| InvalidReference { reference: text.to_owned(), reason };
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => {
                let digest = digest.parse();
                (rest, Some(digest.map_err(|_| invalid("its digest is not a sha256 digest"))?))
            }
        };
        // A colon before the last slash belongs to the registry's port.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid("its tag is not a valid tag"));
        }
        if repository.len() > REPOSITORY_LENGTH {
            return Err(invalid("it is too long"));
        }
        let is_named = |first: &str| first == "localhost" || first.contains(['.', ':']);
        let (registry, path) = match repository.split_once('/') {
            Some((first, path)) if is_named(first) => (Some(first), path),
            _ => (None, repository),
        };
        if path.is_empty() {
            return Err(invalid("it names nothing"));
        }
        if !path.split('/').all(is_path_component) {
            return Err(invalid("a name consists of a-z, 0-9 and separators (. _ -) between them"));
        }
        if registry.is_some_and(|registry| !is_registry(registry)) {
            return Err(invalid("its registry is not a host name"));
        }
        Ok(Self {
            registry: registry.map(str::to_owned),
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub(crate) fn is_tag(text: &str) -> bool {
    text.len() <= TAG_LENGTH
        && text.bytes().next().is_some_and(|first| first == b'_' || first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
pub(crate) fn is_path_component(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.split(alphanumeric).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
        })
}

/// A host name or an address, with or without a port.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    port.is_none_or(|port| port.parse::<u16>().is_ok())
        && (is_address || host.split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_references() {
        let digest = Digest::of(b"x");
        let with_digest = format!("hello:v1@{digest}");
        // The text; then registry, path and tag, each empty if there is none; then the digest.
        let cases = [
            ("hello", ["", "hello", ""], None),
            ("hello:v1", ["", "hello", "v1"], None),
            ("team/hello", ["", "team/hello", ""], None),
            ("localhost/hello", ["localhost", "hello", ""], None),
            ("127.0.0.1:6443/a/b:c", ["127.0.0.1:6443", "a/b", "c"], None),
            ("[::1]:5000/a", ["[::1]:5000", "a", ""], None),
            ("registry.k8s.io/pause:3.9", ["registry.k8s.io", "pause", "3.9"], None),
            (&with_digest, ["", "hello", "v1"], Some(digest)),
        ];
        for (text, parts, digest) in cases {
            let reference: Reference = text.parse().unwrap();
            let registry = reference.registry.as_deref().unwrap_or_default();
            let tag = reference.tag.as_deref().unwrap_or_default();
            assert_eq!([registry, &reference.path, tag], parts, "{text}");
            assert_eq!(reference.digest, digest, "{text}");
            assert_eq!(reference.to_string(), *text);
        }
    }

    #[test]
    fn what_is_no_reference() {
        let long = "a".repeat(256);
        let texts = [
            "",
            "Hello",
            "a b",
            "hello:",
            "hello:a b",
            ":v1",
            "/a",
            "a//b",
            "a/",
            "-a",
            "a..b",
            "../a",
            "x.y:port/a",
            "a@sha256:1",
            "a@b@c",
            "x.y:z w/a",
            &long,
        ];
        for text in texts {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
