//! Sets of fields (`sigs.k8s.io/structured-merge-diff/fieldpath`): whose each field of an object
//! is. A tree of path elements, each of which may be a member itself, whatever is below it.

mod encoding;

use std::cmp::Ordering;

use crate::path::Element;
use crate::schema::Schema;

pub use encoding::{FieldsError, Parsed};

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSet<'a>(Vec<Node<'a>>);

/// One element and what is below it; never neither member nor with members below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node<'a> {
    pub(crate) element: Element<'a>,
    pub(crate) member: bool,
    pub(crate) below: FieldSet<'a>,
}

impl<'a> FieldSet<'a> {
    /// The set of these fields of maps, each given by the way to it.
    pub fn of_fields(paths: &[&[&'a str]]) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(path.iter().map(|name| Element::field(*name)));
        }
        set
    }

    /// Adds one field. The empty path adds nothing: nobody owns a whole object.
    pub fn insert(&mut self, path: impl IntoIterator<Item = Element<'a>>) {
        let mut path = path.into_iter().peekable();
        let mut set = self;
        while let Some(element) = path.next() {
            let at = match set.position(&element) {
                Ok(at) => at,
                Err(at) => {
                    set.0.insert(at, Node { element, member: false, below: Self::default() });
                    at
                }
            };
            let node = &mut set.0[at];
            if path.peek().is_none() {
                node.member = true;
                return;
            }
            set = &mut node.below;
        }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a field is in it.
    pub fn has(&self, path: &[Element<'_>]) -> bool {
        match path {
            [] => false,
            [last] => self.node(last).is_some_and(|node| node.member),
            [first, rest @ ..] => self.node(first).is_some_and(|node| node.below.has(rest)),
        }
    }

    /// Every field, each by the way to it; a field before those below it.
    pub fn paths(&self) -> Vec<Vec<Element<'a>>> {
        fn walk<'a>(
            set: &FieldSet<'a>,
            way: &mut Vec<Element<'a>>,
            all: &mut Vec<Vec<Element<'a>>>,
        ) {
            for member in set.0.iter().filter(|node| node.member) {
                way.push(member.element.clone());
                all.push(way.clone());
                way.pop();
            }
            for node in &set.0 {
                way.push(node.element.clone());
                walk(&node.below, way, all);
                way.pop();
            }
        }
        let mut all = vec![];
        walk(self, &mut vec![], &mut all);
        all
    }

    /// The fields that are in one of the two.
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, |one, other| match (one, other) {
            (Some(one), Some(other)) => Some(Node {
                element: one.element.clone(),
                member: one.member || other.member,
                below: one.below.union(&other.below),
            }),
            (one, other) => one.or(other).cloned(),
        })
    }

    /// The fields that are in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |one, other| {
            let (one, other) = (one?, other?);
            Node::some(
                &one.element,
                one.member && other.member,
                one.below.intersection(&other.below),
            )
        })
    }

    /// The fields that are not in the other. A field is taken away without those below it.
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |one, other| {
            let (one, Some(other)) = (one?, other) else { return one.cloned() };
            Node::some(
                &one.element,
                one.member && !other.member,
                one.below.difference(&other.below),
            )
        })
    }

    /// The fields that are neither in the other nor below one that is.
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.combine(other, |one, other| {
            let (one, Some(other)) = (one?, other) else { return one.cloned() };
            if other.member {
                return None;
            }
            Node::some(&one.element, one.member, one.below.recursive_difference(&other.below))
        })
    }

    /// The set in which every declared field on the way to another is a member too.
    pub(crate) fn with_named_fields(&self, schema: Option<&Schema>) -> Self {
        let nodes = self.0.iter().map(|node| {
            let parent = schema.map(|schema| &**schema);
            let named = match (&node.element, parent.and_then(|parent| parent.map.as_ref())) {
                (Element::Field(name), Some(map)) => map.field(name).is_some(),
                _ => false,
            };
            let below = parent.and_then(|parent| parent.below(&node.element));
            Node {
                element: node.element.clone(),
                member: node.member || named && !node.below.is_empty(),
                below: node.below.with_named_fields(below),
            }
        });
        Self(nodes.collect())
    }

    /// Brings a set written under an older schema into line with the present one: of what has
    /// become atomic, only the whole is owned. `None` if nothing changes.
    pub(crate) fn reconciled(&self, schema: &Schema) -> Option<Self> {
        let mut changed: Option<Vec<Node<'a>>> = None;
        for (at, node) in self.0.iter().enumerate() {
            let Some(below) = schema.below(&node.element) else { continue };
            let atomic = below.atomic_by_schema();
            let replacement = match atomic {
                Some(true) if !node.below.is_empty() => {
                    Node { member: true, below: Self::default(), ..node.clone() }
                }
                Some(true) | None => continue,
                Some(false) => match node.below.reconciled(below) {
                    Some(below) => Node { below, ..node.clone() },
                    None => continue,
                },
            };
            changed.get_or_insert_with(|| self.0.clone())[at] = replacement;
        }
        changed.map(Self)
    }

    pub(crate) fn node(&self, element: &Element<'_>) -> Option<&Node<'a>> {
        let at = self.0.binary_search_by(|node| cmp(&node.element, element)).ok()?;
        self.0.get(at)
    }

    /// Adds an element behind all others, unless there is nothing to be said of it.
    pub(crate) fn push(&mut self, element: Element<'a>, member: bool, below: Self) {
        if member || !below.is_empty() {
            self.0.push(Node { element, member, below });
        }
    }

    /// The same, borrowing from nothing.
    pub fn into_owned(self) -> FieldSet<'static> {
        let own = |node: Node<'_>| Node {
            element: node.element.into_owned(),
            member: node.member,
            below: node.below.into_owned(),
        };
        FieldSet(self.0.into_iter().map(own).collect())
    }

    fn position(&self, element: &Element<'_>) -> Result<usize, usize> {
        self.0.binary_search_by(|node| cmp(&node.element, element))
    }

    /// Walks two sets side by side.
    fn combine(
        &self,
        other: &Self,
        pick: impl Fn(Option<&Node<'a>>, Option<&Node<'a>>) -> Option<Node<'a>>,
    ) -> Self {
        let mut nodes = Vec::with_capacity(self.0.len());
        let (mut ones, mut others) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            let order = match (ones.peek(), others.peek()) {
                (None, None) => return Self(nodes),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.element.cmp(&other.element),
            };
            let one = if order.is_le() { ones.next() } else { None };
            let other = if order.is_ge() { others.next() } else { None };
            nodes.extend(pick(one, other));
        }
    }
}

/// Elements of different lifetimes in their order.
fn cmp(one: &Element<'_>, other: &Element<'_>) -> Ordering {
    one.cmp(other)
}

impl<'a> Node<'a> {
    fn some(element: &Element<'a>, member: bool, below: FieldSet<'a>) -> Option<Self> {
        let any = member || !below.is_empty();
        any.then(|| Self { element: element.clone(), member, below })
    }
}

#[cfg(test)]
mod tests;
