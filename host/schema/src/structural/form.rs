//! What makes a schema structural: every field has a type, at one place only; alternatives say
//! something of values, not of form.

use coracle_api::cause::Cause;
use serde_json::Value;

use super::{Additional, META_FIELDS, Structural, child};

/// Where in a resource a schema stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The faults that keep a schema from being structural.
pub fn faults(path: &str, schema: &Structural) -> Vec<Cause> {
    let mut faults = vec![];
    invariants(path, schema, Level::Root, &mut faults);
    completeness(path, schema, &mut faults);
    faults
}

fn property(path: &str, name: &str) -> String {
    format!("{path}.properties[{name}]")
}

fn invariants(path: &str, schema: &Structural, level: Level, faults: &mut Vec<Cause>) {
    if schema.r#type == "array" && schema.items.is_none() {
        faults.push(Cause::required(child(path, "items"), "must be specified"));
    }
    if let Some(items) = &schema.items {
        invariants(&child(path, "items"), items, Level::Item, faults);
    }
    for (name, schema) in &schema.properties {
        invariants(&property(path, name), schema, Level::Field, faults);
    }
    if let Some(additional) = &schema.additional {
        let path = child(path, "additionalProperties");
        if level == Level::Root {
            faults.push(Cause::forbidden(path.as_str(), "must not be used at the root"));
        }
        if let Additional::Schema(schema) = additional {
            invariants(&path, schema, Level::Field, faults);
        }
    }
    if schema.int_or_string {
        for (set, word) in [
            (schema.preserve_unknown_fields, "x-kubernetes-preserve-unknown-fields"),
            (schema.embedded_resource, "x-kubernetes-embedded-resource"),
        ] {
            if set {
                let detail = "must be false if x-kubernetes-int-or-string is true";
                faults.push(Cause::invalid(child(path, word), true, detail));
            }
        }
        if !schema.r#type.is_empty() {
            let detail = "must be empty if x-kubernetes-int-or-string is true";
            faults.push(Cause::forbidden(child(path, "type"), detail));
        }
    }
    alternatives(path, schema, int_or_string(schema), faults);
    types(path, schema, level, faults);
    if level == Level::Root || schema.embedded_resource {
        type_and_object_meta(path, schema, level, faults);
    }
    if schema.embedded_resource && !schema.preserve_unknown_fields && schema.properties.is_empty() {
        let detail = "must not be empty if x-kubernetes-embedded-resource is true without \
                      x-kubernetes-preserve-unknown-fields";
        faults.push(Cause::required(child(path, "properties"), detail));
    }
}

fn types(path: &str, schema: &Structural, level: Level, faults: &mut Vec<Cause>) {
    let kind = schema.r#type.as_str();
    let path_of_type = child(path, "type");
    if schema.embedded_resource && kind != "object" {
        let detail = "must be object if x-kubernetes-embedded-resource is true";
        faults.push(if kind.is_empty() {
            Cause::required(path_of_type.as_str(), detail)
        } else {
            Cause::invalid(path_of_type.as_str(), kind, detail)
        });
    } else if kind.is_empty() && !schema.int_or_string && !schema.preserve_unknown_fields {
        let detail = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        faults.push(Cause::required(path_of_type.as_str(), detail));
    }
    if schema.embedded_resource && schema.additional.is_some() {
        let detail = "must not be used if x-kubernetes-embedded-resource is set";
        faults.push(Cause::forbidden(child(path, "additionalProperties"), detail));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        faults.push(Cause::invalid(path_of_type, kind, "must be object at the root"));
    }
}

/// The fields of every resource are what they are.
fn type_and_object_meta(path: &str, schema: &Structural, level: Level, faults: &mut Vec<Cause>) {
    for (name, wanted) in META_FIELDS.iter().zip(["string", "string", "object"]) {
        let Some(found) = schema.properties.get(*name).filter(|found| found.r#type != wanted)
        else {
            continue;
        };
        let path = child(&property(path, name), "type");
        let detail = format!("must be {wanted}");
        faults.push(Cause::invalid(path, found.r#type.as_str(), &detail));
    }
    let Some(metadata) = schema.properties.get("metadata").filter(|_| level == Level::Root) else {
        return;
    };
    let mut rest = metadata.clone();
    rest.properties.retain(|name, _| !matches!(name.as_str(), "name" | "generateName"));
    if !rest.properties.is_empty() {
        rest.properties = metadata.properties.clone();
    }
    rest.r#type.clear();
    rest.description.clear();
    rest.default = None;
    if rest != Structural::default() {
        let detail = "must not specify anything other than name and generateName, but metadata is \
                      implicitly specified";
        faults.push(Cause::forbidden(property(path, "metadata"), detail));
    }
}

/// The alternative that may name types after all: `integer` or `string`.
fn is_int_or_string(choices: &[Structural]) -> bool {
    let only = |choice: &Structural, kind: &str| {
        *choice == Structural { r#type: kind.into(), ..Structural::default() }
    };
    matches!(choices, [a, b] if only(a, "integer") && only(b, "string"))
}

/// Whether `anyOf` of the schema itself, or of its first `allOf`, is that alternative.
fn int_or_string(schema: &Structural) -> (bool, bool) {
    if !schema.int_or_string {
        return (false, false);
    }
    let own = is_int_or_string(&schema.values.any_of);
    let first = schema.values.all_of.first();
    (own, !own && first.is_some_and(|first| is_int_or_string(&first.values.any_of)))
}

fn alternatives(
    path: &str,
    schema: &Structural,
    (skip_any, skip_first_all): (bool, bool),
    faults: &mut Vec<Cause>,
) {
    let values = &schema.values;
    if !skip_any {
        for (at, choice) in values.any_of.iter().enumerate() {
            nested(&format!("{path}.anyOf[{at}]"), choice, false, faults);
        }
    }
    for (at, choice) in values.all_of.iter().enumerate() {
        nested(&format!("{path}.allOf[{at}]"), choice, skip_first_all && at == 0, faults);
    }
    for (at, choice) in values.one_of.iter().enumerate() {
        nested(&format!("{path}.oneOf[{at}]"), choice, false, faults);
    }
    if let Some(not) = &values.not {
        nested(&child(path, "not"), not, false, faults);
    }
}

/// What alternatives may not say.
fn nested(path: &str, schema: &Structural, skip_any: bool, faults: &mut Vec<Cause>) {
    alternatives(path, schema, (skip_any, false), faults);
    if let Some(items) = &schema.items {
        nested(&child(path, "items"), items, false, faults);
    }
    for (name, schema) in &schema.properties {
        nested(&property(path, name), schema, false, faults);
    }
    if schema.properties.contains_key("metadata") {
        let detail = "must not be specified in a nested context";
        faults.push(Cause::forbidden(property(path, "metadata"), detail));
    }
    let undefined = "must be undefined to be structural";
    let empty = "must be empty to be structural";
    let off = "must be false to be structural";
    for (said, word, detail) in [
        (!schema.r#type.is_empty(), "type", empty),
        (schema.additional.is_some(), "additionalProperties", undefined),
        (schema.default.is_some(), "default", undefined),
        (!schema.title.is_empty(), "title", empty),
        (!schema.description.is_empty(), "description", empty),
        (schema.nullable, "nullable", off),
        (schema.preserve_unknown_fields, "x-kubernetes-preserve-unknown-fields", off),
        (schema.embedded_resource, "x-kubernetes-embedded-resource", off),
        (schema.int_or_string, "x-kubernetes-int-or-string", off),
        (!schema.list_map_keys.is_empty(), "x-kubernetes-list-map-keys", empty),
        (schema.list_type.is_some(), "x-kubernetes-list-type", undefined),
        (schema.map_type.is_some(), "x-kubernetes-map-type", undefined),
        (!schema.rules.is_empty(), "x-kubernetes-validations", empty),
    ] {
        if said {
            faults.push(Cause::forbidden(child(path, word), detail));
        }
    }
}

/// Everything that alternatives speak of is said to be there outside of them too.
fn completeness(path: &str, schema: &Structural, faults: &mut Vec<Cause>) {
    each_alternative(path, schema, &mut |at, choice| {
        specified(path, schema, at, choice, faults);
    });
    for (name, schema) in &schema.properties {
        completeness(&property(path, name), schema, faults);
    }
    if let Some(items) = &schema.items {
        completeness(&child(path, "items"), items, faults);
    }
    if let Some(schema) = schema.additional_schema() {
        completeness(&child(path, "additionalProperties"), schema, faults);
    }
}

fn each_alternative(path: &str, schema: &Structural, visit: &mut dyn FnMut(&str, &Structural)) {
    let values = &schema.values;
    let lists = [("allOf", &values.all_of), ("anyOf", &values.any_of), ("oneOf", &values.one_of)];
    for (word, choices) in lists {
        for (at, choice) in choices.iter().enumerate() {
            visit(&format!("{path}.{word}[{at}]"), choice);
        }
    }
    if let Some(not) = &values.not {
        visit(&child(path, "not"), not);
    }
}

fn specified(
    path: &str,
    schema: &Structural,
    at: &str,
    choice: &Structural,
    faults: &mut Vec<Cause>,
) {
    each_alternative(at, choice, &mut |at, choice| specified(path, schema, at, choice, faults));
    let because = |at: &str| format!("because it is defined in {at}");
    if let Some(items) = &choice.items {
        let (here, there) = (child(path, "items"), child(at, "items"));
        match &schema.items {
            Some(spine) => specified(&here, spine, &there, items, faults),
            None => faults.push(Cause::required(here, &because(&there))),
        }
    }
    for (name, choice) in &choice.properties {
        let (here, there) = (property(path, name), property(at, name));
        match schema.properties.get(name) {
            Some(spine) => specified(&here, spine, &there, choice, faults),
            None => faults.push(Cause::required(here, &because(&there))),
        }
    }
}

/// The faults of the defaults in a schema: they are valid, and have nothing that would be pruned.
pub(crate) fn defaults(path: &str, schema: &Structural, root: bool, faults: &mut Vec<Cause>) {
    if let Some(default) = &schema.default {
        let path = child(path, "default");
        let mut pruned = default.clone();
        super::prune::prune(&mut pruned, schema, schema.embedded_resource);
        if pruned != *default {
            let shown = default.clone();
            faults.push(Cause::invalid(path.as_str(), shown, "must not have unknown fields"));
        }
        let mut tried: Value = default.clone();
        let mut found = super::metadata::coerce(schema, &mut tried, false).faults;
        if found.is_empty() {
            found = super::validate::validate(&path, schema, default, None);
        }
        faults.extend(found);
    }
    if let Some(items) = &schema.items {
        defaults(&child(path, "items"), items, false, faults);
    }
    for (name, schema) in &schema.properties {
        if !(root && META_FIELDS.contains(&name.as_str())) {
            defaults(&property(path, name), schema, false, faults);
        }
    }
}
