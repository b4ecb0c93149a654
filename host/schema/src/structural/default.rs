//! Fields that are left out get their defaults.

use serde_json::Value;

use super::Structural;

/// Fills in defaults, and takes nulls away where none may be.
pub fn default(value: &mut Value, schema: &Structural) {
    let unwanted = |value: &Value, schema: &Structural| value.is_null() && !schema.nullable;
    match value {
        Value::Object(fields) => {
            for (name, property) in &schema.properties {
                let missing = fields.get(name).is_none_or(|value| unwanted(value, property));
                if let Some(default) = property.default.as_ref().filter(|_| missing) {
                    fields.insert(name.clone(), default.clone());
                } else if missing {
                    fields.remove(name);
                }
            }
            let additional = schema.additional_schema();
            for (name, value) in fields.iter_mut() {
                if let Some(property) = schema.properties.get(name) {
                    default(value, property);
                } else if let Some(additional) = additional {
                    replace(value, additional);
                    default(value, additional);
                }
            }
        }
        Value::Array(values) => {
            let Some(items) = &schema.items else { return };
            for value in values {
                replace(value, items);
                default(value, items);
            }
        }
        _ => {}
    }
}

/// A null that may not be becomes the default.
fn replace(value: &mut Value, schema: &Structural) {
    if let Some(default) = schema.default.as_ref().filter(|_| value.is_null() && !schema.nullable) {
        *value = default.clone();
    }
}
