//! What two values differ in.

use crate::fieldset::FieldSet;
use crate::path::Element;
use crate::schema::{List, ListMerge, Map, Schema, Shape};
use crate::tree::{self, Tree};

/// What became of fields from one value to another. No field is in two of the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison<'a> {
    /// The fields that only the old value has.
    pub removed: FieldSet<'a>,
    /// The fields that both have, and that differ.
    pub modified: FieldSet<'a>,
    /// The fields that only the new value has.
    pub added: FieldSet<'a>,
}

impl<'a> Comparison<'a> {
    /// Whether the two are the same.
    pub fn is_same(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// Takes fields, and what is below them, out of consideration.
    pub(crate) fn without(self, fields: &FieldSet<'a>) -> Self {
        if fields.is_empty() {
            return self;
        }
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }
}

/// What became of the element that is being looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    removed: bool,
    modified: bool,
    added: bool,
}

/// What `new` has and `old` has not, the other way round, and what differs.
pub fn compare<'a>(old: &Tree<'a>, new: &Tree<'a>, schema: &Schema) -> Comparison<'a> {
    let mut found = Comparison::default();
    both(Some(old), Some(new), Some(schema), &mut found);
    found
}

/// The fields of a new object, all of which its creator owns.
pub fn created<'a>(new: &Tree<'a>, schema: &Schema) -> FieldSet<'a> {
    whole(new, Some(schema), true).1
}

/// Compares two values, at least one of which is there, each in the form that it has.
fn both<'a>(
    old: Option<&Tree<'a>>,
    new: Option<&Tree<'a>>,
    schema: Option<&Schema>,
    found: &mut Comparison<'a>,
) -> Fate {
    let (old, new) = match (old, new) {
        (Some(old), Some(new)) => (old, new),
        (Some(old), None) => {
            let (removed, below) = whole(old, schema, false);
            found.removed = below;
            return Fate { removed, ..Fate::default() };
        }
        (None, Some(new)) => {
            let (added, below) = whole(new, schema, false);
            found.added = below;
            return Fate { added, ..Fate::default() };
        }
        (None, None) => return Fate::default(),
    };
    let (Some(before), Some(after)) = (
        schema.and_then(|schema| schema.shape(Some(old))),
        schema.and_then(|schema| schema.shape(Some(new))),
    ) else {
        return leaf(old, new);
    };
    let same = std::mem::discriminant(&before) == std::mem::discriminant(&after);
    if same {
        return shaped(after, old, new, found);
    }
    // What was a map and is a list has lost the fields of the one and gained the items of the
    // other.
    let mut lost = Comparison::default();
    let first = shaped(before, old, new, &mut lost);
    let second = shaped(after, old, new, found);
    found.removed = found.removed.union(&lost.removed);
    found.modified = found.modified.union(&lost.modified);
    found.added = found.added.union(&lost.added);
    Fate {
        removed: first.removed || second.removed,
        modified: first.modified || second.modified,
        added: first.added || second.added,
    }
}

fn leaf(old: &Tree<'_>, new: &Tree<'_>) -> Fate {
    Fate { modified: old != new, ..Fate::default() }
}

fn shaped<'a>(
    shape: Shape<'_>,
    old: &Tree<'a>,
    new: &Tree<'a>,
    found: &mut Comparison<'a>,
) -> Fate {
    match shape {
        Shape::Scalar(_) => leaf(old, new),
        Shape::Map(map) => {
            let (before, after) = (old.as_map(), new.as_map());
            let empty = |map: Option<&tree::Map<'_>>| map.is_none_or(tree::Map::is_empty);
            if map.atomic || empty(before) && empty(after) {
                return leaf(old, new);
            }
            maps(map, before, after, found);
            Fate::default()
        }
        Shape::List(list) => {
            let items = |tree: &'_ Tree<'a>| match tree {
                Tree::List(items) => items.len(),
                _ => 0,
            };
            if list.merge == ListMerge::Atomic || items(old) == 0 && items(new) == 0 {
                return leaf(old, new);
            }
            lists(list, old, new, found);
            Fate::default()
        }
    }
}

fn maps<'a>(
    map: &Map,
    old: Option<&tree::Map<'a>>,
    new: Option<&tree::Map<'a>>,
    found: &mut Comparison<'a>,
) {
    for (name, old, new) in tree::Map::zip(old, new) {
        let mut below = Comparison::default();
        // What stands anyway was there, or still is.
        let stands = map.field(name).is_some_and(|field| field.standing);
        let fate = match (old, new) {
            (Some(old), None) if stands => {
                let (modified, removed) = whole(old, map.value(name), true);
                below.removed = removed;
                Fate { modified, ..Fate::default() }
            }
            (None, Some(new)) if stands => {
                let (modified, added) = whole(new, map.value(name), true);
                below.added = added;
                Fate { modified, ..Fate::default() }
            }
            (old, new) => both(old, new, map.value(name), &mut below),
        };
        record(Element::Field(name.clone()), fate, below, found);
    }
}

fn record<'a>(element: Element<'a>, fate: Fate, below: Comparison<'a>, found: &mut Comparison<'a>) {
    if fate == Fate::default() && below.is_same() {
        return;
    }
    found.removed.push(element.clone(), fate.removed, below.removed);
    found.modified.push(element.clone(), fate.modified, below.modified);
    found.added.push(element, fate.added, below.added);
}

/// The items of a list by their elements, in order.
fn indexed<'s, 'a>(list: &List, tree: &'s Tree<'a>) -> Vec<(Element<'a>, &'s Tree<'a>)> {
    let Tree::List(items) = tree else { return vec![] };
    let mut found: Vec<_> =
        items.iter().filter_map(|item| Some((list.element(item).ok()?, item))).collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

fn lists<'a>(list: &List, old: &Tree<'a>, new: &Tree<'a>, found: &mut Comparison<'a>) {
    let (olds, news) = (indexed(list, old), indexed(list, new));
    let mut olds = olds.chunk_by(|(one, _), (other, _)| one == other).peekable();
    let mut news = news.chunk_by(|(one, _), (other, _)| one == other).peekable();
    loop {
        let first = |group: Option<&&[(Element<'a>, _)]>| {
            group.and_then(|group| group.first()).map(|(element, _)| element.clone())
        };
        let element = match (first(olds.peek()), first(news.peek())) {
            (None, None) => return,
            (Some(one), Some(other)) => one.min(other),
            (one, other) => match one.or(other) {
                Some(element) => element,
                None => return,
            },
        };
        let here = |group: &&[(Element<'a>, &Tree<'a>)]| {
            group.first().is_some_and(|(own, _)| *own == element)
        };
        let before = olds.next_if(here).unwrap_or_default();
        let after = news.next_if(here).unwrap_or_default();
        let mut below = Comparison::default();
        let fate = match (before, after) {
            ([] | [_], [] | [_]) => {
                let (old, new) = (before.first(), after.first());
                let (old, new) = (old.map(|(_, old)| *old), new.map(|(_, new)| *new));
                both(old, new, Some(&list.items), &mut below)
            }
            // Items that cannot be told apart are one whole.
            ([_, _, ..], [_, _, ..]) => {
                let same = before.len() == after.len()
                    && before.iter().zip(after).all(|((_, old), (_, new))| old == new);
                Fate { modified: !same, ..Fate::default() }
            }
            ([_, _, ..], _) => {
                let new = after.first().map(|(_, new)| *new);
                let mut fate = both(None, new, Some(&list.items), &mut below);
                fate.removed = true;
                fate
            }
            (_, _) => {
                let old = before.first().map(|(_, old)| *old);
                let mut fate = both(old, None, Some(&list.items), &mut below);
                fate.added = true;
                fate
            }
        };
        record(element, fate, below, found);
    }
}

/// All fields of a value that only one of the two objects has. `standing` says that it is known to
/// be there anyway, though empty.
fn whole<'a>(value: &Tree<'a>, schema: Option<&Schema>, standing: bool) -> (bool, FieldSet<'a>) {
    let mut set = FieldSet::default();
    let itself = !(standing && value.is_hollow());
    let shape = schema.and_then(|schema| schema.shape(Some(value)));
    match (shape, value) {
        (Some(Shape::Map(map)), Tree::Map(entries)) if !map.atomic && !entries.is_empty() => {
            for (name, value) in entries.iter() {
                let stands = standing && map.field(name).is_some_and(|field| field.standing);
                let (member, below) = whole(value, map.value(name), stands);
                set.push(Element::Field(name.clone()), member, below);
            }
            (!standing, set)
        }
        (Some(Shape::List(list)), Tree::List(items))
            if list.merge != ListMerge::Atomic && !items.is_empty() =>
        {
            let found = indexed(list, value);
            for same in found.chunk_by(|(one, _), (other, _)| one == other) {
                let below = match same {
                    [(_, item)] => whole(item, Some(&list.items), false).1,
                    _ => FieldSet::default(),
                };
                if let Some((element, _)) = same.first() {
                    set.push(element.clone(), true, below);
                }
            }
            (!standing, set)
        }
        _ => (itself, set),
    }
}
