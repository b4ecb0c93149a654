//! `== != < <= > >= in !`: numbers are compared across their types.

use std::cmp::Ordering;

use super::{Cost, Declared, Out, no_overload};
use crate::budget::Meter;
use crate::value::{Key, Value};

macro_rules! order {
    ($($sign:literal => $run:expr),* $(,)?) => {
        &[
            $(
                Declared(concat!($sign, "(bool, bool) bool"), Cost::One, $run),
                Declared(concat!($sign, "(int, int) bool"), Cost::One, $run),
                Declared(concat!($sign, "(uint, uint) bool"), Cost::One, $run),
                Declared(concat!($sign, "(double, double) bool"), Cost::One, $run),
                Declared(concat!($sign, "(int, uint) bool"), Cost::One, $run),
                Declared(concat!($sign, "(int, double) bool"), Cost::One, $run),
                Declared(concat!($sign, "(uint, int) bool"), Cost::One, $run),
                Declared(concat!($sign, "(uint, double) bool"), Cost::One, $run),
                Declared(concat!($sign, "(double, int) bool"), Cost::One, $run),
                Declared(concat!($sign, "(double, uint) bool"), Cost::One, $run),
                Declared(concat!($sign, "(string, string) bool"), Cost::Shorter, $run),
                Declared(concat!($sign, "(bytes, bytes) bool"), Cost::Shorter, $run),
                Declared(concat!($sign, "(timestamp, timestamp) bool"), Cost::One, $run),
                Declared(concat!($sign, "(duration, duration) bool"), Cost::One, $run),
            )*
            Declared("_==_(A, A) bool", Cost::Own, |meter, args| equality(meter, args, true)),
            Declared("_!=_(A, A) bool", Cost::Own, |meter, args| equality(meter, args, false)),
            Declared("@in(A, list<A>) bool", Cost::Own, contains),
            Declared("@in(A, map<A, B>) bool", Cost::One, contains),
            Declared("!_(bool) bool", Cost::One, not),
        ]
    };
}

pub(super) const TABLE: &[Declared] = order! {
    "_<_" => |_, args| ordered(args, |order| order.is_lt()),
    "_<=_" => |_, args| ordered(args, |order| order.is_le()),
    "_>_" => |_, args| ordered(args, |order| order.is_gt()),
    "_>=_" => |_, args| ordered(args, |order| order.is_ge()),
};

fn ordered<'a>(args: &[Value<'a>], wanted: fn(Ordering) -> bool) -> Out<'a> {
    match args {
        [Value::Double(a), Value::Double(b)] if a.is_nan() || b.is_nan() => Ok(Value::Bool(false)),
        [a, b] => a.compare(b).map_or_else(no_overload, |order| Ok(Value::Bool(wanted(order)))),
        _ => no_overload(),
    }
}

fn equality<'a>(meter: &mut Meter, args: &[Value<'a>], wanted: bool) -> Out<'a> {
    let [a, b] = args else { return no_overload() };
    // Scalars and short strings cost one; what is looked at beyond is charged as it is visited.
    meter.charge(1)?;
    Ok(Value::Bool(a.equals(b, meter)? == wanted))
}

fn contains<'a>(meter: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [wanted, Value::List(list)] => {
            meter.charge(list.len() as u64)?;
            for item in list.iter() {
                if item.equals(wanted, meter)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        [wanted, Value::Map(map)] => {
            let found = Key::of(wanted).is_some_and(|key| map.get(&key).is_some());
            Ok(Value::Bool(found))
        }
        _ => no_overload(),
    }
}

fn not<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Bool(value)] => Ok(Value::Bool(!value)),
        _ => no_overload(),
    }
}
