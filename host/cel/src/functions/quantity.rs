//! Amounts of resources.

use coracle_api::quantity::Quantity;

use super::{Cost, Declared, Extension, Out, failed, no_overload};
use crate::budget::Meter;
use crate::value::Value;

pub(super) const TABLE: &[Declared] = &[
    Declared("quantity(string) quantity", Cost::First, |_, args| match args {
        [Value::String(text)] => match text.parse::<Quantity>() {
            Ok(amount) => Ok(Extension::Quantity(amount).into()),
            Err(error) => failed(error.to_string()),
        },
        _ => no_overload(),
    }),
    Declared("isQuantity(string) bool", Cost::First, |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(text.parse::<Quantity>().is_ok())),
        _ => no_overload(),
    }),
    Declared("quantity|sign() int", Cost::One, sign),
    Declared("sign(quantity) int", Cost::One, sign),
    Declared("quantity|isInteger() bool", Cost::One, |_, args| {
        one(args, |amount| Ok(Value::Bool(integer(amount).is_some())))
    }),
    Declared("quantity|asInteger() int", Cost::One, |_, args| {
        one(args, |amount| match integer(amount) {
            Some(number) => Ok(Value::Int(number)),
            None => failed("cannot convert value to integer"),
        })
    }),
    Declared("quantity|asApproximateFloat() double", Cost::One, |_, args| {
        one(args, |amount| Ok(Value::Double(amount.approximate())))
    }),
    Declared("quantity|add(quantity) quantity", Cost::One, |_, args| sum(args, |a, b| a + b)),
    Declared("quantity|add(int) quantity", Cost::One, |_, args| sum(args, |a, b| a + b)),
    Declared("quantity|sub(quantity) quantity", Cost::One, |_, args| sum(args, |a, b| a - b)),
    Declared("quantity|sub(int) quantity", Cost::One, |_, args| sum(args, |a, b| a - b)),
    Declared("quantity|isGreaterThan(quantity) bool", Cost::One, |_, args| {
        two(args, |a, b| Value::Bool(a > b))
    }),
    Declared("quantity|isLessThan(quantity) bool", Cost::One, |_, args| {
        two(args, |a, b| Value::Bool(a < b))
    }),
    Declared("quantity|compareTo(quantity) int", Cost::One, |_, args| {
        two(args, |a, b| Value::Int(a.cmp(&b) as i64))
    }),
];

/// The amount as an integer. The largest one stands for everything above it, too, and is none.
fn integer(amount: Quantity) -> Option<i64> {
    let number = amount.value();
    (amount.is_whole() && number.unsigned_abs() < i64::MAX.unsigned_abs()).then_some(number)
}

fn one<'a>(args: &[Value<'a>], of: fn(Quantity) -> Out<'a>) -> Out<'a> {
    match args {
        [Value::Extension(Extension::Quantity(amount))] => of(*amount),
        _ => no_overload(),
    }
}

fn sign<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    one(args, |amount| Ok(Value::Int(amount.cmp(&Quantity::ZERO) as i64)))
}

fn two<'a>(args: &[Value<'a>], of: fn(Quantity, Quantity) -> Value<'a>) -> Out<'a> {
    match args {
        [Value::Extension(Extension::Quantity(a)), Value::Extension(Extension::Quantity(b))] => {
            Ok(of(*a, *b))
        }
        _ => no_overload(),
    }
}

fn sum<'a>(args: &[Value<'a>], of: fn(Quantity, Quantity) -> Quantity) -> Out<'a> {
    match args {
        [Value::Extension(Extension::Quantity(a)), Value::Extension(Extension::Quantity(b))] => {
            Ok(Extension::Quantity(of(*a, *b)).into())
        }
        [Value::Extension(Extension::Quantity(a)), Value::Int(b)] => {
            Ok(Extension::Quantity(of(*a, Quantity::units(*b))).into())
        }
        _ => no_overload(),
    }
}
