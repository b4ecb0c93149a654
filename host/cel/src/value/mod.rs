//! What expressions compute with. JSON is looked at where it lies: a [`Value`] borrows the data
//! that it was read from, and only what an expression makes anew is its own.

mod equality;
mod json;
mod list;
mod map;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;

use crate::error::EvalError;
use crate::functions::Extension;

pub(crate) use equality::identical;
pub(crate) use list::List;
pub(crate) use map::{Key, Map};

/// A value.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating-point number.
    Double(f64),
    /// Characters.
    String(Text<'a>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A span of time in nanoseconds.
    Duration(i64),
    /// A moment.
    Timestamp(Timestamp),
    /// Values in order.
    #[doc(hidden)]
    List(List<'a>),
    /// Values by key.
    #[doc(hidden)]
    Map(Map<'a>),
    /// A value or none.
    Optional(Option<Arc<Value<'a>>>),
    /// A type, by its name.
    Type(Text<'static>),
    /// An object that an expression made: `Object{...}`, `JSONPatch{...}`.
    #[doc(hidden)]
    Object(Arc<Object<'a>>),
    /// A value of one of the libraries.
    #[doc(hidden)]
    Extension(Extension<'a>),
    /// A value that could not be computed: looking at it fails.
    Failed(Arc<EvalError>),
}

/// An object that an expression made.
#[derive(Debug)]
pub struct Object<'a> {
    pub(crate) name: Arc<str>,
    pub(crate) fields: Vec<(Arc<str>, Value<'a>)>,
}

/// Characters, borrowed from data or shared.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// In the data that the expression reads.
    Borrowed(&'a str),
    /// Made by an expression.
    Shared(Arc<str>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<'a> Value<'a> {
    /// A string of its own.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(Text::Shared(text.into()))
    }

    /// A list.
    pub fn list(values: Vec<Value<'a>>) -> Self {
        Self::List(List::Values(values.into()))
    }

    /// A map from strings.
    pub fn map<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value<'a>)>) -> Self {
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| (Key::String(Text::Shared(key.into())), value));
        Self::Map(Map::Values(Arc::new(entries.collect())))
    }

    pub(crate) fn some(value: Value<'a>) -> Self {
        Self::Optional(Some(Arc::new(value)))
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn elements(&self) -> Option<Vec<Value<'a>>> {
        match self {
            Self::List(list) => Some(list.iter().collect()),
            _ => None,
        }
    }

    /// The name of the value's type, as `type()` has it.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Optional(_) => "optional_type",
            Self::Type(_) => "type",
            Self::Object(object) => &object.name,
            Self::Extension(extension) => extension.type_name(),
            Self::Failed(_) => "error",
        }
    }

    /// The size by which costs are counted: characters of a string, elements, else one.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::String(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Extension(extension) => extension.weight(),
            _ => 1,
        }
    }

    /// The value, or why there is none.
    pub(crate) fn known(self) -> Result<Self, EvalError> {
        match self {
            Self::Failed(error) => Err((*error).clone()),
            value => Ok(value),
        }
    }
}

impl From<Result<Self, EvalError>> for Value<'_> {
    fn from(result: Result<Self, EvalError>) -> Self {
        result.unwrap_or_else(|error| Self::Failed(Arc::new(error)))
    }
}
