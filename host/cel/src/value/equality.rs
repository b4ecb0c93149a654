//! When values are the same, and which of them is less. Every part looked at is charged.

use std::cmp::Ordering;

use super::{Key, List, Map, Value};
use crate::budget::Meter;
use crate::declaration::Merge;
use crate::error::EvalError;

type Out<T> = Result<T, EvalError>;

impl Value<'_> {
    /// Whether both are the same. Values of different types are not, numbers excepted.
    pub(crate) fn equals(&self, other: &Value<'_>, meter: &mut Meter) -> Out<bool> {
        meter.visit(1)?;
        Ok(match (self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::String(a), Value::String(b)) => {
                meter.visit(a.len().min(b.len()))?;
                **a == **b
            }
            (Self::Bytes(a), Value::Bytes(b)) => {
                meter.visit(a.len().min(b.len()))?;
                a == b
            }
            (Self::Duration(a), Value::Duration(b)) => a == b,
            (Self::Timestamp(a), Value::Timestamp(b)) => a == b,
            (Self::Type(a), Value::Type(b)) => **a == **b,
            (Self::List(a), Value::List(b)) => lists(a, b, meter)?,
            (Self::Map(a), Value::Map(b)) => maps(a, b, meter)?,
            (Self::Optional(None), Value::Optional(None)) => true,
            (Self::Optional(Some(a)), Value::Optional(Some(b))) => a.equals(b, meter)?,
            (Self::Object(a), Value::Object(b)) => {
                if a.name != b.name || a.fields.len() != b.fields.len() {
                    return Ok(false);
                }
                for (name, value) in &a.fields {
                    let Some((_, other)) = b.fields.iter().find(|(b, _)| b == name) else {
                        return Ok(false);
                    };
                    if !value.equals(other, meter)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Self::Extension(a), Value::Extension(b)) => a.equals(b),
            (Self::Failed(error), _) | (_, Value::Failed(error)) => return Err((**error).clone()),
            (a, b) => numbers(a, b) == Some(Ordering::Equal),
        })
    }

    /// Which is less; none if they are not to be compared.
    pub(crate) fn compare(&self, other: &Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
            (Self::String(a), Value::String(b)) => Some((**a).cmp(&**b)),
            (Self::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            (Self::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
            (a, b) => numbers(a, b),
        }
    }
}

/// Compares numbers across their types.
fn numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    let whole = |value: &Value<'_>| match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Uint(number) => Some(i128::from(*number)),
        _ => None,
    };
    match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), b) => double(*a, whole(b)?),
        (a, Value::Double(b)) => double(*b, whole(a)?).map(Ordering::reverse),
        (a, b) => Some(whole(a)?.cmp(&whole(b)?)),
    }
}

/// Compares exactly: not every 64-bit integer is a double.
#[expect(clippy::cast_possible_truncation, reason = "bounded before")]
fn double(a: f64, b: i128) -> Option<Ordering> {
    if a.is_nan() {
        return None;
    }
    if a.abs() >= 1e30 {
        return Some(if a > 0.0 { Ordering::Greater } else { Ordering::Less });
    }
    let floor = a.floor();
    Some((floor as i128).cmp(&b).then(if a > floor { Ordering::Greater } else { Ordering::Equal }))
}

fn lists(a: &List<'_>, b: &List<'_>, meter: &mut Meter) -> Out<bool> {
    if a.len() != b.len() {
        return Ok(false);
    }
    let rule = a.of().or(b.of()).map_or(&Merge::Atomic, |of| &of.merge);
    if *rule == Merge::Atomic {
        for (a, b) in a.iter().zip(b.iter()) {
            if !a.equals(&b, meter)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    // Sets and lists by key: the order does not matter.
    for a in a.iter() {
        let mut found = false;
        for b in b.iter() {
            if identical(&a, &b, rule, meter)? {
                found = *rule == Merge::Set || a.equals(&b, meter)?;
                break;
            }
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether two elements of a list are the same element by the list's rule.
pub(crate) fn identical(
    a: &Value<'_>,
    b: &Value<'_>,
    rule: &Merge,
    meter: &mut Meter,
) -> Out<bool> {
    let keys = match rule {
        Merge::Map(keys) => keys,
        Merge::Set => return a.equals(b, meter),
        Merge::Atomic => return Ok(false),
    };
    let (Value::Map(a), Value::Map(b)) = (a, b) else { return Ok(false) };
    for key in keys {
        let name = crate::escape(key).unwrap_or_else(|| key.into());
        match (a.select(&name), b.select(&name)) {
            (None, None) => {}
            (Some(a), Some(b)) if a.equals(&b, meter)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn maps(a: &Map<'_>, b: &Map<'_>, meter: &mut Meter) -> Out<bool> {
    if a.len() != b.len() {
        return Ok(false);
    }
    let b: std::collections::BTreeMap<Key<'_>, Value<'_>> = b.entries().into_iter().collect();
    for (key, a) in a.entries() {
        match b.get(&key) {
            Some(b) if a.equals(b, meter)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}
