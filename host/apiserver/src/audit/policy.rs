//! What is written down of a request: `audit.k8s.io/v1 Policy`
//! (`k8s.io/apiserver/pkg/audit/policy`).

use serde::Deserialize;

use crate::authz::Attributes;

/// How much of a request is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) enum Level {
    #[default]
    None,
    Metadata,
    Request,
    RequestResponse,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// Rules of which the first that speaks of a request decides.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    api_version: String,
    kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: serde_json::Value,
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<Resources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Resources {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is not readable.
    #[error("the audit policy cannot be read: {0}")]
    Unreadable(#[from] serde_yaml::Error),
    /// It is something else.
    #[error("the audit policy must be a Policy of audit.k8s.io/v1, not a {0} of {1}")]
    Other(String, String),
    /// A rule mixes what cannot be mixed.
    #[error("rules[{0}]: rules cannot apply to both regular resources and non-resource URLs")]
    Mixed(usize),
}

/// What the policy wants of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) level: Level,
    pub(crate) omit_stages: Vec<Stage>,
    pub(crate) omit_managed_fields: bool,
}

impl Policy {
    /// Reads a policy from YAML or JSON.
    pub fn read(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = serde_yaml::from_str(text)?;
        if policy.api_version != "audit.k8s.io/v1" || policy.kind != "Policy" {
            return Err(PolicyError::Other(policy.kind, policy.api_version));
        }
        let mixed = |rule: &Rule| {
            let resources = !rule.resources.is_empty() || !rule.namespaces.is_empty();
            resources && !rule.non_resource_urls.is_empty()
        };
        match policy.rules.iter().position(mixed) {
            Some(at) => Err(PolicyError::Mixed(at)),
            None => Ok(policy),
        }
    }

    pub(super) fn wanted(&self, request: &Attributes<'_>) -> Wanted {
        let Some(rule) = self.rules.iter().find(|rule| rule.speaks_of(request)) else {
            return Wanted::default();
        };
        let mut omit_stages = self.omit_stages.clone();
        omit_stages.extend(&rule.omit_stages);
        let omit_managed_fields = rule.omit_managed_fields.unwrap_or(self.omit_managed_fields);
        Wanted { level: rule.level, omit_stages, omit_managed_fields }
    }
}

fn any_or(list: &[String], value: &str) -> bool {
    list.is_empty() || list.iter().any(|item| item == value)
}

impl Rule {
    fn speaks_of(&self, request: &Attributes<'_>) -> bool {
        let identity = request.identity;
        let groups = &self.user_groups;
        if !any_or(&self.users, &identity.name)
            || !groups.is_empty() && !groups.iter().any(|group| identity.is_in(group))
            || !any_or(&self.verbs, request.verb)
        {
            return false;
        }
        let about_resources = !self.namespaces.is_empty() || !self.resources.is_empty();
        match &request.resource {
            Some(asked) if about_resources => {
                any_or(&self.namespaces, asked.namespace)
                    && (self.resources.is_empty()
                        || self.resources.iter().any(|wanted| wanted.speaks_of(asked)))
            }
            Some(_) => self.non_resource_urls.is_empty(),
            None if self.non_resource_urls.is_empty() => !about_resources,
            None => self.non_resource_urls.iter().any(|url| match url.strip_suffix('*') {
                Some(prefix) => request.path.starts_with(prefix),
                None => url == request.path,
            }),
        }
    }
}

impl Resources {
    fn speaks_of(&self, asked: &crate::authz::ResourceAttributes<'_>) -> bool {
        if self.group != asked.group {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        any_or(&self.resource_names, asked.name)
            && self.resources.iter().any(|wanted| match wanted.split_once('/') {
                None => wanted == "*" || wanted == asked.resource && asked.subresource.is_empty(),
                Some((resource, sub)) => {
                    (resource == "*" || resource == asked.resource)
                        && (sub == "*" || sub == asked.subresource)
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::Identity;
    use crate::authz::ResourceAttributes;

    const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: ["system:kube-proxy"]
  verbs: ["watch"]
  resources: [{group: "", resources: ["endpoints"]}]
- level: None
  nonResourceURLs: ["/healthz*", "/version"]
- level: Request
  resources: [{group: "", resources: ["configmaps"], resourceNames: ["one"]}]
  namespaces: ["kube-system"]
- level: RequestResponse
  resources: [{group: "", resources: ["pods/*"]}]
  omitManagedFields: true
- level: Metadata
  userGroups: ["devs"]
"#;

    #[test]
    fn the_first_rule_that_speaks_of_a_request_decides() {
        let policy = Policy::read(POLICY).unwrap();
        let jane = Identity::new("jane", &["devs"]);
        let proxy = Identity::new("system:kube-proxy", &[]);
        let level = |identity: &Identity, verb: &str, resource: Option<[&str; 4]>, path: &str| {
            let resource = resource.map(|[resource, subresource, namespace, name]| {
                ResourceAttributes { resource, subresource, namespace, name, ..Default::default() }
            });
            policy.wanted(&Attributes { identity, verb, resource, path }).level
        };
        let endpoints = Some(["endpoints", "", "a", ""]);
        assert_eq!(level(&proxy, "watch", endpoints, ""), Level::None);
        assert_eq!(level(&jane, "watch", endpoints, ""), Level::Metadata);
        assert_eq!(level(&jane, "get", None, "/healthz/etcd"), Level::None);
        assert_eq!(level(&jane, "get", None, "/metrics"), Level::Metadata);
        let map = |name| Some(["configmaps", "", "kube-system", name]);
        assert_eq!(level(&jane, "update", map("one"), ""), Level::Request);
        assert_eq!(level(&jane, "update", map("two"), ""), Level::Metadata);
        assert_eq!(
            level(&jane, "create", Some(["pods", "exec", "a", "p"]), ""),
            Level::RequestResponse
        );
        let pods = Some(["pods", "", "a", "p"]);
        assert_eq!(level(&proxy, "get", pods, ""), Level::RequestResponse);
        assert_eq!(level(&proxy, "get", Some(["secrets", "", "a", "s"]), ""), Level::None);
    }

    #[test]
    fn policies_that_make_no_sense() {
        let read = |text: &str| Policy::read(text).unwrap_err().to_string();
        assert_eq!(
            read("{apiVersion: v1, kind: Pod, rules: []}"),
            "the audit policy must be a Policy of audit.k8s.io/v1, not a Pod of v1"
        );
        let mixed = POLICY.replace("nonResourceURLs", "namespaces: [a]\n  nonResourceURLs");
        assert!(read(&mixed).starts_with("rules[1]"));
        assert!(read(&POLICY.replace("omitStages", "omitStage")).contains("unknown field"));
    }
}
