//! How values are merged: which maps and lists are wholes and which are made of parts that belong
//! to different owners (`sigs.k8s.io/structured-merge-diff/schema`).

mod openapi;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use crate::path::Element;
use crate::tree::Tree;

/// The schema of a value; made when first looked at, so that it may contain itself.
#[derive(Clone)]
pub struct Schema(Arc<Lazy>);

type Make = Box<dyn FnOnce() -> Type + Send + Sync>;
type Lazy = LazyLock<Type, Make>;

/// What a value may be: at least one of the three.
#[derive(Clone, Debug, Default)]
pub struct Type {
    /// It may be a scalar.
    pub scalar: Option<Scalar>,
    /// It may be a list.
    pub list: Option<List>,
    /// It may be a map.
    pub map: Option<Map>,
}

/// The scalars that a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Any.
    Any,
    /// A text.
    String,
    /// A number.
    Number,
    /// True or false.
    Boolean,
}

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// Its items.
    pub items: Schema,
    /// How it is merged.
    pub merge: ListMerge,
}

/// How a list is merged.
#[derive(Clone, Debug, PartialEq)]
pub enum ListMerge {
    /// As a whole.
    Atomic,
    /// As a set of scalars.
    Set,
    /// Item by item; the values of these fields tell which is which.
    Map(Vec<Key>),
}

/// A field that tells the items of a list apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// What it is where it is left out.
    pub default: Option<Tree<'static>>,
}

/// A map or struct.
#[derive(Clone, Debug, Default)]
pub struct Map {
    /// The fields that are declared.
    pub fields: BTreeMap<String, Field>,
    /// All other fields; without it there may be none.
    pub rest: Option<Schema>,
    /// Whether it is merged as a whole.
    pub atomic: bool,
    /// Whether nothing at all is declared, so that only the values tell what they are.
    pub deduced: bool,
}

/// A declared field.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its value.
    pub schema: Schema,
    /// Whether it is there even if nobody gives it, so that nobody owns that it is there: the
    /// structs in Kubernetes' own types that are no pointers.
    pub standing: bool,
}

/// One of the three forms of a type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape<'s> {
    Map(&'s Map),
    Scalar(Scalar),
    List(&'s List),
}

impl Schema {
    /// The schema of a type.
    pub fn new(shape: Type) -> Self {
        Self::lazy(move || shape)
    }

    /// A schema that is made when it is first looked at.
    pub fn lazy(make: impl FnOnce() -> Type + Send + Sync + 'static) -> Self {
        let make: Make = Box::new(make);
        Self(Arc::new(LazyLock::new(make)))
    }

    /// The schema of scalars.
    pub fn scalar(scalar: Scalar) -> Self {
        Self::new(Type { scalar: Some(scalar), ..Type::default() })
    }

    /// The schema of values of which nothing is known: maps are merged, all else is replaced.
    pub fn deduced() -> Self {
        static DEDUCED: LazyLock<Schema> = LazyLock::new(|| Schema::untyped(false));
        DEDUCED.clone()
    }

    /// The schema of values of which nothing is known, inside of something that is a whole.
    fn atomic() -> Self {
        static ATOMIC: LazyLock<Schema> = LazyLock::new(|| Schema::untyped(true));
        ATOMIC.clone()
    }

    fn untyped(atomic: bool) -> Self {
        Self::lazy(move || Type {
            scalar: Some(Scalar::Any),
            list: Some(List { items: Self::atomic(), merge: ListMerge::Atomic }),
            map: Some(Map {
                rest: Some(if atomic { Self::atomic() } else { Self::deduced() }),
                atomic,
                deduced: !atomic,
                ..Map::default()
            }),
        })
    }
}

impl Deref for Schema {
    type Target = Type;

    fn deref(&self) -> &Type {
        &self.0
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Schemas may contain themselves.
        f.write_str("Schema")
    }
}

impl Type {
    /// The form of the type that fits the value; if none does, the first.
    pub(crate) fn shape(&self, value: Option<&Tree<'_>>) -> Option<Shape<'_>> {
        let map = self.map.as_ref().map(Shape::Map);
        let scalar = self.scalar.map(Shape::Scalar);
        let list = self.list.as_ref().map(Shape::List);
        let fitting = match value {
            None | Some(Tree::Null) => None,
            Some(Tree::Map(_)) => map,
            Some(Tree::List(_)) => list,
            Some(_) => scalar,
        };
        fitting.or(map).or(scalar).or(list)
    }

    /// The schema of what an element leads to.
    pub(crate) fn below(&self, element: &Element<'_>) -> Option<&Schema> {
        match element {
            Element::Field(name) => self.map.as_ref()?.value(name),
            _ => self.list.as_ref().map(|list| &list.items),
        }
    }

    /// Whether values are wholes; nothing where only the value itself would tell.
    pub(crate) fn atomic_by_schema(&self) -> Option<bool> {
        match self.shape(None)? {
            Shape::Map(map) if map.deduced => None,
            Shape::Map(map) => Some(map.atomic),
            Shape::Scalar(_) => None,
            Shape::List(list) => Some(list.merge == ListMerge::Atomic),
        }
    }
}

impl Map {
    /// A declared field.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }

    /// The schema of the value of a field, declared or not.
    pub(crate) fn value(&self, name: &str) -> Option<&Schema> {
        self.field(name).map(|field| &field.schema).or(self.rest.as_ref())
    }
}

impl List {
    /// The element that stands for an item; an error if the item has none.
    pub(crate) fn element<'a>(&self, item: &Tree<'a>) -> Result<Element<'a>, String> {
        match &self.merge {
            ListMerge::Atomic => Err("invalid indexing of non-associative list".into()),
            ListMerge::Set => match item {
                Tree::Map(_) => {
                    Err("associative list without keys has an element that's a map type".into())
                }
                Tree::List(_) => {
                    Err("not supported: associative list with lists as elements".into())
                }
                Tree::Null => {
                    Err("associative list without keys has an element that's an explicit null"
                        .into())
                }
                scalar => Ok(Element::Value(scalar.clone())),
            },
            ListMerge::Map(keys) => {
                let map = match item {
                    Tree::Map(map) => map,
                    Tree::Null => {
                        return Err("associative list with keys may not have a null element".into());
                    }
                    _ => {
                        let why = "associative list with keys may not have non-map elements";
                        return Err(why.into());
                    }
                };
                let mut fields = Vec::with_capacity(keys.len());
                for key in keys {
                    let value = map.get(&key.name).or(key.default.as_ref());
                    let value = value.cloned().ok_or_else(|| {
                        format!(
                            "associative list with keys has an element that omits key field {:?} \
                             (and doesn't have default value)",
                            key.name
                        )
                    })?;
                    fields.push((key.name.clone().into(), value));
                }
                fields.sort();
                Ok(Element::Key(fields))
            }
        }
    }
}
