//! Maps and objects: in the data, or made by an expression.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Text, Value};
use crate::declaration::Type;

type Json = serde_json::Map<String, serde_json::Value>;

#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// Of a map type, an object type, or anything.
    #[doc(hidden)]
    Json { fields: &'a Json, of: Type },
    #[doc(hidden)]
    Values(Arc<BTreeMap<Key<'a>, Value<'a>>>),
}

/// A key of a map. Integers are the same key whatever their type.
#[derive(Clone, Debug)]
pub enum Key<'a> {
    #[doc(hidden)]
    Bool(bool),
    #[doc(hidden)]
    Number { value: i128, unsigned: bool },
    #[doc(hidden)]
    String(Text<'a>),
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |key: &Self| match key {
            Self::Bool(_) => 0,
            Self::Number { .. } => 1,
            Self::String(_) => 2,
        };
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number { value: a, .. }, Self::Number { value: b, .. }) => a.cmp(b),
            (Self::String(a), Self::String(b)) => (**a).cmp(&**b),
            (a, b) => rank(a).cmp(&rank(b)),
        }
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key<'_> {}

impl<'a> Key<'a> {
    /// The key that a value is; a double is one if it is whole.
    pub(crate) fn of(value: &Value<'a>) -> Option<Self> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        Some(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Number { value: i128::from(*value), unsigned: false },
            Value::Uint(value) => Self::Number { value: i128::from(*value), unsigned: true },
            #[expect(clippy::cast_possible_truncation, reason = "whole and small enough")]
            Value::Double(value) if value.fract() == 0.0 && value.abs() <= EXACT => {
                Self::Number { value: *value as i128, unsigned: false }
            }
            Value::String(text) => Self::String(text.clone()),
            _ => return None,
        })
    }

    pub(crate) fn value(&self) -> Value<'a> {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Number { value, unsigned: false } => {
                i64::try_from(*value).map_or(Value::Null, Value::Int)
            }
            Self::Number { value, unsigned: true } => {
                u64::try_from(*value).map_or(Value::Null, Value::Uint)
            }
            Self::String(text) => Value::String(text.clone()),
        }
    }
}

impl<'a> Map<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Json { fields, .. } => fields.len(),
            Self::Values(values) => values.len(),
        }
    }

    pub(crate) fn get(&self, key: &Key<'_>) -> Option<Value<'a>> {
        match (self, key) {
            (Self::Json { fields, of }, Key::String(name)) => field(fields, of, name),
            (Self::Json { .. }, _) => None,
            (Self::Values(values), key) => values.get(key).cloned(),
        }
    }

    /// The value behind an identifier: `map.name`.
    pub(crate) fn select(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Json { fields, of } => field(fields, of, name),
            Self::Values(values) => values.get(&Key::String(Text::Borrowed(name))).cloned(),
        }
    }

    pub(crate) fn keys(&self) -> Vec<Key<'a>> {
        match self {
            Self::Json { fields, of: Type::Object(object) } => {
                let known = |name: &&'a String| object.property(name).is_some();
                let names = fields.keys().filter(known);
                names.map(|name| Key::String(Text::Borrowed(name))).collect()
            }
            Self::Json { fields, .. } => {
                fields.keys().map(|name| Key::String(Text::Borrowed(name))).collect()
            }
            Self::Values(values) => values.keys().cloned().collect(),
        }
    }

    pub(crate) fn entries(&self) -> Vec<(Key<'a>, Value<'a>)> {
        match self {
            Self::Json { fields, of } => {
                let typed = |(name, json): (&'a String, &'a serde_json::Value)| {
                    (Key::String(Text::Borrowed(name)), property(name, json, of))
                };
                fields.iter().map(typed).collect()
            }
            Self::Values(values) => {
                values.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
            }
        }
    }
}

/// The value behind an identifier in data.
fn field<'a>(fields: &'a Json, of: &Type, name: &str) -> Option<Value<'a>> {
    match of {
        Type::Object(object) => {
            let field = object.field(name)?;
            Some(Value::typed(fields.get(&field.property)?, &field.r#type))
        }
        Type::Map(map) => Some(Value::typed(fields.get(name)?, &map.1)),
        _ => Some(Value::typed(fields.get(name)?, &Type::Dyn)),
    }
}

/// The value of a property by the name that it has in data. What the schema does not know, and
/// expressions cannot reach, takes part in comparisons as it is.
fn property<'a>(name: &str, json: &'a serde_json::Value, of: &Type) -> Value<'a> {
    match of {
        Type::Object(object) => {
            let known = object.property(name).map(|field| &field.r#type);
            Value::typed(json, known.unwrap_or(&Type::Dyn))
        }
        Type::Map(map) => Value::typed(json, &map.1),
        _ => Value::typed(json, &Type::Dyn),
    }
}
