//! The kinds that the server serves, found by group, version and plural name.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Kind, Names};
use crate::request::Target;

/// What stands behind a resource's path.
#[derive(Clone)]
pub(crate) enum Resource {
    /// Objects of this kind are kept.
    Stored(Arc<dyn Kind>),
    /// Objects of this kind are questions: created, answered, forgotten.
    Virtual(&'static Names),
}

impl Resource {
    pub(crate) fn names(&self) -> &'static Names {
        match self {
            Self::Stored(kind) => kind.names(),
            Self::Virtual(names) => names,
        }
    }
}

/// Every kind that is served.
pub(crate) struct Registry {
    kinds: Vec<Arc<dyn Kind>>,
    by_plural: HashMap<&'static str, Vec<Resource>>,
}

const fn question(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    namespaced: bool,
) -> Names {
    Names {
        group,
        version: "v1",
        kind,
        plural,
        singular,
        short: &[],
        categories: &[],
        namespaced,
        status: false,
    }
}

/// The kinds whose objects are not kept.
pub(crate) const QUESTIONS: &[Names] = &[
    question("", "Binding", "bindings", "binding", true),
    question(
        "authentication.k8s.io",
        "SelfSubjectReview",
        "selfsubjectreviews",
        "selfsubjectreview",
        false,
    ),
    question("authentication.k8s.io", "TokenReview", "tokenreviews", "tokenreview", false),
    question(
        "authorization.k8s.io",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        "localsubjectaccessreview",
        true,
    ),
    question(
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        "selfsubjectaccessreview",
        false,
    ),
    question(
        "authorization.k8s.io",
        "SubjectAccessReview",
        "subjectaccessreviews",
        "subjectaccessreview",
        false,
    ),
];

impl Registry {
    pub(crate) fn new(kinds: Vec<Arc<dyn Kind>>) -> Self {
        let mut by_plural: HashMap<_, Vec<_>> = HashMap::new();
        let stored = kinds.iter().cloned().map(Resource::Stored);
        for resource in stored.chain(QUESTIONS.iter().map(Resource::Virtual)) {
            by_plural.entry(resource.names().plural).or_default().push(resource);
        }
        Self { kinds, by_plural }
    }

    /// The kinds whose objects are kept, in the order of the table.
    pub(crate) fn kinds(&self) -> &[Arc<dyn Kind>] {
        &self.kinds
    }

    pub(crate) fn resource(&self, target: &Target) -> Option<Resource> {
        let candidates = self.by_plural.get(target.resource.as_str())?;
        let fits = |names: &Names| names.group == target.group && names.version == target.version;
        candidates.iter().find(|resource| fits(resource.names())).cloned()
    }

    /// The kind of that group and plural name, in whichever version is served first.
    pub(crate) fn kind(&self, group: &str, plural: &str) -> Option<&Arc<dyn Kind>> {
        self.by_plural.get(plural)?.iter().find_map(|resource| match resource {
            Resource::Stored(kind) if kind.names().group == group => Some(kind),
            _ => None,
        })
    }
}
