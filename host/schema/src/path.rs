//! The way to a field: one element a step.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use crate::tree::Tree;

/// One step from a value into it. The order of elements is that of field sets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element<'a> {
    /// A field of a map.
    Field(Cow<'a, str>),
    /// The item of a list whose fields have these values; sorted by name.
    Key(Vec<(Cow<'a, str>, Tree<'a>)>),
    /// The item of a set with this value.
    Value(Tree<'a>),
    /// The item of a list at this place.
    Index(i64),
}

/// Why a text is no path element.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ElementError {
    /// A later version may know it.
    #[error("unknown path element type")]
    Unknown,
    #[error("{0}")]
    Malformed(String),
}

impl<'a> Element<'a> {
    /// A field.
    pub fn field(name: impl Into<Cow<'a, str>>) -> Self {
        Self::Field(name.into())
    }

    /// Reads `f:spec`, `k:{"name":"a"}`, `v:"a"` or `i:0`.
    pub(crate) fn read(text: Cow<'a, str>) -> Result<Self, ElementError> {
        let malformed = |error: serde_json::Error| ElementError::Malformed(error.to_string());
        let Some((kind, _)) = text.split_once(':').filter(|(kind, _)| kind.len() == 1) else {
            return Err(ElementError::Malformed(format!("missing colon: {text}")));
        };
        match kind {
            "f" => Ok(Self::Field(match text {
                Cow::Borrowed(text) => Cow::Borrowed(&text[2..]),
                Cow::Owned(mut text) => {
                    text.drain(..2);
                    Cow::Owned(text)
                }
            })),
            "k" => match Tree::parse(&text.as_bytes()[2..]).map_err(malformed)?.into_owned() {
                Tree::Map(map) => {
                    let fields = map.iter().map(|(name, value)| (name.clone(), value.clone()));
                    Ok(Self::Key(fields.collect()))
                }
                _ => Err(ElementError::Malformed(format!("no object: {text}"))),
            },
            "v" => {
                let value = Tree::parse(&text.as_bytes()[2..]).map_err(malformed)?;
                Ok(Self::Value(value.into_owned()))
            }
            "i" => match text[2..].parse() {
                Ok(index) => Ok(Self::Index(index)),
                Err(_) => Err(ElementError::Malformed(format!("no number: {text}"))),
            },
            _ => Err(ElementError::Unknown),
        }
    }

    /// Writes what [`Element::read`] reads.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Field(name) => {
                out.push_str("f:");
                out.push_str(name);
            }
            Self::Key(fields) => {
                out.push_str("k:{");
                for (at, (name, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    out.push_str(&json(name));
                    out.push(':');
                    out.push_str(&json(value));
                }
                out.push('}');
            }
            Self::Value(value) => {
                out.push_str("v:");
                out.push_str(&json(value));
            }
            Self::Index(index) => {
                out.push_str("i:");
                out.push_str(&index.to_string());
            }
        }
    }

    /// The same, borrowing from nothing.
    pub fn into_owned(self) -> Element<'static> {
        match self {
            Self::Field(name) => Element::Field(name.into_owned().into()),
            Self::Key(fields) => Element::Key(
                fields
                    .into_iter()
                    .map(|(name, value)| (name.into_owned().into(), value.into_owned()))
                    .collect(),
            ),
            Self::Value(value) => Element::Value(value.into_owned()),
            Self::Index(index) => Element::Index(index),
        }
    }
}

fn json(value: &(impl Serialize + ?Sized)) -> String {
    // Neither texts nor trees can fail to be written.
    serde_json::to_string(value).unwrap_or_default()
}

impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (at, (name, value)) in fields.iter().enumerate() {
                    let comma = if at > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={}", json(value))?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={}]", json(value)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements() {
        for (text, shown) in [
            ("f:spec", ".spec"),
            ("f:a.b/c", ".a.b/c"),
            (r#"k:{"port":80,"protocol":"TCP"}"#, r#"[port=80,protocol="TCP"]"#),
            (r#"v:"a""#, r#"[="a"]"#),
            ("v:1", "[=1]"),
            ("i:3", "[3]"),
        ] {
            let element = Element::read(text.into()).unwrap();
            assert_eq!(element.to_string(), shown);
            let mut written = String::new();
            element.write(&mut written);
            assert_eq!(written, text);
        }
        assert_eq!(Element::read("x:1".into()), Err(ElementError::Unknown));
        for bad in ["f", "", "k:1", "k:{", "v:", "i:x", "ff:a"] {
            let error = Element::read(bad.into()).unwrap_err();
            assert!(matches!(error, ElementError::Malformed(_)), "{bad}");
        }
    }
}
