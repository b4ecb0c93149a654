//! An OpenAPI v2 document of another server, added to this server's: its paths below one root, and
//! what they refer to. Where both call different things by one name, the other's is renamed.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The parts of a document that are referred to by name.
const SECTIONS: &[&str] = &["definitions", "parameters", "responses"];

/// How often names are compared anew. What is still in doubt then gets a name of its own.
const ROUNDS: usize = 16;

/// A section and a name in it.
type Name = (&'static str, String);

/// Adds what `other` has below `/root`.
pub(super) fn merge(document: &mut Value, other: &Value, root: &str) {
    let below = |path: &str| {
        let rest = path.trim_start_matches('/').strip_prefix(root);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let paths = other["paths"].as_object().into_iter().flatten();
    let mut paths: Map<String, Value> = paths
        .filter(|(path, _)| below(path))
        .map(|(path, item)| (path.clone(), item.clone()))
        .collect();
    let mut waiting: Vec<Name> = vec![];
    paths.values().for_each(|item| referred(item, &mut waiting));
    // What is referred to, under the name that it gets here.
    let mut named: BTreeMap<Name, String> = BTreeMap::new();
    while let Some((section, name)) = waiting.pop() {
        let Some(own) = other[section].get(&name) else { continue };
        if named.insert((section, name.clone()), name).is_none() {
            referred(own, &mut waiting);
        }
    }
    // A new name for one may be what tells another apart that refers to it, or no longer does: first
    // come those that differ in more than the names that they refer to.
    for round in 0..ROUNDS {
        let mut clashing = vec![];
        for ((section, name), free) in &named {
            let own = renamed(&other[section][name], &named);
            let taken = &document[section];
            let fits = |name: &String| match taken.get(name) {
                None => true,
                Some(known) => round + 1 < ROUNDS && *known == own,
            };
            if fits(free) {
                continue;
            }
            let given =
                |name: &String| named.iter().any(|(of, free)| of.0 == *section && free == name);
            let mut names = (2..).map(|n| format!("{name}_v{n}"));
            let Some(new) = names.find(|name| fits(name) && !given(name)) else { continue };
            let known = taken.get(free).unwrap_or(&Value::Null);
            let plainly = shape(&own) != shape(known);
            clashing.push((plainly, (*section, name.clone()), new));
        }
        if clashing.is_empty() {
            break;
        }
        let any_plainly = clashing.iter().any(|(plainly, ..)| *plainly);
        let due = clashing.into_iter().filter(|(plainly, ..)| *plainly || !any_plainly);
        named.extend(due.map(|(_, name, new)| (name, new)));
    }
    for ((section, name), free) in &named {
        if !document[section].is_object() {
            document[*section] = json!({});
        }
        if document[*section].get(free).is_none() {
            document[*section][free] = renamed(&other[section][name], &named);
        }
    }
    paths.values_mut().for_each(|item| rename(item, &named));
    if let Some(all) = document["paths"].as_object_mut() {
        all.extend(paths);
    }
}

fn target(reference: &str) -> Option<Name> {
    let (section, name) = reference.strip_prefix("#/")?.split_once('/')?;
    let section = SECTIONS.iter().find(|known| **known == section)?;
    Some((section, name.to_owned()))
}

fn referred(value: &Value, found: &mut Vec<Name>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| referred(item, found)),
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).and_then(target));
            map.values().for_each(|value| referred(value, found));
        }
        _ => {}
    }
}

/// A value, whatever it refers to.
fn shape(value: &Value) -> Value {
    let mut shape = value.clone();
    each_reference(&mut shape, &mut |_| Some(String::new()));
    shape
}

fn renamed(value: &Value, named: &BTreeMap<Name, String>) -> Value {
    let mut value = value.clone();
    rename(&mut value, named);
    value
}

fn rename(value: &mut Value, named: &BTreeMap<Name, String>) {
    each_reference(value, &mut |reference| {
        let name = target(reference)?;
        let free = named.get(&name)?;
        Some(format!("#/{}/{free}", name.0))
    });
}

fn each_reference(value: &mut Value, change: &mut dyn FnMut(&str) -> Option<String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_reference(item, change)),
        Value::Object(map) => {
            if let Some(new) = map.get("$ref").and_then(Value::as_str).and_then(&mut *change) {
                map.insert("$ref".into(), json!(new));
            }
            map.values_mut().for_each(|value| each_reference(value, change));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_renamed() {
        let to = |name: &str| json!({ "$ref": format!("#/definitions/{name}") });
        let mut document = json!({
            "paths": { "/apis/apps/v1/": {} },
            "definitions": { "Meta": { "type": "object" }, "Same": { "type": "string" } },
        });
        let other = json!({
            "paths": {
                "/apis/": to("Unused"),
                "/apis/a.example.com/v1/foos": { "schema": to("Foo"), "p": { "$ref": "#/parameters/q" } },
                "/apis/a.example.com/v10/foos": to("Unused"),
            },
            "definitions": {
                "Foo": { "meta": to("Meta"), "same": to("Same"), "own": to("Foo") },
                "Meta": { "type": "object", "description": "another" },
                "Same": { "type": "string" },
                "Unused": {},
            },
            "parameters": { "q": { "name": "q" } },
        });
        merge(&mut document, &other, "apis/a.example.com/v1");
        let foo = json!({ "meta": to("Meta_v2"), "same": to("Same"), "own": to("Foo") });
        let expected = json!({
            "paths": {
                "/apis/apps/v1/": {},
                "/apis/a.example.com/v1/foos": { "schema": to("Foo"), "p": { "$ref": "#/parameters/q" } },
            },
            "definitions": {
                "Foo": foo,
                "Meta": { "type": "object" },
                "Meta_v2": { "type": "object", "description": "another" },
                "Same": { "type": "string" },
            },
            "parameters": { "q": { "name": "q" } },
        });
        assert_eq!(document, expected);
        merge(&mut document, &other, "apis/a.example.com/v1");
        assert_eq!(document, expected);
    }
}
