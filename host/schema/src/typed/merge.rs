//! One value merged into another: nothing is removed, the second holds where both say something.

use std::collections::{BTreeMap, BTreeSet};

use super::validate::Invalid;
use crate::path::Element;
use crate::schema::{List, ListMerge, Map, Schema, Shape};
use crate::tree::{self, Tree};

/// `live` with everything that `config` says.
pub fn merge<'a>(live: &Tree<'a>, config: &Tree<'a>, schema: &Schema) -> Result<Tree<'a>, Invalid> {
    let merged = both(Some(live), Some(config), Some(schema))?;
    Ok(merged.unwrap_or(Tree::Null))
}

/// What becomes of two values. Nothing becomes of a map or list of which nothing is left.
fn both<'a>(
    live: Option<&Tree<'a>>,
    config: Option<&Tree<'a>>,
    schema: Option<&Schema>,
) -> Result<Option<Tree<'a>>, Invalid> {
    let last = || config.or(live).cloned();
    // A form that only the live value has goes with it.
    let Some(shape) = schema.and_then(|schema| schema.shape(config.or(live))) else {
        return Ok(last());
    };
    match shape {
        Shape::Scalar(_) => Ok(last()),
        Shape::Map(map) => {
            let (before, after) = (live.and_then(Tree::as_map), config.and_then(Tree::as_map));
            let empty = |map: Option<&tree::Map<'_>>| map.is_none_or(tree::Map::is_empty);
            if map.atomic || empty(before) && empty(after) {
                return Ok(last());
            }
            maps(map, before, after)
        }
        Shape::List(list) => {
            let (before, after) = (items(live), items(config));
            if list.merge == ListMerge::Atomic || before.is_empty() && after.is_empty() {
                return Ok(last());
            }
            lists(list, before, after)
        }
    }
}

fn items<'s, 'a>(tree: Option<&'s Tree<'a>>) -> &'s [Tree<'a>] {
    match tree {
        Some(Tree::List(items)) => items,
        _ => &[],
    }
}

fn maps<'a>(
    map: &Map,
    live: Option<&tree::Map<'a>>,
    config: Option<&tree::Map<'a>>,
) -> Result<Option<Tree<'a>>, Invalid> {
    let mut merged = vec![];
    for (name, live, config) in tree::Map::zip(live, config) {
        let value = both(live, config, map.value(name))
            .map_err(|invalid| invalid.below(&Element::Field(name.clone())))?;
        merged.extend(value.map(|value| (name.clone(), value)));
    }
    Ok((!merged.is_empty()).then(|| Tree::Map(tree::Map::sorted(merged))))
}

/// The elements of a list in their order, and the item of each; an element that comes twice has
/// none.
type Index<'s, 'a> = (Vec<Element<'a>>, BTreeMap<Element<'a>, Option<&'s Tree<'a>>>);

fn index<'s, 'a>(
    list: &List,
    items: &'s [Tree<'a>],
    repeatable: bool,
) -> Result<Index<'s, 'a>, Invalid> {
    let (mut order, mut found) = (Vec::with_capacity(items.len()), BTreeMap::new());
    for (at, item) in items.iter().enumerate() {
        let element =
            list.element(item).map_err(|why| Invalid::new(format!("element {at}: {why}")))?;
        match found.get_mut(&element) {
            Some(_) if !repeatable => {
                return Err(Invalid::new(format!("duplicate entries for key {element}")));
            }
            Some(known) => *known = None,
            None => {
                found.insert(element.clone(), Some(item));
            }
        }
        order.push(element);
    }
    Ok((order, found))
}

/// Items that both have stand in the order of the configuration; the others keep their place.
fn lists<'a>(
    list: &List,
    live: &[Tree<'a>],
    config: &[Tree<'a>],
) -> Result<Option<Tree<'a>>, Invalid> {
    let (wanted, configured) = index(list, config, false)?;
    let (present, living) = index(list, live, true)?;
    let mut shared = wanted.iter().filter(|element| living.contains_key(element)).peekable();
    let mut done: BTreeSet<&Element<'a>> = BTreeSet::new();
    let mut merged = Vec::with_capacity(present.len().max(wanted.len()));
    let mut add = |element: &Element<'a>, live: Option<&Tree<'a>>, config: Option<&Tree<'a>>| {
        // Both are missing where the live items cannot be told apart and null was meant.
        let item = both(live, config, Some(&list.items)).map_err(|error| error.below(element))?;
        merged.extend(item);
        Ok::<_, Invalid>(())
    };
    let (mut l, mut w) = (0, 0);
    while l < present.len() || w < wanted.len() {
        if let (Some(here), Some(next)) = (present.get(l), wanted.get(w)) {
            if here == next {
                done.insert(next);
                let old = living.get(here).copied().flatten();
                add(here, old, configured.get(next).copied().flatten())?;
                l += 1;
                w += 1;
                shared.next();
                continue;
            }
            if configured.contains_key(here) && shared.peek().is_some_and(|next| *next != here) {
                l += 1;
                continue;
            }
        }
        if let Some(here) = present.get(l) {
            if !configured.contains_key(here) {
                add(here, live.get(l), None)?;
                l += 1;
                continue;
            }
            if done.contains(here) {
                l += 1;
            }
        }
        if let Some(next) = wanted.get(w) {
            done.insert(next);
            let old = living.get(next).copied().flatten();
            add(next, old, configured.get(next).copied().flatten())?;
            w += 1;
            if shared.peek().is_some_and(|shared| *shared == next) {
                shared.next();
            }
        }
    }
    Ok((!merged.is_empty()).then_some(Tree::List(merged)))
}
