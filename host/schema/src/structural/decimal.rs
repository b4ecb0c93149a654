//! Numbers as Go prints them.

use serde_json::{Number, Value};

/// `%v` of a `float64`: the shortest digits, with an exponent where there are many of them.
pub fn float(value: f64) -> String {
    let shortest = format!("{value:e}");
    let Some((digits, exponent)) = shortest.split_once('e') else { return shortest };
    let Ok(exponent) = exponent.parse::<i32>() else { return shortest };
    if (-4..=5).contains(&exponent) || value == 0.0 {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A number of a value, as Go prints what it reads it into.
pub fn number(value: &Number) -> String {
    match value.as_i64() {
        Some(whole) => whole.to_string(),
        None => float(value.as_f64().unwrap_or_default()),
    }
}

/// A value as errors show it.
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => "\"null\"".into(),
        Value::Number(value) => number(value),
        other => other.to_string(),
    }
}

/// Whether two values are the same, `1` and `1.0` included.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_go_prints_them() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-2.5, "-2.5"),
        ] {
            assert_eq!(float(value), text);
        }
    }
}
