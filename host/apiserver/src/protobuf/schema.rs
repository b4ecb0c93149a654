//! The fields of Kubernetes' messages, as `fields.json` lists them.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Bool,
    Integer,
    Float,
    Bytes,
    /// A message whose only field is a list of texts, shown as that list.
    Texts,
    /// Seconds and nanoseconds; seconds are shown.
    Time,
    /// The same; microseconds are shown.
    MicroTime,
    /// A message whose only field is a text, shown as that text.
    Quantity,
    IntOrString,
    /// A message whose only field is JSON, shown as what it says.
    Json,
    /// `JSONSchemaPropsOrArray`, `...OrBool`, `...OrStringArray`: a schema, or something else.
    SchemaOr(Else),
    /// A message, by its place in the table.
    Message(usize),
}

/// What may stand in place of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Else {
    Schemas,
    Bool,
    Texts,
}

impl Type {
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Bool | Self::Integer)
    }
}

/// A field of a message.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// Its name in JSON.
    pub(super) name: Box<str>,
    pub(super) kind: Type,
    pub(super) repeated: bool,
    pub(super) map: bool,
    /// Whether nothing and zero are different things.
    pub(super) pointer: bool,
    /// Whether JSON shows its fields in place of it.
    pub(super) inlined: bool,
}

/// A message.
#[derive(Debug)]
pub(crate) struct Message {
    /// As in `core/v1.Pod`.
    pub(super) name: String,
    /// In the order of their numbers.
    fields: Vec<Field>,
    /// The fields that JSON shows in it, in the order of their names: each with the numbers of the
    /// messages around it that JSON does not show.
    shown: Vec<(Vec<u32>, Field)>,
}

impl Message {
    pub(super) fn field(&self, number: u64) -> Option<&Field> {
        let number = u32::try_from(number).ok()?;
        let at = self.fields.binary_search_by_key(&number, |field| field.number);
        at.ok().and_then(|at| self.fields.get(at))
    }

    /// Every field that JSON shows.
    #[cfg(test)]
    pub(super) fn every(&self) -> impl Iterator<Item = &Field> {
        self.shown.iter().map(|(_, field)| field)
    }

    /// The field that JSON shows under that name.
    pub(super) fn shown(&'static self, name: &str) -> Option<&'static (Vec<u32>, Field)> {
        let at = self.shown.binary_search_by(|(_, field)| (*field.name).cmp(name));
        at.ok().and_then(|at| self.shown.get(at))
    }
}

struct Schema {
    messages: Vec<Message>,
    by_name: HashMap<String, usize>,
    schema_props: usize,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(load);

fn load() -> Schema {
    type Row = (u32, Box<str>, String, String);
    let rows: HashMap<String, Vec<Row>> =
        serde_json::from_str(include_str!("fields.json")).unwrap_or_default();
    let by_name: HashMap<String, usize> =
        rows.keys().enumerate().map(|(at, name)| (name.clone(), at)).collect();
    let type_of = |text: &str| match text {
        "s" => Type::Text,
        "b" => Type::Bool,
        "i" => Type::Integer,
        "f" => Type::Float,
        "x" => Type::Bytes,
        "l" => Type::Texts,
        "meta/v1.Time" => Type::Time,
        "meta/v1.MicroTime" => Type::MicroTime,
        "resource.Quantity" => Type::Quantity,
        "intstr.IntOrString" => Type::IntOrString,
        "runtime.RawExtension" | "meta/v1.FieldsV1" | "apiextensions/v1.JSON" => Type::Json,
        "apiextensions/v1.JSONSchemaPropsOrArray" => Type::SchemaOr(Else::Schemas),
        "apiextensions/v1.JSONSchemaPropsOrBool" => Type::SchemaOr(Else::Bool),
        "apiextensions/v1.JSONSchemaPropsOrStringArray" => Type::SchemaOr(Else::Texts),
        // The test below keeps every name known.
        name => Type::Message(by_name.get(name).copied().unwrap_or(usize::MAX)),
    };
    let mut messages: Vec<Message> = rows
        .into_iter()
        .map(|(name, rows)| {
            let fields = rows.into_iter().map(|(number, name, kind, flags)| Field {
                number,
                name,
                kind: type_of(&kind),
                repeated: flags.contains('r'),
                map: flags.contains('m'),
                pointer: flags.contains('p'),
                inlined: flags.contains('n'),
            });
            Message { name, fields: fields.collect(), shown: vec![] }
        })
        .collect();
    // The map was not changed in between, so that names and messages came in the same order.
    let shown: Vec<_> = messages
        .iter()
        .map(|message| {
            let mut shown = vec![];
            flatten(&messages, message, &mut vec![], &mut shown);
            shown.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
            shown
        })
        .collect();
    for (message, shown) in messages.iter_mut().zip(shown) {
        message.shown = shown;
    }
    let schema_props = by_name.get("apiextensions/v1.JSONSchemaProps").copied();
    Schema { messages, by_name, schema_props: schema_props.unwrap_or(usize::MAX) }
}

fn flatten(
    messages: &[Message],
    message: &Message,
    around: &mut Vec<u32>,
    shown: &mut Vec<(Vec<u32>, Field)>,
) {
    for field in &message.fields {
        match field.kind {
            Type::Message(inner) if field.inlined => {
                let Some(inner) = messages.get(inner) else { continue };
                around.push(field.number);
                flatten(messages, inner, around, shown);
                around.pop();
            }
            _ => shown.push((around.clone(), field.clone())),
        }
    }
}

/// The message at that place.
pub(super) fn message(at: usize) -> Option<&'static Message> {
    SCHEMA.messages.get(at)
}

/// `JSONSchemaProps`.
pub(super) fn schema_props() -> Type {
    Type::Message(SCHEMA.schema_props)
}

/// The groups whose packages are not called like them.
pub(super) const GROUPS: &[(&str, &str)] = &[
    ("", "core"),
    ("admissionregistration.k8s.io", "admissionregistration"),
    ("apidiscovery.k8s.io", "apidiscovery"),
    ("apiextensions.k8s.io", "apiextensions"),
    ("apiregistration.k8s.io", "apiregistration"),
    ("apps", "apps"),
    ("authentication.k8s.io", "authentication"),
    ("authorization.k8s.io", "authorization"),
    ("autoscaling", "autoscaling"),
    ("batch", "batch"),
    ("certificates.k8s.io", "certificates"),
    ("coordination.k8s.io", "coordination"),
    ("discovery.k8s.io", "discovery"),
    ("events.k8s.io", "events"),
    ("extensions", "extensions"),
    ("flowcontrol.apiserver.k8s.io", "flowcontrol"),
    ("internal.apiserver.k8s.io", "apiserverinternal"),
    ("meta.k8s.io", "meta"),
    ("networking.k8s.io", "networking"),
    ("node.k8s.io", "node"),
    ("policy", "policy"),
    ("rbac.authorization.k8s.io", "rbac"),
    ("resource.k8s.io", "resource"),
    ("scheduling.k8s.io", "scheduling"),
    ("storage.k8s.io", "storage"),
    ("storagemigration.k8s.io", "storagemigration"),
];

/// What every group has in common: options, which are sent in the name of the group that they
/// are for, and answers.
const SHARED: &[&str] = &[
    "APIGroup",
    "APIGroupList",
    "APIResourceList",
    "APIVersions",
    "CreateOptions",
    "DeleteOptions",
    "PatchOptions",
    "Status",
    "UpdateOptions",
];

/// The message of a kind, if Kubernetes has one.
pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<&'static Message> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let package = GROUPS.iter().find(|(known, _)| *known == group).map(|(_, package)| *package)?;
    let named = |name: &str| SCHEMA.by_name.get(name).and_then(|at| message(*at));
    // The metadata of an object is the same in both versions of its group.
    let shared = || {
        let shared = package == "meta" || SHARED.contains(&kind);
        shared.then(|| named(&format!("meta/v1.{kind}"))).flatten()
    };
    named(&format!("{package}/{version}.{kind}")).or_else(shared)
}

#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static Message> {
    SCHEMA.messages.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_that_is_named_is_known() {
        assert!(all().count() > 900);
        for message in all() {
            assert!(message.fields.is_sorted_by_key(|field| field.number), "{}", message.name);
            let unique = message.shown.windows(2).all(|two| two[0].1.name != two[1].1.name);
            assert!(unique, "{}", message.name);
            for field in &message.fields {
                if let Type::Message(at) = field.kind {
                    assert!(super::message(at).is_some(), "{}: {}", message.name, field.name);
                }
            }
        }
        assert_eq!(of_kind("v1", "Pod").unwrap().name, "core/v1.Pod");
        assert_eq!(of_kind("apps/v1", "DeleteOptions").unwrap().name, "meta/v1.DeleteOptions");
        assert_eq!(of_kind("example.com/v1", "Pod").map(|message| &message.name), None);
        assert_eq!(of_kind("apps.example.com/v1", "Deployment").map(|message| &message.name), None);
    }

    #[test]
    fn fields_are_found_where_json_shows_them() {
        let volume = of_kind("v1", "Pod").unwrap();
        let Type::Message(spec) = volume.field(2).unwrap().kind else { panic!() };
        let Type::Message(volume) = message(spec).unwrap().shown("volumes").unwrap().1.kind else {
            panic!()
        };
        let (around, field) = message(volume).unwrap().shown("emptyDir").unwrap();
        assert_eq!((&around[..], field.number), (&[2][..], 2));
        assert!(message(volume).unwrap().shown("volumeSource").is_none());
    }
}
