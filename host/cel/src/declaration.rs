//! Types of expressions and of the data that they read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use crate::schema::{self, Source};

/// The type of a value.
#[derive(Clone, Debug)]
pub enum Type {
    /// Anything: found out when it is evaluated.
    Dyn,
    /// The type of `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// 64 bits, signed.
    Int,
    /// 64 bits, unsigned.
    Uint,
    /// 64 bits, floating.
    Double,
    /// Characters.
    String,
    /// Bytes.
    Bytes,
    /// A span of time.
    Duration,
    /// A moment.
    Timestamp,
    /// Elements of one type.
    List(Arc<ListType>),
    /// Keys and values.
    Map(Arc<(Type, Type)>),
    /// A value, or none.
    Optional(Arc<Type>),
    /// Fields by name.
    Object(Arc<ObjectType>),
    /// A type of a library, by its full name.
    Opaque(&'static str),
    /// The type of a type.
    Type,
    /// Still to be found by the checker.
    #[doc(hidden)]
    Unknown(usize),
    /// Of an expression that is wrong; fits everything, so that one fault is reported once.
    #[doc(hidden)]
    Error,
}

/// A list's elements and how it is compared and added to.
#[derive(Clone, Debug)]
pub struct ListType {
    /// The elements' type.
    pub element: Type,
    /// `x-kubernetes-list-type`.
    pub merge: Merge,
}

/// How a list in data is compared and added to: `x-kubernetes-list-type`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// As a whole, in order.
    Atomic,
    /// As a set of scalars.
    Set,
    /// By the properties that identify an element.
    Map(Vec<String>),
}

/// A property of an object.
#[derive(Clone, Debug)]
pub struct Field {
    /// The property's name in data, not escaped.
    pub property: String,
    /// Its type.
    pub r#type: Type,
}

/// An object's fields, by the identifiers that expressions use.
#[derive(Debug)]
pub struct ObjectType {
    name: String,
    source: Option<Source>,
    fields: OnceLock<BTreeMap<String, Field>>,
}

impl ObjectType {
    /// An object with those fields, whose names are the properties' names.
    pub fn new(name: impl Into<String>, fields: Vec<Field>) -> Self {
        let fields = fields.into_iter().filter_map(|field| {
            let identifier = crate::escape(&field.property)?.into_owned();
            Some((identifier, field))
        });
        let fields = OnceLock::from(fields.collect::<BTreeMap<_, _>>());
        Self { name: name.into(), source: None, fields }
    }

    /// An object whose fields are read from its schema when they are first asked for, so that
    /// schemas may refer to themselves.
    pub(crate) fn lazy(name: String, source: Source) -> Self {
        Self { name, source: Some(source), fields: OnceLock::new() }
    }

    /// How errors call the type.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its fields by identifier.
    pub fn fields(&self) -> &BTreeMap<String, Field> {
        self.fields.get_or_init(|| {
            self.source
                .as_ref()
                .map(|source| schema::fields(source, &self.name))
                .unwrap_or_default()
        })
    }

    /// The field that expressions call so.
    pub fn field(&self, identifier: &str) -> Option<&Field> {
        self.fields().get(identifier)
    }

    /// The field that data calls so.
    pub(crate) fn property(&self, name: &str) -> Option<&Field> {
        self.field(&crate::escape(name)?)
    }
}

static DYN_LIST: LazyLock<Arc<ListType>> =
    LazyLock::new(|| Arc::new(ListType { element: Type::Dyn, merge: Merge::Atomic }));

impl Type {
    /// A list in order.
    pub fn list(element: Self) -> Self {
        Self::List(Arc::new(ListType { element, merge: Merge::Atomic }))
    }

    /// A map.
    pub fn map(key: Self, value: Self) -> Self {
        Self::Map(Arc::new((key, value)))
    }

    /// A value or none.
    pub fn optional(inner: Self) -> Self {
        Self::Optional(Arc::new(inner))
    }

    pub(crate) fn dyn_list() -> Arc<ListType> {
        DYN_LIST.clone()
    }

    /// Whether nothing is known of the type before evaluation.
    pub(crate) fn is_dyn(&self) -> bool {
        matches!(self, Self::Dyn | Self::Error)
    }

    /// Whether both are the same type in every part.
    pub fn is_exactly(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(a), Self::List(b)) => a.element.is_exactly(&b.element),
            (Self::Map(a), Self::Map(b)) => a.0.is_exactly(&b.0) && a.1.is_exactly(&b.1),
            (Self::Optional(a), Self::Optional(b)) => a.is_exactly(b),
            (Self::Object(a), Self::Object(b)) => a.name == b.name,
            (Self::Opaque(a), Self::Opaque(b)) => a == b,
            (Self::Unknown(a), Self::Unknown(b)) => a == b,
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn | Self::Unknown(_) => "dyn",
            Self::Error => "!error!",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Duration => "duration",
            Self::Timestamp => "timestamp",
            Self::Type => "type",
            Self::Opaque(name) => name,
            Self::Object(object) => &object.name,
            Self::List(list) => return write!(f, "list({})", list.element),
            Self::Map(map) => return write!(f, "map({}, {})", map.0, map.1),
            Self::Optional(inner) => return write!(f, "optional_type({inner})"),
        })
    }
}
