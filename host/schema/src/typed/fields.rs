//! The fields that a value gives, as its author owns them: leaves, items of lists, and what stands
//! in maps under names that are not declared.

use crate::fieldset::FieldSet;
use crate::path::Element;
use crate::schema::{Schema, Shape};
use crate::tree::Tree;

/// Every leaf and item that `value` mentions.
pub fn fields<'a>(value: &Tree<'a>, schema: &Schema) -> FieldSet<'a> {
    walk(value, Some(schema)).1
}

/// Whether the value itself is such a field, and those below it.
fn walk<'a>(value: &Tree<'a>, schema: Option<&Schema>) -> (bool, FieldSet<'a>) {
    let mut set = FieldSet::default();
    match (schema.and_then(|schema| schema.shape(Some(value))), value) {
        (None | Some(Shape::Scalar(_)), _) => return (true, set),
        (Some(Shape::Map(map)), _) if map.atomic => return (true, set),
        (Some(Shape::List(list)), _) if list.merge == crate::schema::ListMerge::Atomic => {
            return (true, set);
        }
        (Some(Shape::Map(map)), Tree::Map(entries)) => {
            for (name, value) in entries.iter() {
                let (member, below) = walk(value, map.value(name));
                let empty = match value {
                    Tree::Null => true,
                    Tree::Map(map) => map.is_empty(),
                    _ => false,
                };
                let member = member || empty || map.field(name).is_none();
                set.push(Element::Field(name.clone()), member, below);
            }
        }
        (Some(Shape::List(list)), Tree::List(items)) => {
            let mut found: Vec<_> = items
                .iter()
                .filter_map(|item| list.element(item).ok().map(|element| (element, item)))
                .collect();
            found.sort_by(|(one, _), (other, _)| one.cmp(other));
            for same in found.chunk_by(|(one, _), (other, _)| one == other) {
                let below = match same {
                    [(_, item)] => walk(item, Some(&list.items)).1,
                    // Of items that cannot be told apart, only that they are there is owned.
                    _ => FieldSet::default(),
                };
                if let Some((element, _)) = same.first() {
                    set.push(element.clone(), true, below);
                }
            }
        }
        _ => {}
    }
    (false, set)
}
