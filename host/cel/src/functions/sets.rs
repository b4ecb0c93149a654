//! Lists as sets.

use super::{Cost, Declared};
use crate::budget::Meter;
use crate::error::EvalError;
use crate::value::{List, Value};

pub(super) const TABLE: &[Declared] = &[
    Declared("sets.contains(list<A>, list<A>) bool", Cost::One, |meter, args| {
        let (a, b) = both(args)?;
        Ok(Value::Bool(contains(meter, a, b)?))
    }),
    Declared("sets.equivalent(list<A>, list<A>) bool", Cost::One, |meter, args| {
        let (a, b) = both(args)?;
        Ok(Value::Bool(contains(meter, a, b)? && contains(meter, b, a)?))
    }),
    Declared("sets.intersects(list<A>, list<A>) bool", Cost::One, |meter, args| {
        let (a, b) = both(args)?;
        for item in b.iter() {
            if has(meter, a, &item)? {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    }),
];

fn both<'v, 'a>(args: &'v [Value<'a>]) -> Result<(&'v List<'a>, &'v List<'a>), EvalError> {
    match args {
        [Value::List(a), Value::List(b)] => Ok((a, b)),
        _ => Err(EvalError::NoSuchOverload),
    }
}

fn has(meter: &mut Meter, list: &List<'_>, wanted: &Value<'_>) -> Result<bool, EvalError> {
    for item in list.iter() {
        meter.charge(1)?;
        if item.equals(wanted, meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn contains(meter: &mut Meter, a: &List<'_>, b: &List<'_>) -> Result<bool, EvalError> {
    for item in b.iter() {
        if !has(meter, a, &item)? {
            return Ok(false);
        }
    }
    Ok(true)
}
