//! What is known of the fields of Kubernetes' own types. `fields.json` is extracted from its
//! OpenAPI document by `fields.py`; a definition is read when it is first asked for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, OnceLock};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::schema::{self, Key, List, ListMerge, Map, Scalar, Schema, Type};
use crate::tree::Tree;

/// What the names of Kubernetes' own definitions begin with.
const PREFIX: &str = "io.k8s.";

/// The fields of one definition.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Definition(BTreeMap<String, Field>);

/// What is known of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    is: String,
    /// The field by which the items of a list are told apart in strategic patches.
    pub merge_key: Option<String>,
    /// `merge`, `replace`, `retainKeys`.
    pub strategies: Vec<String>,
    /// `atomic`, `set`, `map`.
    pub list_type: Option<String>,
    /// The fields by which the items of a list are told apart in applied configurations.
    pub list_map_keys: Vec<String>,
    /// `atomic`, `granular`.
    pub map_type: Option<String>,
    default: Option<String>,
    standing: bool,
}

struct Known {
    text: &'static RawValue,
    definition: OnceLock<Option<Definition>>,
    schema: OnceLock<Schema>,
}

static TABLE: LazyLock<HashMap<&'static str, Known>> = LazyLock::new(|| {
    // A test reads all of it.
    let table: HashMap<&'static str, &'static RawValue> =
        serde_json::from_str(include_str!("fields.json")).unwrap_or_default();
    let known =
        |(name, text)| (name, Known { text, definition: OnceLock::new(), schema: OnceLock::new() });
    table.into_iter().map(known).collect()
});

impl Definition {
    /// The definition of a kind of Kubernetes' own.
    pub fn of_kind(group: &str, version: &str, kind: &str) -> Option<&'static Self> {
        Self::find(name_of_kind(group, version, kind)?)
    }

    /// A definition by its full name, as in `io.k8s.api.core.v1.PodSpec`.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::find(name.strip_prefix(PREFIX)?)
    }

    fn find(name: &str) -> Option<&'static Self> {
        let known = TABLE.get(name)?;
        known.definition.get_or_init(|| serde_json::from_str(known.text.get()).ok()).as_ref()
    }

    /// A field; what is known of the definition as a whole stands at the empty name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.0.get(name)
    }
}

impl Field {
    /// Whether lists are merged in strategic patches.
    pub fn merges(&self) -> bool {
        self.strategies.iter().any(|strategy| strategy == "merge")
    }

    /// Whether maps are replaced in strategic patches.
    pub fn replaces(&self) -> bool {
        self.strategies.iter().any(|strategy| strategy == "replace")
    }

    /// The definition of the field's value, or of its items.
    pub fn definition(&self) -> Option<&'static Definition> {
        let (_, name) = self.is.split_once('@')?;
        Definition::find(name)
    }

    fn schema(&self) -> Schema {
        schema_of(&self.is, self)
    }
}

/// How a kind's definition is called in OpenAPI documents: `io.k8s.api.apps.v1.Deployment`, or
/// `dev.coracle.v1.Module`.
pub fn definition_name(group: &str, version: &str, kind: &str) -> String {
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

/// The name of the definition of a kind of Kubernetes' own.
fn name_of_kind(group: &str, version: &str, kind: &str) -> Option<&'static str> {
    let name = definition_name(group, version, kind);
    TABLE.get_key_value(name.strip_prefix(PREFIX)?).map(|(name, _)| *name)
}

/// The schema of a kind of Kubernetes' own.
pub fn schema_of_kind(group: &str, version: &str, kind: &str) -> Option<Schema> {
    name_of_kind(group, version, kind).map(named_schema)
}

/// The schema of the metadata of all objects.
pub(crate) fn object_meta() -> Schema {
    named_schema("apimachinery.pkg.apis.meta.v1.ObjectMeta")
}

/// The schema of a definition; made once.
fn named_schema(name: &'static str) -> Schema {
    let Some(known) = TABLE.get(name) else { return Schema::deduced() };
    let make = || Schema::lazy(move || Definition::find(name).map(type_of).unwrap_or_default());
    known.schema.get_or_init(make).clone()
}

fn type_of(definition: &'static Definition) -> Type {
    let declared = definition.0.iter().filter(|(name, _)| !name.is_empty());
    let fields = declared.map(|(name, field)| {
        let schema = field.schema();
        (name.clone(), schema::Field { schema, standing: field.standing })
    });
    let whole = definition.field("").and_then(|whole| whole.map_type.as_deref());
    let map = Map { fields: fields.collect(), atomic: whole == Some("atomic"), ..Map::default() };
    Type { map: Some(map), ..Type::default() }
}

/// The schema of a text of the table. Of lists and maps, only the outermost is merged as `field`
/// says.
fn schema_of(is: &str, field: &Field) -> Schema {
    let atomic = field.map_type.as_deref() == Some("atomic");
    if let Some(items) = is.strip_prefix('[') {
        let merge = match field.list_type.as_deref() {
            Some("set") => ListMerge::Set,
            Some("map") => {
                let items = items.strip_prefix('@').and_then(Definition::find);
                ListMerge::Map(field.list_map_keys.iter().map(|key| key_of(key, items)).collect())
            }
            _ => ListMerge::Atomic,
        };
        let list = List { items: schema_of(items, &Field::default()), merge };
        return Schema::new(Type { list: Some(list), ..Type::default() });
    }
    if let Some(values) = is.strip_prefix('{') {
        let rest = Some(schema_of(values, &Field::default()));
        let map = Map { rest, atomic, ..Map::default() };
        return Schema::new(Type { map: Some(map), ..Type::default() });
    }
    if let Some(name) = is.strip_prefix('@') {
        let Some((name, _)) = TABLE.get_key_value(name) else { return Schema::deduced() };
        if atomic {
            let whole = named_schema(name);
            return Schema::lazy(move || {
                let mut own = Type::clone(&whole);
                if let Some(map) = &mut own.map {
                    map.atomic = true;
                }
                own
            });
        }
        return named_schema(name);
    }
    match is {
        "s" => Schema::scalar(Scalar::String),
        "n" => Schema::scalar(Scalar::Number),
        "b" => Schema::scalar(Scalar::Boolean),
        "a" => Schema::scalar(Scalar::Any),
        _ => Schema::deduced(),
    }
}

fn key_of(name: &str, items: Option<&Definition>) -> Key {
    let field = items.and_then(|items| items.field(name));
    let default = field.and_then(|field| field.default.clone());
    Key { name: name.to_owned(), default: default.map(|text| Tree::Text(text.into())) }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Short(String),
            Long(Long),
        }

        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Long {
            is: String,
            merge_key: Option<String>,
            strategies: Vec<String>,
            list_type: Option<String>,
            list_map_keys: Vec<String>,
            map_type: Option<String>,
            default: Option<String>,
            standing: bool,
        }

        Ok(match Either::deserialize(deserializer)? {
            Either::Short(is) => Self { is, ..Self::default() },
            Either::Long(long) => Self {
                is: long.is,
                merge_key: long.merge_key,
                strategies: long.strategies,
                list_type: long.list_type,
                list_map_keys: long.list_map_keys,
                map_type: long.map_type,
                default: long.default,
                standing: long.standing,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Shape;

    #[test]
    fn the_whole_table_is_readable() {
        assert!(TABLE.len() > 700);
        for (name, known) in TABLE.iter() {
            let definition = Definition::find(name).unwrap_or_else(|| panic!("{name}"));
            assert!(serde_json::from_str::<Definition>(known.text.get()).is_ok(), "{name}");
            for (field, known) in &definition.0 {
                let whole = known.is.trim_start_matches(['[', '{']);
                let referred = whole.strip_prefix('@').is_none_or(|name| TABLE.contains_key(name));
                assert!(referred && !whole.is_empty(), "{name}.{field}");
                assert!(named_schema(name).shape(None).is_some());
            }
        }
    }

    #[test]
    fn knows_pods() {
        let pod = Definition::of_kind("", "v1", "Pod").unwrap();
        let spec = pod.field("spec").unwrap().definition().unwrap();
        let containers = spec.field("containers").unwrap();
        assert_eq!(containers.merge_key.as_deref(), Some("name"));
        assert!(containers.merges());
        let env = containers.definition().unwrap().field("env").unwrap();
        assert_eq!(env.list_map_keys, ["name"]);
        assert!(Definition::of_kind("apps", "v1", "Deployment").is_some());
        assert!(Definition::of_kind("coracle.dev", "v1", "Module").is_none());
        assert!(Definition::named("io.k8s.api.core.v1.PodSpec").is_some());
        for (group, kind) in [
            ("rbac.authorization.k8s.io", "ClusterRole"),
            ("apiextensions.k8s.io", "CustomResourceDefinition"),
            ("apiregistration.k8s.io", "APIService"),
        ] {
            assert!(schema_of_kind(group, "v1", kind).is_some(), "{kind}");
        }
    }

    #[test]
    fn schemas_follow() {
        let service = schema_of_kind("", "v1", "Service").unwrap();
        let below =
            |schema: &Schema, name: &str| schema.map.as_ref().unwrap().value(name).unwrap().clone();
        let spec = below(&service, "spec");
        let Some(Shape::List(ports)) =
            spec.map.as_ref().unwrap().value("ports").unwrap().shape(None)
        else {
            panic!("ports are no list")
        };
        let item = Tree::parse(br#"{"port": 80}"#).unwrap();
        assert_eq!(ports.element(&item).unwrap().to_string(), r#"[port=80,protocol="TCP"]"#);
        assert_eq!(below(&spec, "selector").atomic_by_schema(), Some(true));
        assert_eq!(below(&below(&service, "metadata"), "labels").atomic_by_schema(), Some(false));
    }
}
