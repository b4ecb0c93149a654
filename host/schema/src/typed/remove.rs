//! A value without some of its fields.

use crate::fieldset::FieldSet;
use crate::path::Element;
use crate::schema::{ListMerge, Schema, Shape};
use crate::tree::{Map, Tree};

/// `value` without the fields in the set. Of a whole of which a part shall go nothing is left.
pub fn remove<'a>(value: &Tree<'a>, gone: &FieldSet<'_>, schema: &Schema) -> Tree<'a> {
    walk(value, gone, Some(schema))
}

fn walk<'a>(value: &Tree<'a>, gone: &FieldSet<'_>, schema: Option<&Schema>) -> Tree<'a> {
    let shape = schema.and_then(|schema| schema.shape(Some(value)));
    match (shape, value) {
        (Some(Shape::Map(map)), Tree::Map(entries)) if !map.atomic => {
            let mut kept = vec![];
            for (name, value) in entries.iter() {
                let value = match gone.node(&Element::Field(name.clone())) {
                    Some(node) if node.member => continue,
                    Some(node) => walk(value, &node.below, map.value(name)),
                    None => value.clone(),
                };
                kept.push((name.clone(), value));
            }
            if kept.is_empty() { Tree::Null } else { Tree::Map(Map::sorted(kept)) }
        }
        (Some(Shape::List(list)), Tree::List(items)) if list.merge != ListMerge::Atomic => {
            let mut kept = vec![];
            for item in items {
                let node = list.element(item).ok();
                match node.and_then(|element| gone.node(&element)) {
                    Some(node) if node.member => {}
                    Some(node) => kept.push(walk(item, &node.below, Some(&list.items))),
                    None => kept.push(item.clone()),
                }
            }
            if kept.is_empty() { Tree::Null } else { Tree::List(kept) }
        }
        (None | Some(Shape::Scalar(_)), _) => value.clone(),
        _ => Tree::Null,
    }
}
