//! The fields of Kubernetes' messages.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Bool,
    Integer,
    Float,
    Bytes,
    /// A message whose only field is a list of texts, shown as that list.
    List,
    Message(String),
}

impl Type {
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Bool | Self::Integer)
    }
}

/// A field of a message.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    /// Its name in JSON.
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) repeated: bool,
    pub(super) map: bool,
    /// Whether nothing and zero are different things.
    pub(super) pointer: bool,
    /// Whether JSON shows its fields in place of it.
    pub(super) inlined: bool,
}

/// Messages by package and name, as in `api/core/v1.Pod`.
static MESSAGES: LazyLock<HashMap<String, Vec<Field>>> = LazyLock::new(|| {
    type Row = (u64, String, String, String);
    let rows: HashMap<String, Vec<Row>> =
        serde_json::from_str(include_str!("fields.json")).unwrap_or_default();
    let messages = rows.into_iter().map(|(message, rows)| {
        let fields = rows.into_iter().map(|(number, name, kind, flags)| Field {
            number,
            name,
            kind: match kind.as_str() {
                "s" => Type::Text,
                "b" => Type::Bool,
                "i" => Type::Integer,
                "f" => Type::Float,
                "x" => Type::Bytes,
                "l" => Type::List,
                _ => Type::Message(kind),
            },
            repeated: flags.contains('r'),
            map: flags.contains('m'),
            pointer: flags.contains('p'),
            inlined: flags.contains('n'),
        });
        (message, fields.collect())
    });
    messages.collect()
});

/// The fields of a message; none if it is unknown.
pub(super) fn of_message(name: &str) -> &'static [Field] {
    MESSAGES.get(name).map(Vec::as_slice).unwrap_or_default()
}

/// The fields of a kind.
pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("core", api_version));
    // `rbac.authorization.k8s.io` lives in `rbac`.
    let package = group.split('.').next().unwrap_or(group);
    let own = MESSAGES.get(&format!("api/{package}/{version}.{kind}"));
    // Options may be sent in any group's name.
    let shared = || MESSAGES.get(&format!("apimachinery/pkg/apis/meta/v1.{kind}"));
    own.or_else(shared).map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_that_is_named_is_known() {
        // Those that JSON shows in a way of their own.
        let special = ["Time", "MicroTime", "Quantity", "IntOrString", "RawExtension", "FieldsV1"];
        assert!(MESSAGES.len() > 400);
        for field in MESSAGES.values().flatten() {
            if let Type::Message(name) = &field.kind {
                let short = name.rsplit('.').next().unwrap();
                assert!(MESSAGES.contains_key(name) || special.contains(&short), "{name}");
            }
        }
    }
}
