//! What Kubernetes' schemas say about merging, beyond what the types say: merge keys, patch
//! strategies and list types. `merge_keys.json` is extracted from Kubernetes' own OpenAPI document
//! by `merge_keys.py`.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// By definition, by field; what is said of a definition as a whole stands at the empty field.
type Table = HashMap<String, HashMap<String, Field>>;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let table = serde_json::from_str(include_str!("merge_keys.json"));
    table.unwrap_or_else(|error| {
        tracing::error!(%error, "the table of merge keys is unreadable");
        Table::new()
    })
});

/// What is known of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Field {
    /// The field by which the items of a list are told apart in strategic patches.
    pub(crate) merge_key: Option<String>,
    /// `merge`, `replace`, `retainKeys`.
    pub(crate) strategies: Vec<String>,
    /// `atomic`, `set`, `map`.
    pub(crate) list_type: Option<String>,
    /// The fields by which the items of a list are told apart in applied configurations.
    pub(crate) list_map_keys: Vec<String>,
    /// `atomic`, `granular`.
    pub(crate) map_type: Option<String>,
    /// The definition of the field, or of its items.
    r#ref: Option<String>,
}

impl Field {
    /// Whether lists are merged in strategic patches.
    pub(super) fn merges(&self) -> bool {
        self.strategies.iter().any(|strategy| strategy == "merge")
    }

    /// Whether maps are replaced in strategic patches.
    pub(super) fn replaces(&self) -> bool {
        self.strategies.iter().any(|strategy| strategy == "replace")
    }
}

/// What is known of the fields of one definition; most have nothing to be known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema(Option<&'static HashMap<String, Field>>);

/// How a kind's definition is called in OpenAPI documents: `io.k8s.api.apps.v1.Deployment`, or
/// `dev.coracle.v1.Module`.
pub(crate) fn definition(group: &str, version: &str, kind: &str) -> String {
    let package = match group {
        "" => "io.k8s.api.core".to_owned(),
        "apiregistration.k8s.io" => "io.k8s.kube-aggregator.pkg.apis.apiregistration".to_owned(),
        "apiextensions.k8s.io" => {
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions".to_owned()
        }
        group if !group.contains('.') || group.ends_with(".k8s.io") => {
            format!("io.k8s.api.{}", group.split('.').next().unwrap_or(group))
        }
        group => group.rsplit('.').collect::<Vec<_>>().join("."),
    };
    format!("{package}.{version}.{kind}")
}

impl Schema {
    /// The schema of a kind of Kubernetes' own.
    pub(crate) fn of_kind(group: &str, version: &str, kind: &str) -> Option<Self> {
        Self::of_definition(&definition(group, version, kind))
    }

    /// The schema of a definition of Kubernetes' OpenAPI document, as in
    /// `io.k8s.api.core.v1.PodSpec`, if anything is known of its fields.
    pub(crate) fn of_definition(name: &str) -> Option<Self> {
        TABLE.get(name).map(|fields| Self(Some(fields)))
    }

    /// A field.
    pub(crate) fn field(self, name: &str) -> Option<&'static Field> {
        self.0?.get(name)
    }

    /// The schema of a field's value, or of its items.
    pub(super) fn below(self, name: &str) -> Self {
        let definition = self.field(name).and_then(|field| field.r#ref.as_deref());
        Self(definition.and_then(|definition| TABLE.get(definition)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_pods() {
        let pod = Schema::of_kind("", "v1", "Pod").unwrap();
        let containers = pod.below("spec").field("containers").unwrap();
        assert_eq!(containers.merge_key.as_deref(), Some("name"));
        assert!(containers.merges());
        let env = pod.below("spec").below("containers").field("env").unwrap();
        assert_eq!(env.list_map_keys, ["name"]);
        assert!(Schema::of_kind("apps", "v1", "Deployment").is_some());
        assert!(Schema::of_kind("coracle.dev", "v1", "Module").is_none());
    }
}
