//! `FieldsV1`: sets of fields as JSON. A key is a path element, `.` says that the element that
//! it stands below is a member itself, and an element without anything below is one anyway.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{FieldSet, Node};
use crate::path::{Element, ElementError};
use crate::tree::Text;

/// A text is no `FieldsV1`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FieldsError(#[from] serde_json::Error);

impl<'a> FieldSet<'a> {
    /// Reads `FieldsV1`.
    pub fn read(json: &'a [u8]) -> Result<Self, FieldsError> {
        let Parsed(set) = serde_json::from_slice(json)?;
        Ok(set)
    }

    /// Writes `FieldsV1`, in the canonical order.
    pub fn write(&self, out: &mut String) {
        let mut key = String::new();
        self.write_map(false, &mut key, out);
    }

    fn write_map(&self, itself: bool, key: &mut String, out: &mut String) {
        out.push('{');
        if itself && !self.is_empty() {
            out.push_str("\".\":{}");
        }
        let mut comma = itself;
        for node in &self.0 {
            if comma {
                out.push(',');
            }
            comma = true;
            key.clear();
            node.element.write(key);
            quote(key, out);
            out.push(':');
            node.below.write_map(node.member, key, out);
        }
        out.push('}');
    }
}

/// Writes a JSON string. Most keys need no escapes, and are copied as they are.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    if text.bytes().any(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
                c => out.push(c),
            }
        }
    } else {
        out.push_str(text);
    }
    out.push('"');
}

/// A set as it is read from JSON.
#[derive(Debug)]
pub struct Parsed<'a>(pub FieldSet<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Parsed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Level { below, .. } = Level::deserialize(deserializer)?;
        Ok(Self(below))
    }
}

/// What stands below an element, and whether the element itself is a member.
struct Level<'a> {
    member: bool,
    below: FieldSet<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Level<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Levels)
    }
}

struct Levels;

impl<'de> Visitor<'de> for Levels {
    type Value = Level<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut member = false;
        let mut nodes: Vec<Node<'de>> = vec![];
        let mut sorted = true;
        while let Some(Text(key)) = map.next_key()? {
            if key == "." {
                member = true;
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let element = match Element::read(key) {
                Ok(element) => element,
                Err(ElementError::Unknown) => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Err(error) => return Err(serde::de::Error::custom(error)),
            };
            let Level { member, below } = map.next_value()?;
            sorted &= nodes.last().is_none_or(|last| last.element < element);
            nodes.push(Node { element, member, below });
        }
        if !sorted {
            nodes.sort_by(|one, other| one.element.cmp(&other.element));
            nodes.dedup_by(|second, first| {
                let same = first.element == second.element;
                if same {
                    first.member |= second.member;
                    first.below = first.below.union(&second.below);
                }
                same
            });
        }
        Ok(Level { member: member || nodes.is_empty(), below: FieldSet(nodes) })
    }
}
