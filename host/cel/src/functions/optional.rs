//! Values that may be there or not. `optMap` and `optFlatMap` are macros.

use super::{Cost, Declared, Out, failed, no_overload};
use crate::value::Value;

pub(super) const TABLE: &[Declared] = &[
    Declared("optional.of(A) optional<A>", Cost::One, |_, args| match args {
        [value] => Ok(Value::some(value.clone())),
        _ => no_overload(),
    }),
    Declared("optional.ofNonZeroValue(A) optional<A>", Cost::One, |_, args| match args {
        [value] if is_zero(value) => Ok(Value::Optional(None)),
        [value] => Ok(Value::some(value.clone())),
        _ => no_overload(),
    }),
    Declared("optional.none() optional<A>", Cost::One, |_, _| Ok(Value::Optional(None))),
    Declared("optional<A>|hasValue() bool", Cost::One, |_, args| match args {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => no_overload(),
    }),
    Declared("optional<A>|value() A", Cost::One, |_, args| match args {
        [Value::Optional(Some(value))] => Ok((**value).clone()),
        [Value::Optional(None)] => failed("optional.none() dereference"),
        _ => no_overload(),
    }),
    Declared("optional<A>|or(optional<A>) optional<A>", Cost::One, either),
    Declared("optional<A>|orValue(A) A", Cost::One, |_, args| match args {
        [Value::Optional(Some(value)), _] => Ok((**value).clone()),
        [Value::Optional(None), other] => Ok(other.clone()),
        _ => no_overload(),
    }),
];

fn either<'a>(_: &mut crate::budget::Meter, args: &[Value<'a>]) -> Out<'a> {
    match args {
        [Value::Optional(None), other] => Ok(other.clone()),
        [first @ Value::Optional(_), _] => Ok(first.clone()),
        _ => no_overload(),
    }
}

fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => {
            true
        }
        Value::Double(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.len() == 0,
        Value::Map(map) => map.len() == 0,
        Value::Optional(value) => value.is_none(),
        _ => false,
    }
}
