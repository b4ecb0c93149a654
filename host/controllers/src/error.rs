//! What stops a reconcile. Any error backs the key off and tries again.

/// Why a controller could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("{doing}: {source}")]
    Api {
        /// What was being done.
        doing: &'static str,
        /// The answer.
        #[source]
        source: kube::Error,
    },
    /// Several independent actions failed; the first failure stands for all.
    #[error("{failed} of {tried} failed, the first: {first}")]
    Several {
        /// How many failed.
        failed: usize,
        /// How many were tried.
        tried: usize,
        /// The first failure.
        first: Box<Error>,
    },
    /// An object cannot be understood.
    #[error("{0}")]
    Invalid(String),
    /// The work is not finished and must be looked at again.
    #[error("{0}")]
    Unfinished(String),
    /// The reconcile itself broke.
    #[error("the reconcile panicked: {0}")]
    Panicked(String),
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether somebody else changed the object first, which the next try resolves.
    pub(crate) fn is_conflict(&self) -> bool {
        self.code() == Some(409) && self.reason() == Some("Conflict")
    }

    /// Whether the object is gone.
    pub(crate) fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the object's name is taken.
    pub(crate) fn is_already_exists(&self) -> bool {
        self.reason() == Some("AlreadyExists")
    }

    /// Whether nothing can be created because the namespace is going away.
    pub(crate) fn is_namespace_terminating(&self) -> bool {
        let Self::Api { source: kube::Error::Api(status), .. } = self else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
    }

    fn code(&self) -> Option<u16> {
        match self {
            Self::Api { source: kube::Error::Api(status), .. } => Some(status.code),
            _ => None,
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Api { source: kube::Error::Api(status), .. } => Some(&status.reason),
            _ => None,
        }
    }

    /// The API server's own words, for conditions and events; otherwise the error's.
    pub(crate) fn for_people(&self) -> String {
        match self {
            Self::Api { source: kube::Error::Api(status), .. } => status.message.clone(),
            Self::Several { first, .. } => first.for_people(),
            other => other.to_string(),
        }
    }
}

/// Says what was being done when the API server refused.
pub(crate) trait While<T> {
    /// Turns a client's error into ours.
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T> While<T> for kube::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|source| Error::Api { doing, source })
    }
}

/// One error for the failures among `results`, of which `tried` were tried.
pub(crate) fn all<T>(results: impl IntoIterator<Item = Result<T>>) -> Result<Vec<T>> {
    let mut done = Vec::new();
    let mut failed = 0;
    let mut first = None;
    for result in results {
        match result {
            Ok(value) => done.push(value),
            Err(error) => {
                failed += 1;
                first.get_or_insert(error);
            }
        }
    }
    match first {
        None => Ok(done),
        Some(first) => {
            Err(Error::Several { failed, tried: done.len() + failed, first: Box::new(first) })
        }
    }
}
