//! The schemas of kinds and of what their fields are made of.

use std::sync::Arc;

use coracle_schema::builtin::{Definition, Field, definition_name};
use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest, TokenReview};
use k8s_openapi::api::authorization::v1::{
    LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::Binding;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    DeleteOptions, ListMeta, ObjectMeta, Patch, Status,
};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Form;
use crate::registry::{ApiResource, Kind};

/// Where v3 keeps its definitions, and v2.
const V3_PREFIX: &str = "#/components/schemas/";
const V2_PREFIX: &str = "#/definitions/";
/// What Kubernetes' own definitions begin with, and those of this project's kinds.
const KUBERNETES: &str = "io.k8s.";
const OWN: &str = "dev.coracle.v1.";

pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
pub(super) const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";
pub(super) const BINDING: &str = "io.k8s.api.core.v1.Binding";
pub(super) const EVICTION: &str = "io.k8s.api.policy.v1.Eviction";
pub(super) const TOKEN_REQUEST: &str = "io.k8s.api.authentication.v1.TokenRequest";

/// Definitions in one of the forms.
pub(super) struct Definitions {
    pub(super) form: Form,
    all: Map<String, Value>,
}

/// `io.k8s.api.apps.v1.Deployment`, or `dev.coracle.v1.Module`.
pub(super) fn definition(names: &ApiResource) -> String {
    definition_name(&names.group, &names.version, &names.kind)
}

/// Whether a group is one of Kubernetes' own.
pub(super) fn is_kubernetes(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}

/// `x-kubernetes-group-version-kind` as schemas carry it.
pub(super) fn gvk(group: &str, version: &str, kind: &str) -> Value {
    json!({ "group": group, "version": version, "kind": kind })
}

impl Definitions {
    pub(super) fn of(kinds: &[Arc<dyn Kind>], questions: &[Arc<ApiResource>], form: Form) -> Self {
        let mut generator = SchemaSettings::openapi3().into_generator();
        for kind in kinds {
            kind.schema(&mut generator);
        }
        for names in questions {
            match &*names.kind {
                "LocalSubjectAccessReview" => {
                    drop(generator.subschema_for::<LocalSubjectAccessReview>())
                }
                "SelfSubjectAccessReview" => {
                    drop(generator.subschema_for::<SelfSubjectAccessReview>())
                }
                "SelfSubjectReview" => drop(generator.subschema_for::<SelfSubjectReview>()),
                "SelfSubjectRulesReview" => {
                    drop(generator.subschema_for::<SelfSubjectRulesReview>())
                }
                "SubjectAccessReview" => drop(generator.subschema_for::<SubjectAccessReview>()),
                "TokenReview" => drop(generator.subschema_for::<TokenReview>()),
                // A `Binding` is a subresource as well, and is always there.
                _ => {}
            }
        }
        generator.subschema_for::<ListMeta>();
        generator.subschema_for::<ObjectMeta>();
        generator.subschema_for::<Status>();
        generator.subschema_for::<DeleteOptions>();
        generator.subschema_for::<Patch>();
        generator.subschema_for::<Scale>();
        generator.subschema_for::<Binding>();
        generator.subschema_for::<Eviction>();
        generator.subschema_for::<TokenRequest>();
        let generated = generator.take_definitions(true);
        let mut all: Map<_, _> = generated
            .into_iter()
            .map(|(name, mut schema)| {
                each_map(&mut schema, &mut tidy);
                (full_name(&name), schema)
            })
            .collect();
        for (name, schema) in &mut all {
            describe_merging(name, schema);
        }
        for kind in kinds {
            let names = kind.names();
            let name = definition(names);
            // A version that has no type of its own looks like the one that is stored.
            if !all.contains_key(&name)
                && let Some(hubs) = all.get(&definition(kind.hub().names()))
            {
                all.insert(name.clone(), hubs.clone());
            }
            if let Some(written) = kind.definition() {
                all.insert(name.clone(), written.clone());
            } else if let Some(schema) = all.get_mut(&name) {
                mark(schema, gvk(&names.group, &names.version, &names.kind));
            }
            all.insert(format!("{name}List"), list(names, &name));
        }
        let further = [
            (STATUS, gvk("", "v1", "Status")),
            (DELETE_OPTIONS, gvk("", "v1", "DeleteOptions")),
            (SCALE, gvk("autoscaling", "v1", "Scale")),
            (BINDING, gvk("", "v1", "Binding")),
            (EVICTION, gvk("policy", "v1", "Eviction")),
            (TOKEN_REQUEST, gvk("authentication.k8s.io", "v1", "TokenRequest")),
        ];
        let asked = questions
            .iter()
            .map(|names| (definition(names), gvk(&names.group, &names.version, &names.kind)));
        let further = further.map(|(name, gvk)| (name.to_owned(), gvk));
        for (name, gvk) in further.into_iter().chain(asked) {
            if let Some(schema) = all.get_mut(&name) {
                mark(schema, gvk);
            }
        }
        all.insert(INT_OR_STRING.into(), int_or_string(form));
        if let Some(Value::Object(quantity)) = all.get_mut(QUANTITY) {
            quantity.remove("x-kubernetes-int-or-string");
            match form {
                Form::V2 => quantity.insert("type".into(), "string".into()),
                Form::V3 => quantity
                    .insert("oneOf".into(), json!([{ "type": "string" }, { "type": "number" }])),
            };
        }
        if form == Form::V2 {
            all.values_mut().for_each(to_v2);
        }
        Self { form, all }
    }

    /// A reference to a definition.
    pub(super) fn refer(&self, name: &str) -> Value {
        let prefix = if self.form == Form::V2 { V2_PREFIX } else { V3_PREFIX };
        json!({ "$ref": format!("{prefix}{name}") })
    }

    pub(super) fn into_all(self) -> Map<String, Value> {
        self.all
    }
}

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";

fn int_or_string(form: Form) -> Value {
    let description = "A number, or a text such as a percentage or a port's name.";
    match form {
        Form::V2 => {
            json!({ "description": description, "type": "string", "format": "int-or-string" })
        }
        Form::V3 => json!({
            "description": description,
            "format": "int-or-string",
            "oneOf": [{ "type": "integer" }, { "type": "string" }],
        }),
    }
}

/// The name of a definition with its package.
fn full_name(name: &str) -> String {
    if name.starts_with(KUBERNETES) { name.into() } else { format!("{OWN}{name}") }
}

/// Brings what `schemars` derives into the words that Kubernetes uses.
fn tidy(schema: &mut Map<String, Value>) {
    if let Some(Value::String(reference)) = schema.get_mut("$ref")
        && let Some(name) = reference.strip_prefix(V3_PREFIX)
    {
        *reference = format!("{V3_PREFIX}{}", full_name(name));
    }
    schema.remove("title");
    // A field that may be left out: its schema, or null.
    if let Some(Value::Array(choices)) = schema.get("anyOf") {
        let mut values = choices.iter().filter(|choice| choice["enum"] != json!([null]));
        if let (Some(value), None) = (values.next().cloned(), values.next()) {
            schema.remove("anyOf");
            schema.insert("allOf".into(), json!([value]));
        }
    }
    // A choice of words that are each described.
    if let Some(Value::Array(choices)) = schema.get("oneOf")
        && choices.iter().all(|choice| choice["enum"].is_array())
    {
        let words = choices.iter().filter_map(|choice| choice["enum"].as_array()).flatten();
        let words: Vec<_> = words.cloned().collect();
        schema.remove("oneOf");
        schema.insert("type".into(), "string".into());
        schema.insert("enum".into(), words.into());
    }
}

/// Calls `change` for every schema in a schema, the inner ones first.
fn each_map(schema: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| each_map(item, change)),
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    // The keys in here are names of fields.
                    Value::Object(fields) if key == "properties" => {
                        fields.values_mut().for_each(|field| each_map(field, change));
                    }
                    value => each_map(value, change),
                }
            }
            change(map);
        }
        _ => {}
    }
}

/// Marks the definition of a kind as such.
fn mark(schema: &mut Value, gvk: Value) {
    if let Some(map) = schema.as_object_mut() {
        // Only the Rust types insist on it.
        if let Some(Value::Array(required)) = map.get_mut("required") {
            required.retain(|field| field != "metadata");
            if required.is_empty() {
                map.remove("required");
            }
        }
        map.insert("x-kubernetes-group-version-kind".into(), json!([gvk]));
    }
}

/// Adds what is known of merging to the fields of a definition.
fn describe_merging(name: &str, schema: &mut Value) {
    let Some(known) = Definition::named(name) else { return };
    let Some(map) = schema.as_object_mut() else { return };
    if let Some(whole) = known.field("") {
        describe(map, whole);
    }
    let Some(Value::Object(fields)) = map.get_mut("properties") else { return };
    for (field, schema) in fields {
        if let (Some(known), Some(schema)) = (known.field(field), schema.as_object_mut()) {
            describe(schema, known);
        }
    }
}

fn describe(schema: &mut Map<String, Value>, known: &Field) {
    let mut add = |key: &str, value: Value| {
        schema.insert(format!("x-kubernetes-{key}"), value);
    };
    if let Some(key) = &known.merge_key {
        add("patch-merge-key", json!(key));
    }
    if !known.strategies.is_empty() {
        add("patch-strategy", json!(known.strategies.join(",")));
    }
    if let Some(kind) = &known.list_type {
        add("list-type", json!(kind));
    }
    if !known.list_map_keys.is_empty() {
        add("list-map-keys", json!(known.list_map_keys));
    }
    if let Some(kind) = &known.map_type {
        add("map-type", json!(kind));
    }
}

/// The schema of a list of a kind.
fn list(names: &ApiResource, item: &str) -> Value {
    let kind = &*names.list;
    json!({
        "description": format!("{kind} is a list of {} objects.", names.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": { "type": "string", "description": "Version of the schema of this list." },
            "items": {
                "type": "array",
                "description": "The objects in the list.",
                "items": { "$ref": format!("{V3_PREFIX}{item}") },
            },
            "kind": { "type": "string", "description": "The kind of this list." },
            "metadata": {
                "description": "Standard list metadata.",
                "allOf": [{ "$ref": format!("{V3_PREFIX}{LIST_META}") }],
            },
        },
        "x-kubernetes-group-version-kind": [gvk(&names.group, &names.version, kind)],
    })
}

/// v2 has fewer words: references beside descriptions instead of `allOf`, no alternatives.
fn to_v2(schema: &mut Value) {
    each_map(schema, &mut |map| {
        if let Some(Value::Array(parts)) = map.get("allOf")
            && let [Value::Object(part)] = parts.as_slice()
            && part.contains_key("$ref")
        {
            let part = part.clone();
            map.remove("allOf");
            map.extend(part);
        }
        if let Some(Value::String(reference)) = map.get_mut("$ref")
            && let Some(name) = reference.strip_prefix(V3_PREFIX)
        {
            *reference = format!("{V2_PREFIX}{name}");
        }
        for word in ["nullable", "oneOf", "anyOf", "allOf", "not"] {
            map.remove(word);
        }
    });
}
