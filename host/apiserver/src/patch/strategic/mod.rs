//! Strategic merge patches (`k8s.io/apimachinery/pkg/util/strategicpatch`): merge patches that
//! know by which key the items of a list are told apart, with directives:
//!
//! - `$patch: replace | delete | merge` in a map, also as an item of a list;
//! - `$retainKeys: [..]` in a map: every other key goes;
//! - `$setElementOrder/<list>: [..]` and `$deleteFromPrimitiveList/<list>: [..]` beside a list.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{PatchError, Schema};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";

type Result<T> = std::result::Result<T, PatchError>;
type Object = Map<String, Value>;

/// `current` with `patch` applied.
pub(super) fn apply(current: Value, patch: Value, schema: Schema) -> Result<Value> {
    match (current, patch) {
        (Value::Object(current), Value::Object(patch)) => {
            merge_maps(current, patch, schema).map(Value::Object)
        }
        _ => malformed("expected a map"),
    }
}

fn malformed<T>(text: impl Into<String>) -> Result<T> {
    Err(PatchError::Malformed(text.into()))
}

fn merge_maps(mut original: Object, mut patch: Object, schema: Schema) -> Result<Object> {
    if let Some(directive) = patch.remove(PATCH) {
        return whole(&directive, patch);
    }
    retain_keys(&mut original, &mut patch)?;
    merge_ordered_lists(&mut original, &mut patch, schema)?;
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_FROM) {
            delete_from(&mut original, list, value)?;
            continue;
        }
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        let merged = match (original.remove(&key), value) {
            (Some(Value::Object(original)), Value::Object(patch)) => {
                if schema.field(&key).is_some_and(|field| field.replaces()) {
                    Value::Object(patch)
                } else {
                    Value::Object(merge_maps(original, patch, schema.below(&key))?)
                }
            }
            (Some(Value::Array(original)), Value::Array(patch)) => {
                Value::Array(merge_list(original, patch, &key, schema)?)
            }
            (_, value) => added(value)?,
        };
        original.insert(key, merged);
    }
    Ok(original)
}

/// A `$patch` directive about a whole map.
fn whole(directive: &Value, patch: Object) -> Result<Object> {
    match directive.as_str() {
        Some("replace") => Ok(patch),
        Some("delete") => Ok(Object::new()),
        _ => malformed(format!("Unknown patch type found: {}", show(directive))),
    }
}

/// A value that the object does not have yet: without nulls and directives.
fn added(value: Value) -> Result<Value> {
    Ok(match value {
        Value::Object(mut map) => {
            if let Some(directive) = map.remove(PATCH) {
                return whole(&directive, map).map(Value::Object);
            }
            let mut plain = Object::new();
            for (key, value) in map {
                let directive =
                    key == RETAIN_KEYS || key.starts_with(ORDER) || key.starts_with(DELETE_FROM);
                if !directive && !value.is_null() {
                    plain.insert(key, added(value)?);
                }
            }
            Value::Object(plain)
        }
        Value::Array(items) => {
            let plain = items.into_iter().filter(|item| item.get(PATCH).is_none());
            Value::Array(plain.map(added).collect::<Result<_>>()?)
        }
        other => other,
    })
}

fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<()> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(keys) = keys else {
        return malformed("invalid patch format of retainKeys");
    };
    let retained = |key: &String| keys.iter().any(|kept| kept.as_str() == Some(key));
    let plain = patch.iter().filter(|(key, value)| {
        !value.is_null() && !key.starts_with(DELETE_FROM) && !key.starts_with(ORDER)
    });
    if plain.map(|(key, _)| key).any(|key| !retained(key)) {
        return malformed("invalid patch format of retainKeys");
    }
    original.retain(|key, _| retained(key));
    Ok(())
}

fn delete_from(original: &mut Object, list: &str, gone: Value) -> Result<()> {
    let Value::Array(gone) = gone else {
        return malformed("invalid patch format of primitive list");
    };
    if let Some(Value::Array(items)) = original.get_mut(list) {
        items.retain(|item| !gone.contains(item));
    }
    Ok(())
}

/// Merges the lists whose order the patch gives.
fn merge_ordered_lists(original: &mut Object, patch: &mut Object, schema: Schema) -> Result<()> {
    let ordered: Vec<String> =
        patch.keys().filter_map(|key| key.strip_prefix(ORDER)).map(str::to_owned).collect();
    for key in ordered {
        let Some(Value::Array(order)) = patch.remove(&format!("{ORDER}{key}")) else {
            return malformed("invalid patch format of setElementOrder list");
        };
        // Deletions are made before the order is looked at.
        if let Some(gone) = patch.remove(&format!("{DELETE_FROM}{key}")) {
            delete_from(original, &key, gone)?;
        }
        let merge_key = schema.field(&key).and_then(|field| field.merge_key.as_deref());
        let before = original.get(&key).and_then(Value::as_array).cloned();
        let merged = match (before.clone(), patch.remove(&key)) {
            (None, None) => continue,
            (Some(before), None | Some(Value::Null)) => before,
            (None, Some(list @ Value::Array(_))) => match added(list)? {
                Value::Array(items) => items,
                _ => continue,
            },
            (Some(before), Some(Value::Array(items))) => {
                agree(&items, &order, merge_key)?;
                merge_list(before, items, &key, schema)?
            }
            _ => return malformed("invalid patch format of setElementOrder list"),
        };
        let before = before.unwrap_or_default();
        original.insert(key, Value::Array(arrange(merged, &order, &before, merge_key)));
    }
    Ok(())
}

/// The items of a patch must come in the order that it asks for.
fn agree(items: &[Value], order: &[Value], merge_key: Option<&str>) -> Result<()> {
    let mut rest = order.iter();
    for item in items.iter().filter(|item| item.get(PATCH).is_none()) {
        if !rest.any(|other| same(item, other, merge_key)) {
            return malformed(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                show(&Value::Array(items.to_vec())),
                show(&Value::Array(order.to_vec()))
            ));
        }
    }
    Ok(())
}

fn merge_list(
    original: Vec<Value>,
    patch: Vec<Value>,
    key: &str,
    schema: Schema,
) -> Result<Vec<Value>> {
    let Some(field) = schema.field(key).filter(|field| field.merges()) else {
        return Ok(patch);
    };
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let all = || original.iter().chain(&patch);
    if !all().all(Value::is_object) {
        if all().any(Value::is_object) {
            return malformed("mixed maps and other values in a list");
        }
        let mut merged = Vec::with_capacity(original.len());
        for item in all() {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return Ok(arrange(merged, &patch, &original, None));
    }
    let Some(merge_key) = field.merge_key.as_deref() else {
        return malformed(format!("cannot merge lists without merge key for {key}"));
    };
    let (before, patch) = obey_directives(original, patch, merge_key)?;
    let order = patch.clone();
    let mut merged = before.clone();
    for item in patch {
        let found = merged.iter_mut().find(|other| same(&item, other, Some(merge_key)));
        match (found, item) {
            (Some(found), Value::Object(item)) => {
                let Value::Object(current) = found.take() else { continue };
                *found = Value::Object(merge_maps(current, item, schema.below(key))?);
            }
            (_, item) => merged.push(added(item)?),
        }
    }
    Ok(arrange(merged, &order, &before, Some(merge_key)))
}

/// Takes the items with `$patch` out of a patch and does what they say.
fn obey_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>)> {
    let mut plain = vec![];
    let mut replace = false;
    for item in patch {
        match item.get(PATCH).map(Value::as_str) {
            None => {
                if item.get(merge_key).is_none() {
                    return no_merge_key(&item, merge_key);
                }
                plain.push(item);
            }
            Some(Some("delete")) => {
                if item.get(merge_key).is_none() {
                    return no_merge_key(&item, merge_key);
                }
                original.retain(|other| !same(&item, other, Some(merge_key)));
            }
            Some(Some("replace")) => replace = true,
            Some(Some("merge")) => {
                return malformed("merging lists cannot yet be specified in the patch");
            }
            Some(directive) => {
                return malformed(format!(
                    "Unknown patch type found: {}",
                    directive.unwrap_or_default()
                ));
            }
        }
    }
    // Replacement also forgets the items that were not in the patch.
    Ok(if replace { (plain, vec![]) } else { (original, plain) })
}

fn no_merge_key<T>(item: &Value, merge_key: &str) -> Result<T> {
    malformed(format!("map: {} does not contain declared merge key: {merge_key}", show(item)))
}

/// Whether two items of a list are the same item.
fn same(one: &Value, other: &Value, merge_key: Option<&str>) -> bool {
    match merge_key {
        None => one == other,
        Some(key) => match (one.get(key), other.get(key)) {
            (Some(one), Some(other)) => one == other,
            _ => false,
        },
    }
}

/// Orders `merged`: the items in `order` as they stand there, the others as they stood `before`,
/// the former first where it is open.
fn arrange(
    merged: Vec<Value>,
    order: &[Value],
    before: &[Value],
    merge_key: Option<&str>,
) -> Vec<Value> {
    let place =
        |list: &[Value], item: &Value| list.iter().position(|other| same(item, other, merge_key));
    let (mut patched, mut others): (Vec<_>, Vec<_>) =
        merged.into_iter().partition(|item| place(order, item).is_some());
    patched.sort_by_key(|item| place(order, item));
    others.sort_by(|a, b| match (place(before, a), place(before, b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => Ordering::Equal,
    });
    let mut arranged = Vec::with_capacity(patched.len() + others.len());
    let mut patched = patched.into_iter().peekable();
    for other in others {
        // An item that stood before the next patched one still does.
        while let Some(next) = patched.peek() {
            let before = place(before, &other).zip(place(before, next));
            if before.is_some_and(|(other, next)| other < next) {
                break;
            }
            arranged.extend(patched.next());
        }
        arranged.push(other);
    }
    arranged.extend(patched);
    arranged
}

/// A value as Go prints it, for Kubernetes' sentences.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" "))
        }
        Value::Object(map) => {
            let mut pairs: Vec<_> =
                map.iter().map(|(key, value)| format!("{key}:{}", show(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
