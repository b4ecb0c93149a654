//! Numbers, and numbers or percentages.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use super::all;

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";
const POSITIVE: &str = "must be greater than 0";

pub(super) fn not_negative<N: Into<i64>>(path: &str, number: Option<N>) -> Option<Cause> {
    let number = number.map(Into::into).filter(|number| *number < 0)?;
    Some(Cause::invalid(path, number, NOT_NEGATIVE))
}

pub(super) fn positive<N: Into<i64>>(path: &str, number: Option<N>) -> Option<Cause> {
    let number = number.map(Into::into).filter(|number| *number <= 0)?;
    Some(Cause::invalid(path, number, POSITIVE))
}

/// A port's number.
pub(super) fn port(path: &str, number: i32) -> Vec<Cause> {
    let complaints = meta::port_number(number.into());
    complaints.iter().map(|complaint| Cause::invalid(path, number, complaint)).collect()
}

/// A port's number or name.
pub(super) fn port_or_name(path: &str, value: &IntOrString) -> Vec<Cause> {
    match value {
        IntOrString::Int(number) => port(path, *number),
        IntOrString::String(name) => all(path, name, meta::port_name(name)),
    }
}

/// A count that is not negative, or a percentage.
pub(super) fn count_or_percent(path: &str, value: &IntOrString) -> Vec<Cause> {
    match value {
        IntOrString::Int(number) => not_negative(path, Some(*number)).into_iter().collect(),
        IntOrString::String(text) => all(path, text, meta::percent(text)),
    }
}

/// The percentage in a value, if it is one.
pub(super) fn percent(value: &IntOrString) -> Option<i64> {
    match value {
        IntOrString::String(text) => text.strip_suffix('%')?.parse().ok(),
        IntOrString::Int(_) => None,
    }
}

pub(super) fn at_most_hundred_percent(path: &str, value: &IntOrString) -> Option<Cause> {
    percent(value).filter(|percent| *percent > 100)?;
    Some(Cause::invalid(path, json!(value), "must not be greater than 100%"))
}

/// Whether a value means nothing at all.
pub(super) fn is_nothing(value: &IntOrString) -> bool {
    matches!(value, IntOrString::Int(0)) || percent(value) == Some(0)
}
