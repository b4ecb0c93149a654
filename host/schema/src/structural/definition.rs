//! Schemas as they are written into CustomResourceDefinitions: which words they may use, and how
//! (`k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation`).

use coracle_api::cause::{Cause, CauseReason};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::{Value, json};

use super::{META_FIELDS, Structural, child, form, path};

const TYPES: &[&str] = &["array", "boolean", "integer", "number", "object", "string"];
const REASONS: &[&str] =
    &["FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"];
const AT_ROOT: &str = "[Description Type Format Title Maximum ExclusiveMaximum Minimum \
                       ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems \
                       MultipleOf Required Items Properties ExternalDocs Example \
                       XPreserveUnknownFields XValidations]";

/// The faults of a schema, rules in CEL left aside. `status` is whether the status is a
/// subresource; `path` is where the schema stands.
pub fn faults(path: &str, props: &JSONSchemaProps, status: bool) -> Vec<Cause> {
    let mut faults = vec![];
    if status {
        faults.extend(root(path, props));
    }
    if props.nullable == Some(true) {
        let detail = "nullable cannot be true at the root";
        faults.push(Cause::forbidden(child(path, "nullable"), detail));
    }
    let unfit = match Structural::new(props) {
        Err(error) => Some(error),
        Ok(schema) => {
            let mut found = form::faults(path, &schema);
            if found.is_empty() {
                form::defaults(path, &schema, true, &mut found);
            }
            faults.extend(found);
            None
        }
    };
    Checker { defaults_forbidden: None, inside_meta: false }.check(path, props, true, &mut faults);
    if let Some(error) = unfit.filter(|_| faults.is_empty()) {
        faults.push(Cause::invalid(path, "", &error));
    }
    faults
}

/// With a status subresource the root may say nothing that would have to hold for its parts.
fn root(path: &str, props: &JSONSchemaProps) -> Option<Cause> {
    let kind = props.type_.as_deref().unwrap_or_default();
    if !kind.is_empty() && kind != "object" {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the \
                      status subresource is enabled";
        return Some(Cause::invalid(child(path, "type"), kind, detail));
    }
    let listed = |list: &Option<Vec<JSONSchemaProps>>| list.as_ref().is_some_and(|l| !l.is_empty());
    let other = props.id.is_some()
        || props.schema.is_some()
        || props.ref_path.is_some()
        || props.nullable == Some(true)
        || props.default.is_some()
        || props.enum_.as_ref().is_some_and(|list| !list.is_empty())
        || props.max_properties.is_some()
        || props.min_properties.is_some()
        || listed(&props.all_of)
        || listed(&props.any_of)
        || listed(&props.one_of)
        || props.not.is_some()
        || props.additional_properties.is_some()
        || props.x_kubernetes_embedded_resource == Some(true)
        || props.x_kubernetes_int_or_string == Some(true)
        || props.x_kubernetes_list_map_keys.as_ref().is_some_and(|keys| !keys.is_empty())
        || props.x_kubernetes_list_type.is_some()
        || props.x_kubernetes_map_type.is_some();
    other.then(|| {
        let detail = format!(
            "only {AT_ROOT} fields are allowed at the root of the schema if the status \
             subresource is enabled"
        );
        Cause::invalid(path, json!(props), &detail)
    })
}

/// What holds at a place in a schema.
#[derive(Clone, Copy)]
struct Checker<'a> {
    /// Why there may be no defaults.
    defaults_forbidden: Option<&'a str>,
    /// Inside of the metadata of a resource.
    inside_meta: bool,
}

impl Checker<'_> {
    fn check(self, path: &str, props: &JSONSchemaProps, root: bool, faults: &mut Vec<Cause>) {
        self.words(path, props, faults);
        if props.unique_items == Some(true) {
            let detail =
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            faults.push(Cause::forbidden(child(path, "uniqueItems"), detail));
        }
        self.parts(path, props, root, faults);
        if props.x_kubernetes_preserve_unknown_fields == Some(false) {
            let path = child(path, "x-kubernetes-preserve-unknown-fields");
            faults.push(Cause::invalid(path, false, "must be true or undefined"));
        }
        map_type(path, props, faults);
        list_type(path, props, faults);
        for (at, rule) in props.x_kubernetes_validations.iter().flatten().enumerate() {
            let path = format!("{path}.x-kubernetes-validations[{at}]");
            rule_words(&path, props, rule, faults);
        }
        let pattern = props.pattern.as_deref().filter(|pattern| !pattern.is_empty());
        if let Some(Err(error)) = pattern.map(super::Pattern::new) {
            let detail = format!("must be a valid regular expression, but isn't: {error}");
            let given = pattern.unwrap_or_default();
            faults.push(Cause::invalid(child(path, "pattern"), given, &detail));
        }
    }

    fn words(self, path: &str, props: &JSONSchemaProps, faults: &mut Vec<Cause>) {
        let kind = props.type_.as_deref().unwrap_or_default();
        if !kind.is_empty() && !TYPES.contains(&kind) {
            faults.push(Cause::not_supported(child(path, "type"), kind, TYPES));
        }
        if let Some(why) = self.defaults_forbidden.filter(|_| props.default.is_some()) {
            faults
                .push(Cause::forbidden(child(path, "default"), &format!("must not be set {why}")));
        }
        let some = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let arrays = matches!(props.items, Some(JSONSchemaPropsOrArray::Schemas(_)));
        for (used, word, detail) in [
            (some(&props.id), "id", "id is not supported"),
            (
                props.additional_items.is_some(),
                "additionalItems",
                "additionalItems is not supported",
            ),
            (
                props.pattern_properties.as_ref().is_some_and(|all| !all.is_empty()),
                "patternProperties",
                "patternProperties is not supported",
            ),
            (
                props.definitions.as_ref().is_some_and(|all| !all.is_empty()),
                "definitions",
                "definitions is not supported",
            ),
            (props.dependencies.is_some(), "dependencies", "dependencies is not supported"),
            (props.ref_path.is_some(), "$ref", "$ref is not supported"),
            (kind == "null", "type", "type cannot be set to null, use nullable as an alternative"),
            (arrays, "items", "items must be a schema object and not an array"),
            (
                self.inside_meta && props.x_kubernetes_embedded_resource == Some(true),
                "x-kubernetes-embedded-resource",
                "must not be used inside of resource meta",
            ),
        ] {
            if used {
                faults.push(Cause::forbidden(child(path, word), detail));
            }
        }
    }

    fn parts(self, path: &str, props: &JSONSchemaProps, root: bool, faults: &mut Vec<Cause>) {
        let properties = props.properties.iter().flatten();
        if let Some(additional) = &props.additional_properties {
            let path = child(path, "additionalProperties");
            let some = props.properties.as_ref().is_some_and(|all| !all.is_empty());
            if some && !matches!(additional, JSONSchemaPropsOrBool::Bool(true)) {
                let detail = "additionalProperties and properties are mutual exclusive";
                faults.push(Cause::forbidden(path.as_str(), detail));
            }
            if let JSONSchemaPropsOrBool::Schema(schema) = additional {
                let mut below = self;
                if self.inside_meta {
                    below.defaults_forbidden =
                        Some("inside additionalProperties applying to object metadata");
                }
                below.check(&path, schema, false, faults);
            }
        }
        for (name, schema) in properties {
            let mut below = self;
            let why;
            let embedded = props.x_kubernetes_embedded_resource == Some(true);
            if (root || embedded) && META_FIELDS.contains(&name.as_str()) {
                below.inside_meta = true;
                if root {
                    why = format!("in top-level {name}");
                    let below = Checker { defaults_forbidden: Some(&why), inside_meta: true };
                    below.check(&format!("{path}.properties[{name}]"), schema, false, faults);
                    continue;
                }
            }
            below.check(&format!("{path}.properties[{name}]"), schema, false, faults);
        }
        if let Some(schema) = &props.not {
            self.check(&child(path, "not"), schema, false, faults);
        }
        for (word, choices) in
            [("allOf", &props.all_of), ("oneOf", &props.one_of), ("anyOf", &props.any_of)]
        {
            for (at, schema) in choices.iter().flatten().enumerate() {
                self.check(&format!("{path}.{word}[{at}]"), schema, false, faults);
            }
        }
        match &props.items {
            Some(JSONSchemaPropsOrArray::Schema(schema)) => {
                self.check(&child(path, "items"), schema, false, faults);
            }
            Some(JSONSchemaPropsOrArray::Schemas(schemas)) => {
                for (at, schema) in schemas.iter().enumerate() {
                    self.check(&format!("{path}.items[{at}]"), schema, false, faults);
                }
            }
            None => {}
        }
    }
}

fn map_type(path: &str, props: &JSONSchemaProps, faults: &mut Vec<Cause>) {
    let Some(map) = props.x_kubernetes_map_type.as_deref() else { return };
    let kind = props.type_.as_deref().unwrap_or_default();
    let detail = "must be object if x-kubernetes-map-type is specified";
    match kind {
        "object" => {}
        "" => faults.push(Cause::required(child(path, "type"), detail)),
        kind => faults.push(Cause::invalid(child(path, "type"), kind, detail)),
    }
    if !matches!(map, "atomic" | "granular") {
        let path = child(path, "x-kubernetes-map-type");
        faults.push(Cause::not_supported(path, map, &["atomic", "granular"]));
    }
}

fn list_type(path: &str, props: &JSONSchemaProps, faults: &mut Vec<Cause>) {
    let kind = props.type_.as_deref().unwrap_or_default();
    let keys = props.x_kubernetes_list_map_keys.as_deref().unwrap_or_default();
    let list = props.x_kubernetes_list_type.as_deref();
    let path_of_list = child(path, "x-kubernetes-list-type");
    let items = match &props.items {
        Some(JSONSchemaPropsOrArray::Schema(schema)) => Some(&**schema),
        _ => None,
    };
    let items_kind = items.and_then(|items| items.type_.as_deref()).unwrap_or_default();
    if list.is_some() && kind != "array" {
        let detail = "must be array if x-kubernetes-list-type is specified";
        faults.push(if kind.is_empty() {
            Cause::required(child(path, "type"), detail)
        } else {
            Cause::invalid(child(path, "type"), kind, detail)
        });
    } else if let (Some("set"), Some(items)) = (list, items) {
        let detail = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let inner = items.x_kubernetes_list_type.as_deref();
        let atomic = items.x_kubernetes_map_type.as_deref() == Some("atomic");
        if items_kind == "array" && inner.is_some_and(|inner| inner != "atomic") {
            let path = child(path, "items.x-kubernetes-list-type");
            faults.push(Cause::invalid(path, inner, detail));
        } else if items_kind == "object" && !atomic {
            let path = child(path, "items.x-kubernetes-map-type");
            faults.push(Cause::invalid(path, inner, detail));
        }
    }
    if let Some(other) = list.filter(|list| !matches!(*list, "atomic" | "set" | "map")) {
        let valid = &["atomic", "set", "map"];
        faults.push(Cause::not_supported(path_of_list.as_str(), other, valid));
    }
    if !keys.is_empty() && list != Some("map") {
        let detail = "must be map if x-kubernetes-list-map-keys is non-empty";
        faults.push(match list {
            None => Cause::required(path_of_list.as_str(), detail),
            Some(other) => Cause::invalid(path_of_list.as_str(), other, detail),
        });
    }
    if let (Some(items), Some(list @ ("set" | "map"))) = (items, list)
        && items.nullable == Some(true)
    {
        let detail = format!("cannot be nullable when x-kubernetes-list-type is {list}");
        faults.push(Cause::forbidden(child(path, "items.nullable"), &detail));
    }
    if list == Some("map") {
        map_keys(path, props, items, keys, faults);
    }
}

fn map_keys(
    path: &str,
    props: &JSONSchemaProps,
    items: Option<&JSONSchemaProps>,
    keys: &[String],
    faults: &mut Vec<Cause>,
) {
    let path_of_keys = child(path, "x-kubernetes-list-map-keys");
    if keys.is_empty() {
        let detail = "must not be empty if x-kubernetes-list-type is map";
        faults.push(Cause::required(path_of_keys.as_str(), detail));
    }
    let Some(items) = items else {
        faults.push(match &props.items {
            None => {
                let detail = "must have a schema if x-kubernetes-list-type is map";
                Cause::required(child(path, "items"), detail)
            }
            Some(items) => {
                let detail = "must only have a single schema if x-kubernetes-list-type is map";
                Cause::invalid(child(path, "items"), json!(items), detail)
            }
        });
        return;
    };
    let kind = items.type_.as_deref().unwrap_or_default();
    if kind != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        faults.push(Cause::invalid(child(path, "items.type"), kind, detail));
        return;
    }
    for (at, key) in keys.iter().enumerate() {
        let property = items.properties.as_ref().and_then(|properties| properties.get(key));
        let path_of_key = format!("{path}.items.properties[{key}]");
        match property {
            None => {
                let detail = "entries must all be names of item properties";
                faults.push(Cause::invalid(path_of_keys.as_str(), json!(keys), detail));
            }
            Some(property) => {
                if matches!(property.type_.as_deref(), Some("array" | "object")) {
                    let detail = "must be a scalar type if parent array's x-kubernetes-list-type \
                                  is map";
                    faults.push(Cause::invalid(child(&path_of_key, "type"), kind, detail));
                }
                let required = items.required.iter().flatten().any(|required| required == key);
                if !required && property.default.is_none() {
                    let detail = "this property is in x-kubernetes-list-map-keys, so it must have \
                                  a default or be a required property";
                    faults.push(Cause::required(child(&path_of_key, "default"), detail));
                }
                if property.nullable == Some(true) {
                    let detail = "this property is in x-kubernetes-list-map-keys, so it cannot be \
                                  nullable";
                    faults.push(Cause::forbidden(child(&path_of_key, "nullable"), detail));
                }
            }
        }
        if keys.iter().take(at).any(|other| other == key) {
            let detail = "must not contain duplicate entries";
            faults.push(Cause::invalid(path_of_keys.as_str(), json!(keys), detail));
        }
    }
}

fn rule_words(path: &str, props: &JSONSchemaProps, rule: &ValidationRule, faults: &mut Vec<Cause>) {
    let breaks = |text: &str| text.contains(['\n', '\r']);
    let message = rule.message.as_deref().unwrap_or_default();
    let trimmed = message.trim();
    let fault = if rule.rule.trim().is_empty() {
        Some(Cause::required(child(path, "rule"), "rule is not specified"))
    } else if !message.is_empty() && trimmed.is_empty() {
        let detail = "message must be non-empty if specified";
        Some(Cause::invalid(child(path, "message"), message, detail))
    } else if breaks(trimmed) {
        let detail = "message must not contain line breaks";
        Some(Cause::invalid(child(path, "message"), message, detail))
    } else if breaks(rule.rule.trim()) && trimmed.is_empty() {
        let detail = "message must be specified if rule contains line breaks";
        Some(Cause::required(child(path, "message"), detail))
    } else {
        None
    };
    faults.extend(fault);
    let expression = rule.message_expression.as_deref().unwrap_or_default();
    if !expression.is_empty() && expression.trim().is_empty() {
        let detail = "messageExpression must be non-empty if specified";
        faults.push(Cause::required(child(path, "messageExpression"), detail));
    }
    if let Some(reason) = rule.reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        faults.push(Cause::not_supported(child(path, "reason"), reason, REASONS));
    }
    let field = rule.field_path.as_deref().unwrap_or_default();
    if field.is_empty() {
        return;
    }
    let path = child(path, "fieldPath");
    if field.trim().is_empty() {
        let detail = "fieldPath must be non-empty if specified";
        faults.push(Cause::invalid(path.as_str(), field, detail));
    }
    if breaks(field) {
        let detail = "fieldPath must not contain line breaks";
        faults.push(Cause::invalid(path.as_str(), field, detail));
    }
    let valid =
        Structural::new(props).map_or(true, |schema| path::resolve(field, &schema, true).is_ok());
    if !valid {
        faults.push(Cause::invalid(path, field, "fieldPath must be a valid path"));
    }
}

/// A place in a schema that has rules in CEL.
pub struct Site<'a> {
    /// Where it stands, without `x-kubernetes-validations`.
    pub path: String,
    /// The schema with the rules.
    pub schema: &'a Structural,
    /// Whether it is the schema of a resource.
    pub resource: bool,
    /// The nearest schema around whose parts cannot be told from what they were.
    pub uncorrelatable: Option<String>,
    /// How many such values an object may have at most, if that is bounded.
    pub cardinality: Option<u64>,
}

/// Every place in `schema` that has rules.
pub fn sites<'a>(path: &str, schema: &'a Structural) -> Vec<Site<'a>> {
    let mut found = vec![];
    let root = Site {
        path: path.to_owned(),
        schema,
        resource: true,
        uncorrelatable: None,
        cardinality: Some(1),
    };
    visit(root, &mut found);
    found
}

fn visit<'a>(site: Site<'a>, found: &mut Vec<Site<'a>>) {
    let schema = site.schema;
    let times = |max: Option<i64>| {
        let max = max.and_then(|max| u64::try_from(max).ok());
        site.cardinality.zip(max).map(|(here, max)| here.saturating_mul(max))
    };
    let below = |path: String, schema: &'a Structural, cardinality| Site {
        path,
        schema,
        resource: schema.embedded_resource,
        uncorrelatable: site.uncorrelatable.clone(),
        cardinality,
    };
    for (name, property) in &schema.properties {
        let path = format!("{}.properties[{name}]", site.path);
        visit(below(path, property, site.cardinality), found);
    }
    if let Some(additional) = schema.additional_schema() {
        let path = child(&site.path, "additionalProperties");
        visit(below(path, additional, times(schema.values.max_properties)), found);
    }
    if let Some(items) = &schema.items {
        let mut items = below(child(&site.path, "items"), items, times(schema.values.max_items));
        if schema.list_type.as_deref() != Some("map") {
            items.uncorrelatable.get_or_insert_with(|| site.path.clone());
        }
        visit(items, found);
    }
    if !schema.rules.is_empty() {
        found.push(site);
    }
}

/// The faults of `selectableFields`: the paths in `fields`, at `path`.
pub fn selectable_fields(path: &str, fields: &[String], schema: &Structural) -> Vec<Cause> {
    const MAX: usize = 8;
    let mut faults = vec![];
    let mut known: Vec<String> = vec![];
    for (at, field) in fields.iter().enumerate() {
        let path = format!("{path}[{at}].jsonPath");
        if field.is_empty() {
            faults.push(Cause::required(path, ""));
            continue;
        }
        let (steps, found) = match path::resolve(field, schema, false) {
            Ok(found) => found,
            Err(error) => {
                let detail = format!("is an invalid path: {error}");
                faults.push(Cause::invalid(path, field.as_str(), &detail));
                continue;
            }
        };
        if steps.first() == Some(&path::Step::Field("metadata".into())) {
            let detail = "must not point to fields in metadata";
            faults.push(Cause::invalid(path.as_str(), field.as_str(), detail));
        }
        if !matches!(found.r#type.as_str(), "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string \
                          fields and strings with formats are allowed.";
            faults.push(Cause::invalid(path.as_str(), field.as_str(), detail));
        }
        let text = path::text(&steps);
        if known.contains(&text) {
            faults.push(Cause::duplicate(path, Value::from(field.as_str())));
        } else {
            known.push(text);
        }
    }
    if known.len() > MAX {
        let message = format!("Too many: {}: must have at most {MAX} items", known.len());
        faults.push(Cause::new(CauseReason::FieldValueTooMany, path, message));
    }
    faults
}
