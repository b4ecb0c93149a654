//! Lists that are sets or maps hold each thing once.

use std::collections::HashMap;

use coracle_api::cause::Cause;
use serde_json::{Map, Value};

use super::{Structural, child};

/// The faults of lists of the types `set` and `map` in `value`.
pub fn validate(path: &str, schema: &Structural, value: &Value) -> Vec<Cause> {
    let mut faults = vec![];
    check(path, schema, value, &mut faults);
    faults
}

fn check(path: &str, schema: &Structural, value: &Value, faults: &mut Vec<Cause>) {
    match value {
        Value::Object(fields) => {
            if let Some(additional) = schema.additional_schema() {
                for (name, value) in fields {
                    check(&format!("{path}[{name}]"), additional, value, faults);
                }
            }
            for (name, value) in fields {
                if let Some(property) = schema.properties.get(name) {
                    check(&child(path, name), property, value, faults);
                }
            }
        }
        Value::Array(items) => {
            match schema.list_type.as_deref() {
                Some("set") => {
                    let repeated = repeated(items.iter().map(Value::to_string));
                    faults.extend(repeated.into_iter().filter_map(|at| {
                        Some(Cause::duplicate(format!("{path}[{at}]"), items.get(at)?.clone()))
                    }));
                }
                Some("map") => map(path, schema, items, faults),
                _ => {}
            }
            if let Some(below) = &schema.items {
                for (at, item) in items.iter().enumerate() {
                    check(&format!("{path}[{at}]"), below, item, faults);
                }
            }
        }
        _ => {}
    }
}

fn map(path: &str, schema: &Structural, items: &[Value], faults: &mut Vec<Cause>) {
    let odd = items.iter().position(|item| !item.is_null() && !item.is_object());
    if let Some((at, item)) = odd.and_then(|at| Some((at, items.get(at)?))) {
        let detail = "must be an object for an array of list-type map";
        faults.push(Cause::invalid(format!("{path}[{at}]"), item.clone(), detail));
        return;
    }
    let keys: Vec<_> = items.iter().map(|item| key(schema, item)).collect();
    let repeated = repeated(keys.iter().map(|key| Value::from(key.clone()).to_string()));
    for at in repeated {
        if let Some(key) = keys.get(at) {
            faults.push(Cause::duplicate(format!("{path}[{at}]"), key.clone()));
        }
    }
}

/// What tells an item of a `map` list from the others.
pub fn key(schema: &Structural, item: &Value) -> Map<String, Value> {
    let keys = schema.list_map_keys.iter();
    keys.filter_map(|key| Some((key.clone(), item.get(key)?.clone()))).collect()
}

/// Where something is seen for the second time.
fn repeated(texts: impl Iterator<Item = String>) -> Vec<usize> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut found = vec![];
    for (at, text) in texts.enumerate() {
        let times = seen.entry(text).or_default();
        *times += 1;
        if *times == 2 {
            found.push(at);
        }
    }
    found
}
