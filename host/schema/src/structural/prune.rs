//! Fields that the schema does not know go.

use serde_json::Value;

use super::{META_FIELDS, Structural};

/// Removes what `schema` does not know from `value`. At a resource's root its metadata stays.
pub fn prune(value: &mut Value, schema: &Structural, root: bool) {
    Pruner { path: String::new(), unknown: None }.prune(value, Some(schema), root);
}

/// The same, and the paths of what was removed.
pub fn prune_and_tell(value: &mut Value, schema: &Structural, root: bool) -> Vec<String> {
    let mut pruner = Pruner { path: String::new(), unknown: Some(vec![]) };
    pruner.prune(value, Some(schema), root);
    let mut unknown = pruner.unknown.unwrap_or_default();
    unknown.sort();
    unknown
}

struct Pruner {
    path: String,
    unknown: Option<Vec<String>>,
}

impl Pruner {
    fn prune(&mut self, value: &mut Value, schema: Option<&Structural>, root: bool) {
        if let Some(schema) = schema.filter(|schema| schema.preserve_unknown_fields) {
            self.keep(value, Some(schema), root);
            return;
        }
        match value {
            Value::Object(fields) => {
                let metadata = root || schema.is_some_and(|schema| schema.embedded_resource);
                fields.retain(|name, value| {
                    if metadata && META_FIELDS.contains(&name.as_str()) {
                        return true;
                    }
                    let length = self.enter(name);
                    let known = match schema {
                        Some(schema) => match schema.properties.get(name) {
                            Some(property) => Some(Some(property)),
                            None if schema.additional.is_some() => Some(schema.additional_schema()),
                            None => None,
                        },
                        None => None,
                    };
                    match known {
                        Some(below) => self.prune(value, below, false),
                        None => {
                            if let Some(unknown) = &mut self.unknown {
                                unknown.push(self.path.clone());
                            }
                        }
                    }
                    self.path.truncate(length);
                    known.is_some()
                });
            }
            Value::Array(items) => {
                let below = schema.and_then(|schema| schema.items.as_deref());
                self.each(items, |this, item| this.prune(item, below, false));
            }
            _ => {}
        }
    }

    /// Keeps what is unknown here, but not where a schema speaks again.
    fn keep(&mut self, value: &mut Value, schema: Option<&Structural>, root: bool) {
        let Some(schema) = schema else { return };
        match value {
            Value::Object(fields) => {
                let metadata = root || schema.embedded_resource;
                for (name, value) in fields.iter_mut() {
                    if metadata && META_FIELDS.contains(&name.as_str()) {
                        continue;
                    }
                    let length = self.enter(name);
                    if let Some(property) = schema.properties.get(name) {
                        self.prune(value, Some(property), false);
                    } else if schema.additional.is_some() {
                        self.prune(value, schema.additional_schema(), false);
                    }
                    self.path.truncate(length);
                }
            }
            Value::Array(items) => {
                let below = schema.items.as_deref();
                self.each(items, |this, item| this.keep(item, below, false));
            }
            _ => {}
        }
    }

    fn each(&mut self, items: &mut [Value], mut change: impl FnMut(&mut Self, &mut Value)) {
        let length = self.path.len();
        for (at, item) in items.iter_mut().enumerate() {
            if self.unknown.is_some() {
                self.path.push_str(&format!("[{at}]"));
            }
            change(self, item);
            self.path.truncate(length);
        }
    }

    /// Adds a name to the path, if anybody wants to know it.
    fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if self.unknown.is_some() {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(name);
        }
        length
    }
}
