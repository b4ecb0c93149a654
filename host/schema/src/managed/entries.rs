//! The list itself: one entry an owner.

use std::borrow::Cow;
use std::fmt::Write;

use jiff::Timestamp;
use serde::Deserialize;

use crate::fieldset::{FieldSet, Parsed};

/// How an owner came by its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It applied a configuration.
    Apply,
    /// It wrote in any other way.
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// An owner and its fields: `metav1.ManagedFieldsEntry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The owner's name.
    pub manager: Cow<'a, str>,
    /// How it owns.
    pub operation: Operation,
    /// The version of the object that the fields are those of.
    pub api_version: Cow<'a, str>,
    /// The subresource by which it wrote; empty for the object itself.
    pub subresource: Cow<'a, str>,
    /// When it last changed anything.
    pub time: Option<Timestamp>,
    /// What it owns.
    pub fields: FieldSet<'a>,
}

impl Entry<'_> {
    /// Whether both are entries of one owner. Appliers have one whatever their version.
    pub(super) fn is_same_owner(&self, other: &Entry<'_>) -> bool {
        self.manager == other.manager
            && self.operation == other.operation
            && self.subresource == other.subresource
            && (self.operation == Operation::Apply || self.api_version == other.api_version)
    }

    /// What Kubernetes sorts owners by when it counts or shows them.
    pub(super) fn identifier(&self) -> String {
        let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let mut id = format!("{{\"manager\":{}", text(&self.manager));
        let _ = write!(id, ",\"operation\":\"{}\"", self.operation.as_str());
        if self.operation == Operation::Update {
            let _ = write!(id, ",\"apiVersion\":{}", text(&self.api_version));
        }
        if !self.subresource.is_empty() {
            let _ = write!(id, ",\"subresource\":{}", text(&self.subresource));
        }
        id.push('}');
        id
    }
}

/// A list of owners cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// It is not of that form.
    #[error("error decoding managed fields: {0}")]
    Malformed(#[from] serde_json::Error),
    /// An entry says too little, or nonsense.
    #[error("{0}")]
    Entry(String),
}

/// All owners of an object's fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Managed<'a>(pub(super) Vec<Entry<'a>>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Raw<'a> {
    #[serde(borrow)]
    manager: Cow<'a, str>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    subresource: Cow<'a, str>,
    time: Option<Timestamp>,
    #[serde(borrow)]
    fields_type: Cow<'a, str>,
    #[serde(borrow, rename = "fieldsV1")]
    fields: Option<Parsed<'a>>,
}

impl<'a> Managed<'a> {
    /// Reads the list.
    pub fn read(json: &'a [u8]) -> Result<Self, ManagedError> {
        let raw: Vec<Raw<'a>> = serde_json::from_slice(json)?;
        let mut managed = Self::default();
        for (at, raw) in raw.into_iter().enumerate() {
            let refuse = |why: String| Err(ManagedError::Entry(why));
            let operation = match &*raw.operation {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return refuse("operation must be `Apply` or `Update`".into()),
            };
            if raw.api_version.is_empty() {
                return refuse("apiVersion must not be empty".into());
            }
            match &*raw.fields_type {
                "FieldsV1" => {}
                "" => return refuse(format!("missing fieldsType in managed fields entry {at}")),
                other => {
                    let why = format!("invalid fieldsType {other:?} in managed fields entry {at}");
                    return refuse(why);
                }
            }
            let entry = Entry {
                manager: raw.manager,
                operation,
                api_version: raw.api_version,
                subresource: raw.subresource,
                time: raw.time,
                fields: raw.fields.map(|Parsed(fields)| fields).unwrap_or_default(),
            };
            managed.replace(entry);
        }
        Ok(managed)
    }

    /// Writes the list in Kubernetes' order: appliers first, then by time.
    pub fn write(&self) -> String {
        let mut entries: Vec<&Entry<'_>> = self.0.iter().collect();
        let seconds = |entry: &Entry<'_>| entry.time.map_or(0, Timestamp::as_second);
        entries.sort_by(|one, other| {
            let order = one.operation.cmp(&other.operation);
            let order = order.then_with(|| seconds(one).cmp(&seconds(other)));
            let order = order.then_with(|| one.manager.cmp(&other.manager));
            let order = order.then_with(|| one.api_version.cmp(&other.api_version));
            order.then_with(|| one.subresource.cmp(&other.subresource))
        });
        let mut out = String::with_capacity(1024);
        out.push('[');
        for (at, entry) in entries.into_iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            entry.write(&mut out);
        }
        out.push(']');
        out
    }

    /// Whether nobody owns anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, in no particular order.
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.0
    }

    /// Puts an entry in the place of its owner's, or adds it.
    pub(super) fn replace(&mut self, entry: Entry<'a>) {
        match self.0.iter_mut().find(|known| known.is_same_owner(&entry)) {
            Some(known) => *known = entry,
            None => self.0.push(entry),
        }
    }

    /// Forgets those who own nothing.
    pub(super) fn drop_empty(&mut self) {
        self.0.retain(|entry| !entry.fields.is_empty());
    }

    /// The list with every time taken from the entry of the same owner in `before`, if that is all
    /// that they differ in.
    pub fn with_times_of(&self, before: &Managed<'a>) -> Option<Self> {
        if self.0.len() != before.0.len() {
            return None;
        }
        let entries = self.0.iter().map(|entry| {
            let known = before.0.iter().find(|known| known.is_same_owner(entry))?;
            let like = Entry { time: known.time, ..entry.clone() };
            (like == *known).then_some(like)
        });
        entries.collect::<Option<Vec<_>>>().map(Managed)
    }
}

impl Entry<'_> {
    fn write(&self, out: &mut String) {
        let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let _ = write!(out, "{{\"manager\":{}", text(&self.manager));
        let _ = write!(out, ",\"operation\":\"{}\"", self.operation.as_str());
        let _ = write!(out, ",\"apiVersion\":{}", text(&self.api_version));
        if let Some(time) = self.time {
            // Whole seconds, as all times in objects.
            let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
            let _ = write!(out, ",\"time\":\"{time}\"");
        }
        out.push_str(",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
        self.fields.write(out);
        if !self.subresource.is_empty() {
            let _ = write!(out, ",\"subresource\":{}", text(&self.subresource));
        }
        out.push('}');
    }
}
