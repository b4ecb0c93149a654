//! The repository that a request's path names.

use std::fmt;

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use super::RegistryError;
use crate::Digest;
use crate::reference::is_path_component;

/// `<namespace>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Repository {
    /// A repository whose parts are names that Kubernetes allows; they become parts of paths.
    pub(crate) fn new(namespace: &str, name: &str) -> Result<Self, String> {
        if !is_path_component(namespace) || namespace.contains(['.', '_']) || namespace.len() > 63 {
            return Err(format!("{namespace:?} is not the name of a namespace"));
        }
        if !is_path_component(name) || name.contains('_') || name.len() > 253 {
            return Err(format!(
                "{name:?} is not the name of a module: a-z, 0-9, and - or . between them"
            ));
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// Reads `<namespace>/<name>`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (namespace, name) =
            text.split_once('/').ok_or("repositories are named <namespace>/<name>")?;
        Self::new(namespace, name)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Repository {
    type Rejection = RegistryError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RegistryError> {
        let (namespace, name) =
            (parameter(parts, state, "namespace").await?, parameter(parts, state, "name").await?);
        Self::new(&namespace, &name).map_err(RegistryError::name_invalid)
    }
}

/// The tag or digest that a request's path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TagOrDigest(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for TagOrDigest {
    type Rejection = RegistryError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RegistryError> {
        parameter(parts, state, "reference").await.map(Self)
    }
}

/// The digest that a request's path names.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlobDigest(pub(super) Digest);

impl<S: Send + Sync> FromRequestParts<S> for BlobDigest {
    type Rejection = RegistryError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RegistryError> {
        Ok(Self(parameter(parts, state, "digest").await?.parse()?))
    }
}

/// The upload session that a request's path names.
#[derive(Clone, Debug)]
pub(super) struct SessionId(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for SessionId {
    type Rejection = RegistryError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RegistryError> {
        parameter(parts, state, "session").await.map(Self)
    }
}

async fn parameter<S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    wanted: &str,
) -> Result<String, RegistryError> {
    let invalid = || RegistryError::name_invalid("the path is not valid");
    let parameters =
        RawPathParams::from_request_parts(parts, state).await.map_err(|_| invalid())?;
    let found = parameters.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, value)| value.to_owned()).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        assert!(Repository::parse("default/hello").is_ok());
        assert!(Repository::parse("default/hello-2.web").is_ok());
        for text in [
            "hello",
            "default/",
            "/hello",
            "a.b/hello",
            "default/he_llo",
            "default/a/b",
            "default/..",
            "Default/hello",
        ] {
            assert!(Repository::parse(text).is_err(), "{text}");
        }
    }
}
