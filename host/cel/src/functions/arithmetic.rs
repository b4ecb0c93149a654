//! `+ - * / %` and what they mean for each type.

use super::{Cost, Declared, Out, failed, no_overload, room, text};
use crate::budget::Meter;
use crate::declaration::Merge;
use crate::value::{List, Value, identical};

pub(super) const TABLE: &[Declared] = &[
    Declared("_+_(int, int) int", Cost::One, add),
    Declared("_+_(uint, uint) uint", Cost::One, add),
    Declared("_+_(double, double) double", Cost::One, add),
    Declared("_+_(string, string) string", Cost::Both, add),
    Declared("_+_(bytes, bytes) bytes", Cost::Both, add),
    Declared("_+_(list<A>, list<A>) list<A>", Cost::One, add),
    Declared("_+_(duration, duration) duration", Cost::One, add),
    Declared("_+_(timestamp, duration) timestamp", Cost::One, add),
    Declared("_+_(duration, timestamp) timestamp", Cost::One, add),
    Declared("_-_(int, int) int", Cost::One, subtract),
    Declared("_-_(uint, uint) uint", Cost::One, subtract),
    Declared("_-_(double, double) double", Cost::One, subtract),
    Declared("_-_(duration, duration) duration", Cost::One, subtract),
    Declared("_-_(timestamp, duration) timestamp", Cost::One, subtract),
    Declared("_-_(timestamp, timestamp) duration", Cost::One, subtract),
    Declared("_*_(int, int) int", Cost::One, multiply),
    Declared("_*_(uint, uint) uint", Cost::One, multiply),
    Declared("_*_(double, double) double", Cost::One, multiply),
    Declared("_/_(int, int) int", Cost::One, divide),
    Declared("_/_(uint, uint) uint", Cost::One, divide),
    Declared("_/_(double, double) double", Cost::One, divide),
    Declared("_%_(int, int) int", Cost::One, modulus),
    Declared("_%_(uint, uint) uint", Cost::One, modulus),
    Declared("-_(int) int", Cost::One, negate),
    Declared("-_(double) double", Cost::One, negate),
];

fn int<'a>(number: Option<i64>) -> Out<'a> {
    number.map_or_else(|| failed("integer overflow"), |number| Ok(Value::Int(number)))
}

fn uint<'a>(number: Option<u64>) -> Out<'a> {
    number.map_or_else(|| failed("unsigned integer overflow"), |number| Ok(Value::Uint(number)))
}

fn duration<'a>(nanos: Option<i64>) -> Out<'a> {
    nanos.map_or_else(|| failed("duration overflow"), |nanos| Ok(Value::Duration(nanos)))
}

fn moment<'a>(from: jiff::Timestamp, nanos: Option<i64>) -> Out<'a> {
    let moment =
        nanos.and_then(|nanos| from.checked_add(jiff::SignedDuration::from_nanos(nanos)).ok());
    match moment {
        Some(moment) => Ok(Value::Timestamp(moment)),
        None => failed("timestamp overflow"),
    }
}

pub(super) fn add<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_add(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_add(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a + b)),
        [Value::String(a), Value::String(b)] => text([&**a, &**b].concat()),
        [Value::Bytes(a), Value::Bytes(b)] => Ok(Value::Bytes([&**a, &**b].concat().into())),
        [Value::List(a), Value::List(b)] => lists(meter, a, b),
        [Value::Duration(a), Value::Duration(b)] => duration(a.checked_add(*b)),
        [Value::Timestamp(a), Value::Duration(b)] | [Value::Duration(b), Value::Timestamp(a)] => {
            moment(*a, Some(*b))
        }
        _ => no_overload(),
    }
}

/// One list after the other. Lists of data that have a rule are merged by it: elements that
/// both have stand where the first has them, as the second has them.
fn lists<'a>(meter: &mut Meter, a: &List<'a>, b: &List<'a>) -> Out<'a> {
    room(meter, a.len() + b.len())?;
    let mut sum: Vec<_> = a.iter().collect();
    let Some(of) = a.of().filter(|of| of.merge != Merge::Atomic) else {
        sum.extend(b.iter());
        return Ok(Value::list(sum));
    };
    for item in b.iter() {
        let mut place = None;
        for (index, old) in sum.iter().enumerate() {
            if identical(old, &item, &of.merge, meter)? {
                place = Some(index);
                break;
            }
        }
        match place {
            Some(index) => sum[index] = item,
            None => sum.push(item),
        }
    }
    Ok(Value::List(List::Merged { items: sum.into(), of: of.clone() }))
}

fn subtract<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_sub(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_sub(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a - b)),
        [Value::Duration(a), Value::Duration(b)] => duration(a.checked_sub(*b)),
        [Value::Timestamp(a), Value::Duration(b)] => moment(*a, b.checked_neg()),
        [Value::Timestamp(a), Value::Timestamp(b)] => {
            duration(i64::try_from(a.as_nanosecond() - b.as_nanosecond()).ok())
        }
        _ => no_overload(),
    }
}

fn multiply<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Int(a), Value::Int(b)] => int(a.checked_mul(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_mul(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a * b)),
        _ => no_overload(),
    }
}

fn divide<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            failed("division by zero")
        }
        [Value::Int(a), Value::Int(b)] => int(a.checked_div(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_div(*b)),
        [Value::Double(a), Value::Double(b)] => Ok(Value::Double(a / b)),
        _ => no_overload(),
    }
}

fn modulus<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            failed("modulus by zero")
        }
        [Value::Int(a), Value::Int(b)] => int(a.checked_rem(*b)),
        [Value::Uint(a), Value::Uint(b)] => uint(a.checked_rem(*b)),
        _ => no_overload(),
    }
}

fn negate<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Int(a)] => int(a.checked_neg()),
        [Value::Double(a)] => Ok(Value::Double(-a)),
        _ => no_overload(),
    }
}
