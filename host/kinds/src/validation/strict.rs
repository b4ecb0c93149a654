//! What a strict reader complains about in a body: fields that its kind does not have, and fields
//! that are given twice (`sigs.k8s.io/json`).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_ignored::Path;

/// Maps of up to this many keys are searched one by one.
const FEW: usize = 16;

/// The complaint about a field that the kind does not have.
pub(crate) fn unknown_field(path: &Path<'_>) -> String {
    let mut text = String::new();
    write_path(path, &mut text);
    format!("unknown field {text:?}")
}

/// `spec.containers[0].image`.
fn write_path(path: &Path<'_>, text: &mut String) {
    match path {
        Path::Root => {}
        Path::Seq { parent, index } => {
            write_path(parent, text);
            text.push_str(&format!("[{index}]"));
        }
        Path::Map { parent, key } => {
            write_path(parent, text);
            push_key(text, key);
        }
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => write_path(parent, text),
    }
}

fn push_key(text: &mut String, key: &str) {
    if !text.is_empty() {
        text.push('.');
    }
    text.push_str(key);
}

/// The complaints about fields that are given twice. Text that is no JSON is not complained about
/// here.
pub fn repeated_fields(json: &[u8]) -> Vec<String> {
    let mut finder = Finder { path: String::new(), complaints: vec![] };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    // An error is the decoder's to report.
    let _ = (&mut finder).deserialize(&mut deserializer);
    finder.complaints
}

struct Finder {
    path: String,
    complaints: Vec<String>,
}

impl<'de> DeserializeSeed<'de> for &mut Finder {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Finder {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut few: Vec<Cow<'de, str>> = vec![];
        let mut many: HashSet<Cow<'de, str>> = HashSet::new();
        let length = self.path.len();
        while let Some(Key(key)) = map.next_key()? {
            let repeated = if few.len() < FEW { few.contains(&key) } else { many.contains(&key) };
            push_key(&mut self.path, &key);
            if repeated {
                self.complaints.push(format!("duplicate field {:?}", self.path));
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(&mut *self)?;
            }
            self.path.truncate(length);
            if few.len() < FEW {
                few.push(key);
                if few.len() == FEW {
                    many.extend(few.iter().cloned());
                }
            } else {
                many.insert(key);
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let length = self.path.len();
        let mut index = 0;
        loop {
            self.path.push_str(&format!("[{index}]"));
            let more = seq.next_element_seed(&mut *self)?;
            self.path.truncate(length);
            if more.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A key that is borrowed where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;

    #[test]
    fn repeated() {
        let json = br#"{"a": 1, "b": [{"c": {}, "c": [{"d": 1, "d": 2}]}], "a": 2, "e": "\u0061"}"#;
        assert_eq!(
            repeated_fields(json),
            [r#"duplicate field "b[0].c""#, r#"duplicate field "a""#]
        );
        assert_eq!(repeated_fields(b"{"), Vec::<String>::new());
        let many: Vec<_> = (0..100).map(|n| format!(r#""k{}": 0"#, n % 99)).collect();
        let many = format!("{{{}}}", many.join(","));
        assert_eq!(repeated_fields(many.as_bytes()), [r#"duplicate field "k0""#]);
    }

    #[test]
    fn unknown() {
        let json = r#"{"spec": {"containers": [{"name": "a", "x": 1}], "y": 2}, "z": {}}"#;
        let mut found = vec![];
        let _: Pod =
            serde_ignored::deserialize(&mut serde_json::Deserializer::from_str(json), |path| {
                found.push(unknown_field(&path))
            })
            .unwrap();
        assert_eq!(
            found,
            [
                r#"unknown field "spec.containers[0].x""#,
                r#"unknown field "spec.y""#,
                r#"unknown field "z""#,
            ]
        );
    }
}
