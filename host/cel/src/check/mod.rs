//! From [`crate::ast`] to a [`Program`]: names and overloads are resolved, types are inferred.
//! Evaluates nothing.

mod overload;
mod unify;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ast::{Access, Expr, Fold, Item, Kind, Literal, Shape};
use crate::declaration::{ObjectType, Type};
use crate::env::Env;
use crate::error::Issue;
use crate::functions::{self, OPAQUE};
use crate::program::{self, Element, Node, Program};
use crate::value::{Text, Value};
use unify::Unifier;

pub(crate) fn check(env: &Env, tree: &Expr) -> Result<Program, Vec<Issue>> {
    let mut checker = Checker {
        env,
        issues: vec![],
        unifier: Unifier::default(),
        locals: vec![],
        globals: vec![],
        fields: BTreeSet::new(),
    };
    let (node, r#type) = checker.infer(tree);
    if !checker.issues.is_empty() {
        return Err(checker.issues);
    }
    let r#type = checker.unifier.resolve(&r#type);
    Ok(Program { node, r#type, globals: checker.globals, fields: checker.fields })
}

struct Checker<'e> {
    env: &'e Env,
    issues: Vec<Issue>,
    unifier: Unifier,
    /// The variables of the macros around, innermost last.
    locals: Vec<(String, Type)>,
    globals: Vec<String>,
    fields: BTreeSet<(String, String)>,
}

type Inferred = (Node, Type);

/// Names that are types.
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
    "optional_type",
    "google.protobuf.Duration",
    "google.protobuf.Timestamp",
];

fn is_type(name: &str) -> bool {
    TYPES.contains(&name) || OPAQUE.contains(&name)
}

/// `a.b.c`, if the expression is nothing but that.
fn qualified(expr: &Expr) -> Option<String> {
    match &expr.kind {
        Kind::Ident(name) => Some(name.clone()),
        Kind::Select { operand, field, access: Access::Value } => {
            Some(format!("{}.{field}", qualified(operand)?))
        }
        _ => None,
    }
}

impl Checker<'_> {
    fn fault(&mut self, at: usize, message: impl Into<String>) -> Inferred {
        self.issues.push(Issue::new(at, message));
        (Node::Const(Value::Null), Type::Error)
    }

    fn infer(&mut self, expr: &Expr) -> Inferred {
        let at = expr.at;
        match &expr.kind {
            Kind::Literal(literal) => constant(literal),
            Kind::Ident(name) => match self.name(name) {
                Some(found) => found,
                None => self.undeclared(at, name),
            },
            Kind::Select { operand, field, access } => self.select(expr, operand, field, *access),
            Kind::Index { operand, index, access } => self.index(at, operand, index, *access),
            Kind::Call { target, function, args } => {
                self.call(at, target.as_deref(), function, args)
            }
            Kind::And(parts) => self.joined(at, "_&&_", parts, Node::And),
            Kind::Or(parts) => self.joined(at, "_||_", parts, Node::Or),
            Kind::Conditional(parts) => self.conditional(at, parts),
            Kind::List(items) => {
                let mut element = None;
                let items = items.iter().map(|item| self.element(item, &mut element)).collect();
                let element = element.unwrap_or_else(|| self.unifier.fresh());
                (Node::List(items), Type::list(element))
            }
            Kind::Map(entries) => {
                let (mut key_type, mut value_type) = (None, None);
                let mut nodes = vec![];
                for entry in entries {
                    let (key, r#type) = self.infer(&entry.key);
                    self.join(entry.key.at, &mut key_type, r#type);
                    nodes.push((key, self.element(&entry.item, &mut value_type)));
                }
                let key = key_type.unwrap_or_else(|| self.unifier.fresh());
                let value = value_type.unwrap_or_else(|| self.unifier.fresh());
                (Node::Map(nodes), Type::map(key, value))
            }
            Kind::Struct { name, fields } => self.construct(at, name, fields),
            Kind::Fold(fold) => self.fold(fold),
            Kind::OptMap { target, variable, body, flat } => {
                self.opt_map(target, variable, body, *flat)
            }
        }
    }

    fn undeclared(&mut self, at: usize, name: &str) -> Inferred {
        let name = name.trim_start_matches('.');
        self.fault(at, format!("undeclared reference to '{name}' (in container '')"))
    }

    /// A variable or type by its full name.
    fn name(&mut self, name: &str) -> Option<Inferred> {
        if let Some(index) = self.locals.iter().rposition(|(local, _)| local == name) {
            return Some((Node::Local(index), self.locals[index].1.clone()));
        }
        let name = name.strip_prefix('.').unwrap_or(name);
        if let Some(r#type) = self.env.find(name) {
            let index = self.globals.iter().position(|known| known == name);
            let index = index.unwrap_or_else(|| {
                self.globals.push(name.to_owned());
                self.globals.len() - 1
            });
            return Some((Node::Global(index), r#type.clone()));
        }
        is_type(name).then(|| (Node::Const(Value::Type(Text::Shared(name.into()))), Type::Type))
    }

    /// Whether a dotted name begins with a macro's variable, and so is no name but a selection.
    fn is_local(&self, qualified: &str) -> bool {
        let first = qualified.split('.').next().unwrap_or_default();
        self.locals.iter().any(|(local, _)| local == first)
    }

    fn select(&mut self, expr: &Expr, operand: &Expr, field: &str, access: Access) -> Inferred {
        let full = qualified(operand).map(|operand| format!("{operand}.{field}"));
        if let Some(full) = full.filter(|full| access != Access::Optional && !self.is_local(full))
            && let Some(found) = self.name(&full)
        {
            if access == Access::Test {
                return self.fault(expr.at, "expression does not select a field");
            }
            return found;
        }
        if let Kind::Ident(variable) = &operand.kind {
            self.fields.insert((variable.clone(), field.to_owned()));
        }
        let (operand, r#type) = self.infer(operand);
        let r#type = self.unifier.resolve(&r#type);
        let (through, inner) = match &r#type {
            Type::Optional(inner) => (true, self.unifier.resolve(inner)),
            other => (false, other.clone()),
        };
        let found = match &inner {
            Type::Dyn | Type::Error | Type::Unknown(_) => Type::Dyn,
            Type::Map(map) => map.1.clone(),
            Type::Object(object) if self.env.makes_patches() && object.fields().is_empty() => {
                Type::Dyn
            }
            Type::Object(object) => match object.field(field) {
                Some(field) => field.r#type.clone(),
                None => return self.fault(expr.at, format!("undefined field '{field}'")),
            },
            other => {
                let message = format!("type '{other}' does not support field selection");
                return self.fault(expr.at, message);
            }
        };
        let r#type = match access {
            Access::Test => Type::Bool,
            Access::Value if !through => found,
            Access::Value | Access::Optional => optional(found),
        };
        let field = field.into();
        (Node::Select { operand: Box::new(operand), field, access }, r#type)
    }

    fn index(&mut self, at: usize, operand: &Expr, index: &Expr, access: Access) -> Inferred {
        let (operand, operand_type) = self.infer(operand);
        let (index, index_type) = self.infer(index);
        let r#type = self.unifier.resolve(&operand_type);
        let (through, inner) = match &r#type {
            Type::Optional(inner) => (true, self.unifier.resolve(inner)),
            other => (false, other.clone()),
        };
        let (key, found) = match &inner {
            Type::Dyn | Type::Error | Type::Unknown(_) => (Type::Dyn, Type::Dyn),
            Type::List(list) => (Type::Int, list.element.clone()),
            Type::Map(map) => (map.0.clone(), map.1.clone()),
            _ => return self.no_overload(at, "_[_]", false, &[operand_type, index_type]),
        };
        if !self.unifier.assignable(&key, &index_type) {
            return self.no_overload(at, "_[_]", false, &[operand_type, index_type]);
        }
        let plain = access == Access::Value && !through;
        let r#type = if plain { found } else { optional(found) };
        (Node::Index { operand: Box::new(operand), index: Box::new(index), access }, r#type)
    }

    fn joined(
        &mut self,
        at: usize,
        function: &str,
        parts: &[Expr],
        make: fn(Vec<Node>) -> Node,
    ) -> Inferred {
        let mut nodes = vec![];
        for part in parts {
            let (node, r#type) = self.infer(part);
            if !self.unifier.assignable(&Type::Bool, &r#type) {
                let types =
                    if nodes.is_empty() { [r#type, Type::Bool] } else { [Type::Bool, r#type] };
                self.no_overload(at, function, false, &types);
            }
            nodes.push(node);
        }
        (make(nodes), Type::Bool)
    }

    fn conditional(&mut self, at: usize, parts: &[Expr; 3]) -> Inferred {
        let [(condition, tested), (yes, first), (no, second)] =
            [&parts[0], &parts[1], &parts[2]].map(|part| self.infer(part));
        let fits = self.unifier.assignable(&Type::Bool, &tested)
            && self.unifier.assignable(&first, &second);
        if !fits {
            return self.no_overload(at, "_?_:_", false, &[tested, first, second]);
        }
        let r#type = self.unifier.general(&first, &second);
        (Node::Conditional(Box::new([condition, yes, no])), r#type)
    }

    /// An element of a list or value of a map, whose types must agree.
    fn element(&mut self, item: &Item, common: &mut Option<Type>) -> Element {
        let (value, mut r#type) = self.infer(&item.value);
        if item.optional {
            r#type = match self.unifier.resolve(&r#type) {
                Type::Optional(inner) => (*inner).clone(),
                other if other.is_dyn() => Type::Dyn,
                other => {
                    let shown = self.unifier.show(&other);
                    let message = format!("expected type 'optional_type(dyn)' but found '{shown}'");
                    self.fault(item.value.at, message).1
                }
            };
        }
        self.join(item.value.at, common, r#type);
        Element { optional: item.optional, value }
    }

    fn join(&mut self, at: usize, common: &mut Option<Type>, next: Type) {
        *common = Some(match common.take() {
            None => next,
            Some(known) if self.unifier.assignable(&known, &next) => {
                self.unifier.general(&known, &next)
            }
            Some(known) => {
                let (want, got) = (self.unifier.show(&known), self.unifier.show(&next));
                self.fault(at, format!("expected type '{want}' but found '{got}'"));
                known
            }
        });
    }

    /// `Object{...}`, `JSONPatch{...}`
    fn construct(&mut self, at: usize, name: &str, fields: &[(String, Item)]) -> Inferred {
        let object = name == "Object" || name.starts_with("Object.");
        if !self.env.makes_patches() || !(object || name == "JSONPatch") {
            return self.undeclared(at, name);
        }
        let mut elements = vec![];
        for (field, item) in fields {
            let mut r#type = None;
            let element = self.element(item, &mut r#type);
            let r#type = r#type.unwrap_or(Type::Dyn);
            let wanted = match &**field {
                _ if object => Type::Dyn,
                "op" | "path" | "from" => Type::String,
                "value" => Type::Dyn,
                _ => {
                    self.fault(item.value.at, format!("undefined field '{field}'"));
                    Type::Error
                }
            };
            if !self.unifier.assignable(&wanted, &r#type) {
                let shown = self.unifier.show(&r#type);
                let message = format!(
                    "expected type of field '{field}' is '{wanted}' but provided type is '{shown}'"
                );
                self.fault(item.value.at, message);
            }
            elements.push((Arc::from(field.as_str()), element));
        }
        let r#type = Type::Object(Arc::new(ObjectType::new(name, vec![])));
        (Node::Struct { name: name.into(), fields: elements }, r#type)
    }

    fn fold(&mut self, fold: &Fold) -> Inferred {
        let (range, range_type) = self.infer(&fold.range);
        let (key, value) = match self.unifier.resolve(&range_type) {
            Type::List(list) => (Type::Int, list.element.clone()),
            Type::Map(map) => (map.0.clone(), map.1.clone()),
            Type::Dyn | Type::Error | Type::Unknown(_) => (Type::Dyn, Type::Dyn),
            other => {
                return self.fault(
                    fold.range.at,
                    format!(
                        "expression of type '{other}' cannot be range of a comprehension (must be \
                         list, map, or dynamic)"
                    ),
                );
            }
        };
        let is_list = matches!(self.unifier.resolve(&range_type), Type::List(_));
        let outer = self.locals.len();
        match fold.variables.as_slice() {
            [index, element] => {
                self.locals.push((index.clone(), key.clone()));
                self.locals.push((element.clone(), value));
            }
            variables => {
                let name = variables.first().cloned().unwrap_or_default();
                self.locals.push((name, if is_list { value } else { key.clone() }));
            }
        }
        let filter = fold.filter.as_ref().map(|filter| {
            let (node, r#type) = self.infer(filter);
            if !self.unifier.assignable(&Type::Bool, &r#type) {
                self.no_overload(filter.at, "_?_:_", false, &[r#type, Type::Dyn, Type::Dyn]);
            }
            node
        });
        let (body, body_type) = self.infer(&fold.body);
        self.locals.truncate(outer);
        let tested = |this: &mut Self, function: &str| {
            if !this.unifier.assignable(&Type::Bool, &body_type) {
                this.no_overload(fold.body.at, function, false, &[Type::Bool, body_type.clone()]);
            }
            Type::Bool
        };
        let r#type = match fold.shape {
            Shape::All => tested(self, "_&&_"),
            Shape::Exists => tested(self, "_||_"),
            Shape::ExistsOne => tested(self, "_?_:_"),
            Shape::List => Type::list(body_type),
            Shape::Map => Type::map(key, body_type),
            Shape::Entries => match self.unifier.resolve(&body_type) {
                map @ Type::Map(_) => map,
                other if other.is_dyn() => Type::map(Type::Dyn, Type::Dyn),
                other => {
                    let message = format!("expected type 'map(dyn, dyn)' but found '{other}'");
                    return self.fault(fold.body.at, message);
                }
            },
        };
        let two = fold.variables.len() == 2;
        let fold = program::Fold { shape: fold.shape, range, two, filter, body };
        (Node::Fold(Box::new(fold)), r#type)
    }

    fn opt_map(&mut self, target: &Expr, variable: &str, body: &Expr, flat: bool) -> Inferred {
        let at = target.at;
        let (target, target_type) = self.infer(target);
        let inner = match self.unifier.resolve(&target_type) {
            Type::Optional(inner) => (*inner).clone(),
            other if other.is_dyn() => Type::Dyn,
            other => {
                let name = if flat { "optFlatMap" } else { "optMap" };
                return self.no_overload(at, name, true, &[other]);
            }
        };
        self.locals.push((variable.to_owned(), inner));
        let (body, body_type) = self.infer(body);
        self.locals.pop();
        let r#type = if flat { body_type } else { optional(body_type) };
        (Node::OptMap { target: Box::new(target), body: Box::new(body), flat }, r#type)
    }
}

/// `type` or none, once.
fn optional(r#type: Type) -> Type {
    match r#type {
        already @ Type::Optional(_) => already,
        other => Type::optional(other),
    }
}

fn constant(literal: &Literal) -> Inferred {
    let (value, r#type) = match literal {
        Literal::Null => (Value::Null, Type::Null),
        Literal::Bool(value) => (Value::Bool(*value), Type::Bool),
        Literal::Int(number) => (Value::Int(*number), Type::Int),
        Literal::Uint(number) => (Value::Uint(*number), Type::Uint),
        Literal::Double(number) => (Value::Double(*number), Type::Double),
        Literal::String(text) => (Value::string(text.as_str()), Type::String),
        Literal::Bytes(bytes) => (Value::Bytes(bytes.as_slice().into()), Type::Bytes),
    };
    (Node::Const(value), r#type)
}

/// Whether the function is there for such expressions.
fn available(env: &Env, name: &str) -> Option<&'static [functions::Overload]> {
    functions::overloads(name).filter(|_| env.makes_patches() || !functions::is_for_patches(name))
}
