//! Values from JSON, under a schema's types or by their form, and back.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map as JsonMap, Value as Json, json};

use super::{Key, List, Map, Text, Value};
use crate::declaration::Type;
use crate::error::EvalError;
use crate::functions::time;

impl<'a> Value<'a> {
    /// JSON by its form: whole numbers are integers.
    pub fn json(json: &'a Json) -> Self {
        Self::typed(json, &Type::Dyn)
    }

    /// JSON under the type that its schema gives it: a whole number may be a double, a string a
    /// timestamp, and fields have the names that expressions use.
    pub fn typed(json: &'a Json, r#type: &Type) -> Self {
        match (json, r#type) {
            (Json::Null, _) => Self::Null,
            (Json::Bool(value), _) => Self::Bool(*value),
            (Json::Number(number), Type::Double) => {
                number.as_f64().map_or(Self::Null, Self::Double)
            }
            (Json::Number(number), _) => match number.as_i64() {
                Some(number) => Self::Int(number),
                None => number.as_f64().map_or(Self::Null, Self::Double),
            },
            (Json::String(text), Type::Bytes) => match BASE64_STANDARD.decode(text) {
                Ok(bytes) => Self::Bytes(bytes.into()),
                Err(error) => invalid(&format!("Invalid byte formatted string {text}: {error}")),
            },
            (Json::String(text), Type::Duration) => match time::parse_duration(text) {
                Some(duration) => Self::Duration(duration),
                None => invalid(&format!("Invalid duration {text}")),
            },
            (Json::String(text), Type::Timestamp) => match moment(text) {
                Some(moment) => Self::Timestamp(moment),
                None => invalid(&format!("Invalid date-time formatted string {text}")),
            },
            (Json::String(text), _) => Self::String(Text::Borrowed(text)),
            (Json::Array(items), Type::List(of)) => {
                Self::List(List::Json { items, of: of.clone() })
            }
            (Json::Array(items), _) => Self::List(List::Json { items, of: Type::dyn_list() }),
            (Json::Object(fields), Type::Object(_) | Type::Map(_)) => {
                Self::Map(Map::Json { fields, of: r#type.clone() })
            }
            (Json::Object(fields), _) => Self::Map(Map::Json { fields, of: Type::Dyn }),
        }
    }

    /// The value as JSON, as objects and patches are written.
    pub fn to_json(&self) -> Result<Json, EvalError> {
        Ok(match self {
            Self::Null => Json::Null,
            Self::Bool(value) => json!(value),
            Self::Int(value) => json!(value),
            Self::Uint(value) => json!(value),
            Self::Double(value) => json!(value),
            Self::String(text) => json!(&**text),
            Self::Bytes(bytes) => json!(BASE64_STANDARD.encode(bytes)),
            Self::Duration(nanos) => json!(time::show_duration(*nanos)),
            Self::Timestamp(moment) => json!(moment.to_string()),
            Self::List(List::Json { items, .. }) => Json::Array(items.to_vec()),
            Self::List(list) => {
                Json::Array(list.iter().map(|item| item.to_json()).collect::<Result<_, _>>()?)
            }
            Self::Map(Map::Json { fields, .. }) => Json::Object((*fields).clone()),
            Self::Map(map) => {
                let entry = |(key, value): (Key<'_>, Value<'_>)| match key {
                    Key::String(name) => Ok((name.to_string(), value.to_json()?)),
                    _ => Err(EvalError::failed("map key is not a string")),
                };
                Json::Object(map.entries().into_iter().map(entry).collect::<Result<_, _>>()?)
            }
            Self::Optional(Some(value)) => value.to_json()?,
            Self::Optional(None) => Json::Null,
            Self::Object(object) => {
                let mut fields = JsonMap::new();
                for (name, value) in &object.fields {
                    fields.insert(name.to_string(), value.to_json()?);
                }
                Json::Object(fields)
            }
            Self::Failed(error) => return Err((**error).clone()),
            Self::Type(_) | Self::Extension(_) => {
                let message = format!("unsupported conversion of {} to JSON", self.type_name());
                return Err(EvalError::Failed(message));
            }
        })
    }
}

fn invalid<'a>(message: &str) -> Value<'a> {
    Err(EvalError::failed(message)).into()
}

/// A moment, or the beginning of a day.
fn moment(text: &str) -> Option<jiff::Timestamp> {
    if let Some(moment) = time::parse_timestamp(text) {
        return Some(moment);
    }
    let date: Date = text.parse().ok()?;
    date.to_zoned(TimeZone::UTC).ok().map(|start| start.timestamp())
}
