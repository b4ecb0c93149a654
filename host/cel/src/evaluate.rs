//! Walks a program's tree. Depth is bounded by the parser, work by the meter.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::activation::Activation;
use crate::ast::{Access, Shape};
use crate::budget::Meter;
use crate::error::EvalError;
use crate::functions::{regex, room};
use crate::program::{Call, Element, Fold, Node, Program};
use crate::value::{Key, List, Map, Object, Value};

type Out<'a> = Result<Value<'a>, EvalError>;

const LIST: u64 = 10;
const MAP: u64 = 30;
const STRUCT: u64 = 40;
/// What a macro costs for each element besides its parts.
const STEP: u64 = 3;

pub(crate) fn evaluate<'a>(
    program: &Program,
    activation: &Activation<'a>,
    meter: &mut Meter,
) -> Out<'a> {
    let globals = program.globals.iter().map(|name| activation.get(name).cloned()).collect();
    let mut run = Run { program, globals, locals: vec![], meter };
    run.value(&program.node)
}

struct Run<'a, 'm> {
    program: &'m Program,
    globals: Vec<Option<Value<'a>>>,
    locals: Vec<Value<'a>>,
    meter: &'m mut Meter,
}

/// What a selection found.
fn missing<'a>(name: impl Into<String>) -> Out<'a> {
    Err(EvalError::NoSuchKey(name.into()))
}

impl<'a> Run<'a, '_> {
    fn value(&mut self, node: &Node) -> Out<'a> {
        match node {
            Node::Const(value) => Ok(value.clone()),
            Node::Global(index) => {
                self.meter.charge(1)?;
                match self.globals.get(*index) {
                    Some(Some(value)) => value.clone().known(),
                    _ => {
                        let name = self.program.globals.get(*index).map_or("", String::as_str);
                        Err(EvalError::failed(format!("no such attribute(s): {name}")))
                    }
                }
            }
            Node::Local(index) => {
                self.meter.charge(1)?;
                let value = self.locals.get(*index).cloned();
                value.ok_or_else(|| EvalError::failed("no such attribute(s)"))?.known()
            }
            Node::Select { operand, field, access } => self.select(operand, field, *access),
            Node::Index { operand, index, access } => {
                let operand = self.value(operand)?;
                let index = self.value(index)?;
                self.meter.charge(1)?;
                access_by(operand, *access, |value| at(value, &index))
            }
            Node::Call(call) => self.call(call),
            Node::And(parts) => self.joined(parts, false),
            Node::Or(parts) => self.joined(parts, true),
            Node::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                match self.value(condition)? {
                    Value::Bool(true) => self.value(yes),
                    Value::Bool(false) => self.value(no),
                    _ => Err(EvalError::NoSuchOverload),
                }
            }
            Node::List(elements) => {
                let mut values = Vec::with_capacity(elements.len());
                for element in elements {
                    values.extend(self.element(element)?);
                }
                self.meter.charge(LIST)?;
                Ok(Value::list(values))
            }
            Node::Map(entries) => {
                let mut map = BTreeMap::new();
                for (key, element) in entries {
                    let key = self.value(key)?;
                    let Some(value) = self.element(element)? else { continue };
                    insert(&mut map, &key, value)?;
                }
                self.meter.charge(MAP)?;
                Ok(Value::Map(Map::Values(Arc::new(map))))
            }
            Node::Struct { name, fields } => self.construct(name, fields),
            Node::Fold(fold) => self.fold(fold),
            Node::OptMap { target, body, flat } => match self.value(target)? {
                Value::Optional(None) => Ok(Value::Optional(None)),
                Value::Optional(Some(value)) => {
                    self.locals.push((*value).clone());
                    let mapped = self.value(body);
                    self.locals.pop();
                    if *flat { mapped } else { mapped.map(Value::some) }
                }
                _ => Err(EvalError::NoSuchOverload),
            },
        }
    }

    fn select(&mut self, operand: &Node, field: &str, access: Access) -> Out<'a> {
        let operand = self.value(operand)?;
        self.meter.charge(1)?;
        access_by(operand, access, |value| match value {
            Value::Map(map) => match map.select(field) {
                Some(value) => Ok(value),
                None => missing(field),
            },
            Value::Object(object) => {
                match object.fields.iter().find(|(name, _)| **name == *field) {
                    Some((_, value)) => Ok(value.clone()),
                    None => missing(field),
                }
            }
            Value::Null | Value::List(_) if access == Access::Test => missing(field),
            _ => Err(EvalError::NoSuchOverload),
        })
    }

    fn call(&mut self, call: &Call) -> Out<'a> {
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(self.value(arg)?);
        }
        let fitting = call.overloads.iter().find(|overload| overload.accepts(&args));
        let Some(overload) = fitting else { return Err(EvalError::NoSuchOverload) };
        if let Some(pattern) = &call.pattern {
            self.meter.charge(regex::cost(args[0].weight(), pattern.as_str().len()))?;
            return regex::search(call.function, self.meter, &args, Some(pattern));
        }
        overload.call(self.meter, &args)
    }

    /// `&&` until the first false, `||` until the first true: an error before it does not count.
    fn joined(&mut self, parts: &[Node], decides: bool) -> Out<'a> {
        let mut failure = None;
        for part in parts {
            match self.value(part) {
                Ok(Value::Bool(value)) if value == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failure = failure.or(Some(EvalError::NoSuchOverload)),
                Err(limit) if limit.is_limit() => return Err(limit),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(Value::Bool(!decides)), Err)
    }

    /// The value of an element; none if it is optional and empty.
    fn element(&mut self, element: &Element) -> Result<Option<Value<'a>>, EvalError> {
        let value = self.value(&element.value)?;
        if !element.optional {
            return Ok(Some(value));
        }
        match value {
            Value::Optional(None) => Ok(None),
            Value::Optional(Some(value)) => Ok(Some((*value).clone())),
            other => Err(EvalError::failed(format!(
                "cannot initialize optional entry '{}' from non-optional value",
                other.type_name()
            ))),
        }
    }

    fn construct(&mut self, name: &Arc<str>, fields: &[(Arc<str>, Element)]) -> Out<'a> {
        let mut made = Vec::with_capacity(fields.len());
        for (field, element) in fields {
            let Some(value) = self.element(element)? else { continue };
            if &**name != "JSONPatch" {
                placed(&value, &format!("{name}.{field}"))?;
            }
            made.push((field.clone(), value));
        }
        self.meter.charge(STRUCT)?;
        Ok(Value::Object(Arc::new(Object { name: name.clone(), fields: made })))
    }

    fn fold(&mut self, fold: &Fold) -> Out<'a> {
        let range = self.value(&fold.range)?;
        let outer = self.locals.len();
        let result = self.iterate(fold, &range);
        self.locals.truncate(outer);
        result
    }

    fn iterate(&mut self, fold: &Fold, range: &Value<'a>) -> Out<'a> {
        let steps = match range {
            Value::List(list) => Steps::List(list),
            Value::Map(map) => Steps::Map(map, map.keys()),
            _ => return Err(EvalError::NoSuchOverload),
        };
        let mut found = Found::new(fold.shape);
        let outer = self.locals.len();
        for index in 0..steps.len() {
            self.meter.charge(STEP)?;
            self.locals.truncate(outer);
            let Some((key, value)) = steps.get(index, fold.two) else { continue };
            self.locals.push(key.clone());
            if fold.two {
                self.locals.push(value);
            }
            if let Some(filter) = &fold.filter {
                match self.value(filter)? {
                    Value::Bool(true) => {}
                    Value::Bool(false) => continue,
                    _ => return Err(EvalError::NoSuchOverload),
                }
            }
            let body = self.value(&fold.body);
            if found.take(key, body, self.meter)? {
                break;
            }
        }
        found.finish()
    }
}

/// What a macro goes over.
enum Steps<'v, 'a> {
    List(&'v List<'a>),
    Map(&'v Map<'a>, Vec<Key<'a>>),
}

impl<'a> Steps<'_, 'a> {
    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Map(_, keys) => keys.len(),
        }
    }

    /// The element alone, or index and element; the key alone, or key and value.
    fn get(&self, index: usize, two: bool) -> Option<(Value<'a>, Value<'a>)> {
        match self {
            Self::List(list) if two => {
                Some((Value::Int(i64::try_from(index).ok()?), list.get(index)?))
            }
            Self::List(list) => Some((list.get(index)?, Value::Null)),
            Self::Map(map, keys) => {
                let key = keys.get(index)?;
                let value = if two { property(map, key)? } else { Value::Null };
                Some((key.value(), value))
            }
        }
    }
}

/// The value of a key that the map has. Keys of objects are names in data.
fn property<'a>(map: &Map<'a>, key: &Key<'a>) -> Option<Value<'a>> {
    match (map, key) {
        (Map::Json { of: crate::Type::Object(_), .. }, Key::String(name)) => {
            map.select(&crate::escape(name)?)
        }
        _ => map.get(key),
    }
}

/// What a macro has come to so far.
enum Found<'a> {
    /// `all` and `exists`: the value that decides, and the first error.
    Until(bool, bool, Option<EvalError>),
    Count(usize),
    List(Vec<Value<'a>>),
    Map(BTreeMap<Key<'a>, Value<'a>>, bool),
}

impl<'a> Found<'a> {
    fn new(shape: Shape) -> Self {
        match shape {
            Shape::All => Self::Until(false, false, None),
            Shape::Exists => Self::Until(true, false, None),
            Shape::ExistsOne => Self::Count(0),
            Shape::List => Self::List(vec![]),
            Shape::Map => Self::Map(BTreeMap::new(), false),
            Shape::Entries => Self::Map(BTreeMap::new(), true),
        }
    }

    /// Takes the body's value for one element; says whether nothing can change any more.
    fn take(
        &mut self,
        key: Value<'a>,
        body: Out<'a>,
        meter: &mut Meter,
    ) -> Result<bool, EvalError> {
        match self {
            Self::Until(decides, decided, failure) => {
                match body {
                    Ok(Value::Bool(value)) => *decided = value == *decides,
                    Ok(_) => *failure = failure.take().or(Some(EvalError::NoSuchOverload)),
                    Err(limit) if limit.is_limit() => return Err(limit),
                    Err(error) => *failure = failure.take().or(Some(error)),
                }
                Ok(*decided)
            }
            Self::Count(count) => {
                match body? {
                    Value::Bool(value) => *count += usize::from(value),
                    _ => return Err(EvalError::NoSuchOverload),
                }
                Ok(false)
            }
            Self::List(values) => {
                meter.charge(LIST + 1)?;
                values.push(body?);
                room(meter, 0).map(|()| false)
            }
            Self::Map(map, false) => {
                meter.charge(LIST + 1)?;
                insert(map, &key, body?)?;
                Ok(false)
            }
            Self::Map(map, true) => {
                meter.charge(LIST + 1)?;
                let Value::Map(entries) = body? else { return Err(EvalError::NoSuchOverload) };
                for (key, value) in entries.entries() {
                    meter.charge(1)?;
                    insert(map, &key.value(), value)?;
                }
                Ok(false)
            }
        }
    }

    fn finish(self) -> Out<'a> {
        match self {
            Self::Until(decides, true, _) => Ok(Value::Bool(decides)),
            Self::Until(_, false, Some(failure)) => Err(failure),
            Self::Until(decides, false, None) => Ok(Value::Bool(!decides)),
            Self::Count(count) => Ok(Value::Bool(count == 1)),
            Self::List(values) => Ok(Value::list(values)),
            Self::Map(map, _) => Ok(Value::Map(Map::Values(Arc::new(map)))),
        }
    }
}

fn insert<'a>(
    map: &mut BTreeMap<Key<'a>, Value<'a>>,
    key: &Value<'a>,
    value: Value<'a>,
) -> Result<(), EvalError> {
    let name = Key::of(key).filter(|_| !matches!(key, Value::Double(_)));
    let name = name
        .ok_or_else(|| EvalError::failed(format!("unsupported key type: {}", key.type_name())))?;
    if map.insert(name, value).is_some() {
        let shown = key.as_str().map_or_else(|| format!("{key:?}"), str::to_owned);
        return Err(EvalError::failed(format!("Failed with repeated key: {shown}")));
    }
    Ok(())
}

/// Selects from a value, or from what an optional value holds.
fn access_by<'a>(
    operand: Value<'a>,
    access: Access,
    get: impl FnOnce(&Value<'a>) -> Out<'a>,
) -> Out<'a> {
    let (operand, through) = match operand {
        Value::Optional(None) if access == Access::Test => return Ok(Value::Bool(false)),
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => ((*inner).clone(), true),
        plain => (plain, false),
    };
    let found = get(&operand).and_then(Value::known);
    match access {
        Access::Test => match found {
            Ok(_) => Ok(Value::Bool(true)),
            Err(error) if error.is_absence() => Ok(Value::Bool(false)),
            Err(error) => Err(error),
        },
        Access::Value if !through => found,
        Access::Value | Access::Optional => match found {
            Ok(already @ Value::Optional(_)) => Ok(already),
            Ok(value) => Ok(Value::some(value)),
            Err(error) if error.is_absence() => Ok(Value::Optional(None)),
            Err(error) => Err(error),
        },
    }
}

/// `value[index]`
fn at<'a>(value: &Value<'a>, index: &Value<'a>) -> Out<'a> {
    match value {
        Value::List(list) => {
            let Some(Key::Number { value: index, .. }) = Key::of(index) else {
                return Err(EvalError::NoSuchOverload);
            };
            let found = usize::try_from(index).ok().and_then(|index| list.get(index));
            found.ok_or(EvalError::OutOfBounds(index))
        }
        Value::Map(map) => {
            let key = Key::of(index).ok_or(EvalError::NoSuchOverload)?;
            let shown = || match index {
                Value::String(name) => name.to_string(),
                Value::Bool(value) => value.to_string(),
                Value::Int(number) => number.to_string(),
                Value::Uint(number) => number.to_string(),
                other => other.type_name().to_owned(),
            };
            map.get(&key).ok_or_else(|| EvalError::NoSuchKey(shown()))
        }
        _ => Err(EvalError::NoSuchOverload),
    }
}

/// Refuses objects under construction that stand where another type's would.
fn placed(value: &Value<'_>, path: &str) -> Result<(), EvalError> {
    match value {
        Value::Object(object) if *object.name != *path => Err(EvalError::failed(format!(
            "unexpected type name {:?}, expected {path:?}, which matches field name path from root \
             Object type",
            &*object.name
        ))),
        Value::List(List::Values(items)) => {
            let path = format!("{path}.item");
            items.iter().try_for_each(|item| placed(item, &path))
        }
        _ => Ok(()),
    }
}
