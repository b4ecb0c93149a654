//! Structural schemas: what a CustomResourceDefinition says about its objects, and what that does
//! to them: pruning, defaulting, validation. Pure; follows
//! `k8s.io/apiextensions-apiserver/pkg/apiserver/{schema,validation}` to the path and the sentence.
//!
//! [`Structural`] is a schema made ready for work on values; [`definition`] checks the schema as it
//! was written. Rules in CEL are kept, and run elsewhere. Imports `api` and libraries.

pub mod decimal;
pub mod default;
pub mod definition;
mod form;
pub mod format;
pub mod listtype;
pub mod metadata;
pub mod path;
pub mod pattern;
pub mod prune;
pub mod validate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::Value;

pub use form::faults;
pub use pattern::Pattern;

/// The fields at the root of a resource that are not the schema's to decide.
pub const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// A schema, ready for work on values.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are OpenAPI's own")]
pub struct Structural {
    /// Empty if any type will do.
    pub r#type: String,
    pub title: String,
    pub description: String,
    pub default: Option<Value>,
    pub nullable: bool,
    pub properties: BTreeMap<String, Structural>,
    pub additional: Option<Additional>,
    pub items: Option<Box<Structural>>,
    pub preserve_unknown_fields: bool,
    pub embedded_resource: bool,
    pub int_or_string: bool,
    pub list_type: Option<String>,
    pub list_map_keys: Vec<String>,
    pub map_type: Option<String>,
    /// `x-kubernetes-validations`.
    pub rules: Vec<ValidationRule>,
    pub values: Values,
}

/// `additionalProperties`.
#[derive(Clone, Debug, PartialEq)]
pub enum Additional {
    /// Whether there may be any.
    Any(bool),
    /// What they look like.
    Schema(Box<Structural>),
}

/// What values must be like, beyond their form.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are OpenAPI's own")]
pub struct Values {
    pub format: String,
    pub maximum: Option<f64>,
    pub exclusive_maximum: bool,
    pub minimum: Option<f64>,
    pub exclusive_minimum: bool,
    pub max_length: Option<i64>,
    pub min_length: Option<i64>,
    pub pattern: Option<Pattern>,
    pub max_items: Option<i64>,
    pub min_items: Option<i64>,
    pub multiple_of: Option<f64>,
    pub max_properties: Option<i64>,
    pub min_properties: Option<i64>,
    pub required: Vec<String>,
    pub r#enum: Vec<Value>,
    pub all_of: Vec<Structural>,
    pub any_of: Vec<Structural>,
    pub one_of: Vec<Structural>,
    pub not: Option<Box<Structural>>,
}

impl Structural {
    /// The schema as it was written, made ready; an explanation if it uses words that structural
    /// schemas do not have.
    pub fn new(props: &JSONSchemaProps) -> Result<Self, String> {
        unsupported(props)?;
        let all = |list: &Option<Vec<JSONSchemaProps>>| -> Result<Vec<Self>, String> {
            list.iter().flatten().map(Self::new).collect()
        };
        let mut properties = BTreeMap::new();
        for (name, schema) in props.properties.iter().flatten() {
            properties.insert(name.clone(), Self::new(schema)?);
        }
        let additional = match &props.additional_properties {
            None => None,
            Some(JSONSchemaPropsOrBool::Bool(any)) => Some(Additional::Any(*any)),
            Some(JSONSchemaPropsOrBool::Schema(schema)) => {
                Some(Additional::Schema(Box::new(Self::new(schema)?)))
            }
        };
        let items = match &props.items {
            None => None,
            Some(JSONSchemaPropsOrArray::Schema(schema)) => Some(Box::new(Self::new(schema)?)),
            Some(JSONSchemaPropsOrArray::Schemas(_)) => {
                return Err("OpenAPIV3Schema 'items' must be a schema, but is an array".into());
            }
        };
        if props.x_kubernetes_preserve_unknown_fields == Some(false) {
            let field = "x-kubernetes-preserve-unknown-fields";
            return Err(format!("internal error: '{field}' must be true or undefined"));
        }
        let pattern = props.pattern.as_deref().filter(|pattern| !pattern.is_empty());
        let pattern = pattern.map(Pattern::new).transpose()?;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let flag = |flag: Option<bool>| flag.unwrap_or_default();
        let default = props.default.as_ref().map(|default| default.0.clone());
        Ok(Self {
            r#type: text(&props.type_),
            title: text(&props.title),
            description: text(&props.description),
            default: default.filter(|default| !default.is_null()),
            nullable: flag(props.nullable),
            properties,
            additional,
            items,
            preserve_unknown_fields: flag(props.x_kubernetes_preserve_unknown_fields),
            embedded_resource: flag(props.x_kubernetes_embedded_resource),
            int_or_string: flag(props.x_kubernetes_int_or_string),
            list_type: props.x_kubernetes_list_type.clone(),
            list_map_keys: props.x_kubernetes_list_map_keys.clone().unwrap_or_default(),
            map_type: props.x_kubernetes_map_type.clone(),
            rules: props.x_kubernetes_validations.clone().unwrap_or_default(),
            values: Values {
                format: text(&props.format),
                maximum: props.maximum,
                exclusive_maximum: flag(props.exclusive_maximum),
                minimum: props.minimum,
                exclusive_minimum: flag(props.exclusive_minimum),
                max_length: props.max_length,
                min_length: props.min_length,
                pattern,
                max_items: props.max_items,
                min_items: props.min_items,
                multiple_of: props.multiple_of,
                max_properties: props.max_properties,
                min_properties: props.min_properties,
                required: props.required.clone().unwrap_or_default(),
                r#enum: props.enum_.iter().flatten().map(|value| value.0.clone()).collect(),
                all_of: all(&props.all_of)?,
                any_of: all(&props.any_of)?,
                one_of: all(&props.one_of)?,
                not: props.not.as_deref().map(Self::new).transpose()?.map(Box::new),
            },
        })
    }

    /// The schema of a property that is not listed.
    pub fn additional_schema(&self) -> Option<&Self> {
        match &self.additional {
            Some(Additional::Schema(schema)) => Some(schema),
            _ => None,
        }
    }

    /// Whether anything below has a default.
    pub fn has_defaults(&self) -> bool {
        self.any(&|schema| schema.default.is_some())
    }

    /// Whether anything below has rules in CEL.
    pub fn has_rules(&self) -> bool {
        self.any(&|schema| !schema.rules.is_empty())
    }

    fn any(&self, test: &dyn Fn(&Self) -> bool) -> bool {
        test(self)
            || self.properties.values().any(|schema| schema.any(test))
            || self.additional_schema().is_some_and(|schema| schema.any(test))
            || self.items.as_ref().is_some_and(|schema| schema.any(test))
            || self.values.all_of.iter().any(|schema| schema.any(test))
    }
}

/// Refuses words that structural schemas do not have.
fn unsupported(props: &JSONSchemaProps) -> Result<(), String> {
    let filled = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let words = [
        (filled(&props.id), "id"),
        (filled(&props.schema), "schema"),
        (filled(&props.ref_path), "$ref"),
        (props.pattern_properties.as_ref().is_some_and(|all| !all.is_empty()), "patternProperties"),
        (props.dependencies.as_ref().is_some_and(|all| !all.is_empty()), "dependencies"),
        (props.additional_items.is_some(), "additionalItems"),
        (props.definitions.as_ref().is_some_and(|all| !all.is_empty()), "definitions"),
    ];
    match words.into_iter().find(|(used, _)| *used) {
        Some((_, word)) => Err(format!("OpenAPIV3Schema '{word}' is not supported")),
        None => Ok(()),
    }
}

/// `path` and a name below it.
pub(crate) fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
