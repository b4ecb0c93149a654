//! YAML as JSON text, field by field: no map in between would keep what is given twice.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::json;

/// How deep a document may be nested: as deep as JSON is read afterwards.
const DEPTH: usize = 128;

/// A document, as JSON.
pub(super) struct Document(pub(super) String);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = String::new();
        deserializer.deserialize_any(Writer { json: &mut json, depth: 0 })?;
        Ok(Self(json))
    }
}

/// Writes what it visits.
struct Writer<'a> {
    json: &'a mut String,
    depth: usize,
}

impl<'a> Writer<'a> {
    fn below(&mut self) -> Writer<'_> {
        Writer { json: self.json, depth: self.depth + 1 }
    }

    fn scalar(self, value: impl Into<serde_json::Value>) {
        self.json.push_str(&json!(value.into()).to_string());
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Writer<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth > DEPTH {
            return Err(serde::de::Error::custom("exceeded max depth"));
        }
        deserializer.deserialize_any(self)
    }
}

/// A key as text: numbers and words of YAML are keys, too.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            serde_json::Value::Null => Ok(Self("null".into())),
            value @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_)) => {
                Ok(Self(value.to_string()))
            }
            _ => Err(serde::de::Error::custom("a key is neither text nor number")),
        }
    }
}

impl<'de> Visitor<'de> for Writer<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.json.push_str("null");
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        // What is no number in JSON is null, as it is there.
        self.scalar(value);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.json.push('[');
        let mut first = true;
        loop {
            let before = self.json.len();
            if !std::mem::take(&mut first) {
                self.json.push(',');
            }
            if items.next_element_seed(self.below())?.is_none() {
                self.json.truncate(before);
                break;
            }
        }
        self.json.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        self.json.push('{');
        let mut first = true;
        while let Some(Key(key)) = fields.next_key()? {
            if !std::mem::take(&mut first) {
                self.json.push(',');
            }
            self.below().scalar(key);
            self.json.push(':');
            fields.next_value_seed(self.below())?;
        }
        self.json.push('}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Document;

    #[test]
    fn documents_become_json() {
        for (yaml, expected) in [
            (
                "a: 1\nb: [x, 1.5, true, ~]\nc:\n  d: \"e\\\"f\"",
                r#"{"a":1,"b":["x",1.5,true,null],"c":{"d":"e\"f"}}"#,
            ),
            ("{}", "{}"),
            ("[]", "[]"),
            ("- a\n- []", r#"["a",[]]"#),
            ("1: a\ntrue: b", r#"{"1":"a","true":"b"}"#),
            ("a: &x {b: 1}\nc: *x", r#"{"a":{"b":1},"c":{"b":1}}"#),
            ("a: 1\na: 2", r#"{"a":1,"a":2}"#),
        ] {
            let Document(json) = serde_yaml::from_str(yaml).unwrap();
            assert_eq!(json, expected, "{yaml}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(serde_yaml::from_str::<Document>(&deep).is_err());
    }
}
