//! Whether a value is what its schema says.

use std::fmt;

use crate::path::Element;
use crate::schema::{ListMerge, Scalar, Schema, Shape};
use crate::tree::Tree;

/// What is wrong with a value: every fault with the way to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalid(Vec<(String, String)>);

impl Invalid {
    pub(crate) fn new(fault: String) -> Self {
        Self(vec![(String::new(), fault)])
    }

    /// The same faults, seen from one level above.
    pub(crate) fn below(mut self, element: &Element<'_>) -> Self {
        for (path, _) in &mut self.0 {
            path.insert_str(0, &element.to_string());
        }
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |f: &mut fmt::Formatter<'_>, path: &str, fault: &str| {
            if path.is_empty() { f.write_str(fault) } else { write!(f, "{path}: {fault}") }
        };
        if let [(path, fault)] = &self.0[..] {
            return one(f, path, fault);
        }
        f.write_str("errors:")?;
        for (path, fault) in &self.0 {
            f.write_str("\n  ")?;
            one(f, path, fault)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Checks a value. Items that cannot be told apart are a fault, unless they are `repeatable`: what
/// is stored may have come in by a way that does not look at them.
pub fn validate(value: &Tree<'_>, schema: &Schema, repeatable: bool) -> Result<(), Invalid> {
    let mut faults = Invalid::default();
    Checker { repeatable, faults: &mut faults }.check(value, schema, &mut String::new());
    if faults.0.is_empty() { Ok(()) } else { Err(faults) }
}

struct Checker<'f> {
    repeatable: bool,
    faults: &'f mut Invalid,
}

impl Checker<'_> {
    fn fault(&mut self, path: &str, fault: String) {
        self.faults.0.push((path.to_owned(), fault));
    }

    fn check(&mut self, value: &Tree<'_>, schema: &Schema, path: &mut String) {
        let length = path.len();
        match (schema.shape(Some(value)), value) {
            (None, _) | (_, Tree::Null) => {}
            (Some(Shape::Scalar(scalar)), _) => self.scalar(scalar, value, path),
            (Some(Shape::Map(map)), Tree::Map(entries)) => {
                for (name, value) in entries.iter() {
                    path.push('.');
                    path.push_str(name);
                    match map.value(name) {
                        Some(schema) => self.check(value, schema, path),
                        None => {
                            self.fault(path, "field not declared in schema".into());
                            path.truncate(length);
                            return;
                        }
                    }
                    path.truncate(length);
                }
            }
            (Some(Shape::List(list)), Tree::List(items)) => {
                let mut seen = std::collections::BTreeSet::new();
                for (at, item) in items.iter().enumerate() {
                    let element = if list.merge == ListMerge::Atomic {
                        Element::Index(i64::try_from(at).unwrap_or(i64::MAX))
                    } else {
                        match list.element(item) {
                            Ok(element) => element,
                            Err(why) => {
                                self.fault(path, format!("element {at}: {why}"));
                                return;
                            }
                        }
                    };
                    path.push_str(&element.to_string());
                    self.check(item, &list.items, path);
                    path.truncate(length);
                    if !self.repeatable && seen.contains(&element) {
                        self.fault(path, format!("duplicate entries for key {element}"));
                    }
                    seen.insert(element);
                }
            }
            (Some(Shape::Map(_)), other) => {
                self.fault(path, format!("expected map, got &{{{}}}", show(other)));
            }
            (Some(Shape::List(_)), other) => {
                self.fault(path, format!("expected list, got &{{{}}}", show(other)));
            }
        }
    }

    fn scalar(&mut self, scalar: Scalar, value: &Tree<'_>, path: &str) {
        let fault = match (scalar, value) {
            (Scalar::Number, Tree::Number(_))
            | (Scalar::String, Tree::Text(_))
            | (Scalar::Boolean, Tree::Bool(_))
            | (Scalar::Any, Tree::Number(_) | Tree::Text(_) | Tree::Bool(_)) => return,
            (Scalar::Number, other) => {
                format!("expected numeric (int or float), got {}", go_type(other))
            }
            (Scalar::String, other) => {
                format!("expected string, got &value.valueUnstructured{{Value:{}}}", literal(other))
            }
            (Scalar::Boolean, other) => format!("expected boolean, got &{{{}}}", show(other)),
            (Scalar::Any, other) => format!("expected any scalar, got &{{{}}}", show(other)),
        };
        self.fault(path, fault);
    }
}

/// The type of a value as Go names it; Kubernetes' sentences show that.
fn go_type(value: &Tree<'_>) -> &'static str {
    match value {
        Tree::Null => "<nil>",
        Tree::Bool(_) => "bool",
        Tree::Number(number) if number.is_f64() => "float64",
        Tree::Number(_) => "int64",
        Tree::Text(_) => "string",
        Tree::List(_) => "[]interface {}",
        Tree::Map(_) => "map[string]interface {}",
    }
}

/// A value as Go prints it.
fn show(value: &Tree<'_>) -> String {
    match value {
        Tree::Null => "<nil>".into(),
        Tree::Bool(bool) => bool.to_string(),
        Tree::Number(number) => number.to_string(),
        Tree::Text(text) => text.to_string(),
        Tree::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        Tree::Map(map) => {
            let entries: Vec<_> =
                map.iter().map(|(name, value)| format!("{name}:{}", show(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// A value as Go's source would have it.
fn literal(value: &Tree<'_>) -> String {
    match value {
        Tree::Text(text) => format!("{text:?}"),
        Tree::List(items) => {
            let items: Vec<_> = items.iter().map(literal).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Tree::Map(map) => {
            let entries: Vec<_> =
                map.iter().map(|(name, value)| format!("{name:?}:{}", literal(value))).collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
        other => show(other),
    }
}
