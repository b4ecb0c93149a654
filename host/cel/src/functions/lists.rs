//! Kubernetes' functions of lists.

use std::cmp::Ordering;

use super::{Cost, Declared, Out, Run, arithmetic, failed, no_overload};
use crate::budget::Meter;
use crate::value::Value;

macro_rules! table {
    ($($signature:literal: $run:expr;)*) => {
        &[$(Declared($signature, Cost::Elements, $run),)*]
    };
}

pub(super) const TABLE: &[Declared] = table! {
    "list<int>|isSorted() bool": is_sorted;
    "list<uint>|isSorted() bool": is_sorted;
    "list<double>|isSorted() bool": is_sorted;
    "list<bool>|isSorted() bool": is_sorted;
    "list<string>|isSorted() bool": is_sorted;
    "list<bytes>|isSorted() bool": is_sorted;
    "list<duration>|isSorted() bool": is_sorted;
    "list<timestamp>|isSorted() bool": is_sorted;
    "list<int>|sum() int": |meter, args| sum(meter, args, Value::Int(0));
    "list<uint>|sum() uint": |meter, args| sum(meter, args, Value::Uint(0));
    "list<double>|sum() double": |meter, args| sum(meter, args, Value::Double(0.0));
    "list<duration>|sum() duration": |meter, args| sum(meter, args, Value::Duration(0));
    "list<int>|min() int": MIN;
    "list<uint>|min() uint": MIN;
    "list<double>|min() double": MIN;
    "list<bool>|min() bool": MIN;
    "list<string>|min() string": MIN;
    "list<bytes>|min() bytes": MIN;
    "list<duration>|min() duration": MIN;
    "list<timestamp>|min() timestamp": MIN;
    "list<int>|max() int": MAX;
    "list<uint>|max() uint": MAX;
    "list<double>|max() double": MAX;
    "list<bool>|max() bool": MAX;
    "list<string>|max() string": MAX;
    "list<bytes>|max() bytes": MAX;
    "list<duration>|max() duration": MAX;
    "list<timestamp>|max() timestamp": MAX;
    "list<A>|indexOf(A) int": |meter, args| index_of(meter, args, false);
    "list<A>|lastIndexOf(A) int": |meter, args| index_of(meter, args, true);
};

const MIN: Run = |_, args| extreme(args, "min", Ordering::Less);
const MAX: Run = |_, args| extreme(args, "max", Ordering::Greater);

fn is_sorted<'a>(_: &mut Meter, args: &[Value<'a>]) -> Out<'a> {
    let [Value::List(list)] = args else { return no_overload() };
    let mut last: Option<Value<'_>> = None;
    for item in list.iter() {
        if let Some(last) = &last {
            match last.compare(&item) {
                Some(Ordering::Greater) => return Ok(Value::Bool(false)),
                Some(_) => {}
                None => return no_overload(),
            }
        }
        last = Some(item);
    }
    Ok(Value::Bool(true))
}

fn sum<'a>(meter: &mut Meter, args: &[Value<'a>], zero: Value<'a>) -> Out<'a> {
    let [Value::List(list)] = args else { return no_overload() };
    list.iter().try_fold(zero, |sum, item| arithmetic::add(meter, &[sum, item]))
}

fn extreme<'a>(args: &[Value<'a>], name: &str, wanted: Ordering) -> Out<'a> {
    let [Value::List(list)] = args else { return no_overload() };
    let mut items = list.iter();
    let Some(mut best) = items.next() else {
        return failed(format!("{name} called on empty list"));
    };
    for item in items {
        match item.compare(&best) {
            Some(order) if order == wanted => best = item,
            Some(_) => {}
            None => return no_overload(),
        }
    }
    Ok(best)
}

fn index_of<'a>(meter: &mut Meter, args: &[Value<'a>], last: bool) -> Out<'a> {
    let [Value::List(list), wanted] = args else { return no_overload() };
    let mut indices: Vec<usize> = (0..list.len()).collect();
    if last {
        indices.reverse();
    }
    for index in indices {
        if list.get(index).map(|item| item.equals(wanted, meter)).transpose()? == Some(true) {
            return Ok(Value::Int(i64::try_from(index).unwrap_or(-1)));
        }
    }
    Ok(Value::Int(-1))
}
