//! Groups that belong to Kubernetes are defined with its community's approval only.

use coracle_api::cause::Cause;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

const ANNOTATION: &str = "api-approved.kubernetes.io";

/// How the approval of a definition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// By the change at this address.
    Approved(String),
    /// Its author says why it has none.
    Bypassed(String),
    /// Nothing is said.
    Missing,
    /// What is said is neither.
    Invalid(String),
}

/// Whether a group is Kubernetes' own.
pub fn is_protected(group: &str) -> bool {
    ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|own| group == *own || group.strip_suffix(own).is_some_and(|rest| rest.ends_with('.')))
}

impl Approval {
    /// The approval that a definition claims.
    pub fn of(crd: &CustomResourceDefinition) -> Self {
        let annotations = crd.metadata.annotations.as_ref();
        let given = annotations.and_then(|all| all.get(ANNOTATION)).map_or("", String::as_str);
        if given.is_empty() {
            return Self::Missing;
        }
        if given.starts_with("unapproved") {
            return Self::Bypassed(given.to_owned());
        }
        let url = given.parse::<http::Uri>();
        match url {
            Ok(url)
                if url.host().is_some_and(|host| !host.is_empty()) && url.scheme().is_some() =>
            {
                Self::Approved(given.to_owned())
            }
            _ => Self::Invalid(given.to_owned()),
        }
    }

    /// What Kubernetes says of it.
    pub fn reason(&self) -> String {
        match self {
            Self::Approved(given) => format!("approved in {given}"),
            Self::Bypassed(given) => format!("not approved: {given:?}"),
            Self::Missing => format!(
                "protected groups must have approval annotation {ANNOTATION:?}, see \
                 https://github.com/kubernetes/enhancements/pull/1111"
            ),
            Self::Invalid(given) => format!(
                "protected groups must have approval annotation {ANNOTATION:?} with either a URL or \
                 a reason starting with \"unapproved\", see \
                 https://github.com/kubernetes/enhancements/pull/1111: found {given:?}"
            ),
        }
    }
}

/// The faults of a definition's approval.
pub fn faults(crd: &CustomResourceDefinition) -> Vec<Cause> {
    if !is_protected(&crd.spec.group) {
        return vec![];
    }
    let approval = Approval::of(crd);
    let path = format!("metadata.annotations[{ANNOTATION}]");
    match &approval {
        Approval::Approved(_) | Approval::Bypassed(_) => vec![],
        Approval::Missing => vec![Cause::required(path, &approval.reason())],
        Approval::Invalid(given) => {
            vec![Cause::invalid(path, given.as_str(), &approval.reason())]
        }
    }
}

/// Whether objects of the definition's kind are, or were, served.
pub fn established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.as_ref().and_then(|status| status.conditions.as_ref());
    let is_set = |name, status| name == "Established" && status == "True";
    conditions.into_iter().flatten().any(|found| is_set(&*found.type_, &*found.status))
}
