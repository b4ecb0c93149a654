//! Printer columns: what `kubectl get` shows of an object
//! (`k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor`).

use coracle_api::{clock, duration};
use coracle_kinds::strategy::{AGE, NAME};
use coracle_schema::structural::decimal;
use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;
use serde_json::Value;

use super::jsonpath::JsonPath;
use crate::registry::Column;

/// The columns of a kind, and where their cells come from; the first is the name.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    pub(super) shown: Vec<Column>,
    paths: Vec<(String, Option<JsonPath>)>,
}

impl Columns {
    pub(super) fn new(defined: &[CustomResourceColumnDefinition]) -> Self {
        let mut shown = vec![NAME];
        let mut paths = vec![];
        for column in defined {
            shown.push(Column {
                name: column.name.clone().into(),
                r#type: column.type_.clone().into(),
                format: column.format.clone().unwrap_or_default().into(),
                description: column.description.clone().unwrap_or_default().into(),
                priority: column.priority.unwrap_or_default(),
            });
            paths.push((column.type_.clone(), JsonPath::new(&column.json_path)));
        }
        if defined.is_empty() {
            shown.push(Column { r#type: "date".into(), ..AGE });
            paths.push(("date".into(), JsonPath::new(".metadata.creationTimestamp")));
        }
        Self { shown, paths }
    }

    /// The cells of an object.
    pub(super) fn row(&self, name: &str, object: &Value) -> Vec<Value> {
        let cells = self.paths.iter().map(|(kind, path)| {
            let found = path.as_ref().and_then(|path| path.first(object));
            found.map_or(Value::Null, |found| cell(kind, found))
        });
        std::iter::once(Value::from(name)).chain(cells).collect()
    }
}

fn cell(kind: &str, value: &Value) -> Value {
    match (kind, value) {
        ("integer", Value::Number(number)) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => (number.as_f64().unwrap_or_default() as i64).into(),
        },
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("string", value) => text(value).into(),
        ("date", Value::String(date)) => match date.parse::<Timestamp>() {
            Ok(then) => duration::human(clock::now().duration_since(then).as_secs()).into(),
            Err(_) => "<invalid>".into(),
        },
        _ => Value::Null,
    }
}

/// A value as a text.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => decimal::number(number),
        Value::Null => "<nil>".into(),
        other => other.to_string(),
    }
}
