//! The kinds that the server serves, found by group, version and plural name. Those that are
//! defined at run time come and go: each change makes a new [`Table`], and whoever has an old one
//! keeps it for as long as he needs it.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{ApiResource, Kind, Names};
use crate::request::Target;

/// What stands behind a resource's path.
#[derive(Clone)]
pub(crate) enum Resource {
    /// Objects of this kind are kept.
    Stored(Arc<dyn Kind>),
    /// Objects of this kind are questions: created, answered, forgotten.
    Virtual(Arc<ApiResource>),
}

impl Resource {
    pub(crate) fn names(&self) -> &ApiResource {
        match self {
            Self::Stored(kind) => kind.names(),
            Self::Virtual(names) => names,
        }
    }
}

/// Every kind that is served at one time.
pub(crate) struct Table {
    kinds: Vec<Arc<dyn Kind>>,
    questions: Vec<Arc<ApiResource>>,
    by_plural: HashMap<Arc<str>, Vec<Resource>>,
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
const QUESTIONS: &[Names] = &[
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
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        "selfsubjectrulesreview",
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

impl Table {
    fn new(kinds: Vec<Arc<dyn Kind>>, questions: Vec<Arc<ApiResource>>) -> Self {
        let mut by_plural: HashMap<_, Vec<_>> = HashMap::new();
        let stored = kinds.iter().cloned().map(Resource::Stored);
        for resource in stored.chain(questions.iter().cloned().map(Resource::Virtual)) {
            by_plural.entry(resource.names().plural.clone()).or_default().push(resource);
        }
        Self { kinds, questions, by_plural }
    }

    /// The kinds whose objects are kept, in all their versions, in the order of the table.
    pub(crate) fn kinds(&self) -> &[Arc<dyn Kind>] {
        &self.kinds
    }

    /// The kinds whose objects are not kept.
    pub(crate) fn questions(&self) -> &[Arc<ApiResource>] {
        &self.questions
    }

    /// Every resource, the questions behind the kept ones.
    pub(crate) fn resources(&self) -> impl Iterator<Item = Resource> + '_ {
        let stored = self.kinds.iter().cloned().map(Resource::Stored);
        stored.chain(self.questions.iter().cloned().map(Resource::Virtual))
    }

    pub(crate) fn resource(&self, target: &Target) -> Option<Resource> {
        let candidates = self.by_plural.get(target.resource.as_str())?;
        let fits =
            |names: &ApiResource| *names.group == target.group && *names.version == target.version;
        candidates.iter().find(|resource| fits(resource.names())).cloned()
    }

    /// The kind of that group and plural name, in the version that is stored.
    pub(crate) fn kind(&self, group: &str, plural: &str) -> Option<&Arc<dyn Kind>> {
        self.by_plural.get(plural)?.iter().find_map(|resource| match resource {
            Resource::Stored(kind)
                if *kind.names().group == *group && kind.conversion().is_none() =>
            {
                Some(kind)
            }
            _ => None,
        })
    }
}

/// The table of the moment.
pub(crate) struct Registry {
    builtin: Vec<Arc<dyn Kind>>,
    current: ArcSwap<Table>,
}

impl Registry {
    /// A registry that serves the built-in kinds.
    pub(crate) fn new(builtin: Vec<Arc<dyn Kind>>) -> Self {
        let questions = QUESTIONS.iter().map(|names| Arc::new(ApiResource::from(names))).collect();
        let table = Table::new(builtin.clone(), questions);
        Self { builtin, current: ArcSwap::from_pointee(table) }
    }

    /// Serves `defined` beside the built-in kinds, in place of what was defined before.
    pub(crate) fn define(&self, defined: impl IntoIterator<Item = Arc<dyn Kind>>) {
        let questions = self.current.load().questions.clone();
        let kinds = self.builtin.iter().cloned().chain(defined).collect();
        self.current.store(Arc::new(Table::new(kinds, questions)));
    }

    /// The table as it is now.
    pub(crate) fn table(&self) -> Arc<Table> {
        self.current.load_full()
    }

    pub(crate) fn resource(&self, target: &Target) -> Option<Resource> {
        self.current.load().resource(target)
    }

    /// The kind of that group and plural name, in the version that is stored.
    pub(crate) fn kind(&self, group: &str, plural: &str) -> Option<Arc<dyn Kind>> {
        self.current.load().kind(group, plural).cloned()
    }
}
