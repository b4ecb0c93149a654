//! What selectors and admission ask of a stored object, read from its bytes once per version.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use coracle_api::selector::{FieldSelector, Selector};
use coracle_store::Entry;

use super::{Kind, split};

/// What is remembered of a stored object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) labels: BTreeMap<String, String>,
    /// The values of the kind's selectable fields, in their order.
    fields: Vec<String>,
    pub(crate) uid: String,
    /// Whether the object is being deleted.
    pub(crate) terminating: bool,
    /// When it goes, in seconds of Unix time, if it does.
    pub(crate) deletion: Option<i64>,
    /// Which list of selectable fields the values are of: kinds that are defined at run time
    /// change theirs.
    list: usize,
}

impl Facts {
    /// What the entry of `kind` says.
    pub(crate) fn of<'a>(entry: &'a Entry, kind: &dyn Kind) -> Option<Cow<'a, Self>> {
        let list = kind.selectable().as_ptr().addr();
        let read = |bytes: &Bytes| Self { list, ..Self::read(entry, bytes, kind) };
        let known: &Self = entry.memo(read)?;
        let fits = known.list == list || known.fields.is_empty() && kind.selectable().is_empty();
        Some(if fits { Cow::Borrowed(known) } else { Cow::Owned(read(&entry.value)) })
    }

    fn read(entry: &Entry, bytes: &[u8], kind: &dyn Kind) -> Self {
        match kind.restore(bytes) {
            Ok(object) => {
                let fields = kind.select(&*object);
                let meta = object.meta();
                Self {
                    labels: meta.labels.clone().unwrap_or_default(),
                    fields,
                    uid: meta.uid.clone().unwrap_or_default(),
                    terminating: meta.deletion_timestamp.is_some(),
                    deletion: meta.deletion_timestamp.as_ref().map(|time| time.0.as_second()),
                    list: 0,
                }
            }
            Err(error) => {
                tracing::error!(key = %entry.key, %error, "a stored object cannot be read");
                Self::default()
            }
        }
    }
}

/// Which objects of a kind a request is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    pub(crate) labels: Selector,
    pub(crate) fields: FieldSelector,
}

impl Selection {
    /// Whether every object is selected.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    pub(crate) fn matches(&self, entry: &Entry, kind: &dyn Kind) -> bool {
        if self.is_everything() {
            return true;
        }
        let (namespace, name) = split(&entry.key);
        let own = |field: &str| match field {
            "metadata.name" => Some(name),
            "metadata.namespace" => Some(namespace),
            _ => None,
        };
        // Many watches follow one object by its name: that needs no look into it.
        let named =
            self.fields.terms().iter().all(|term| {
                own(&term.field).is_none_or(|value| (value == term.value) != term.negated)
            });
        if !named {
            return false;
        }
        let inside = self.fields.terms().iter().any(|term| own(&term.field).is_none());
        if self.labels.is_everything() && !inside {
            return true;
        }
        let Some(facts) = Facts::of(entry, kind) else { return false };
        self.labels.matches(&facts.labels)
            && self.fields.matches(|field| {
                own(field).unwrap_or_else(|| {
                    let at = kind.selectable().iter().position(|known| known == field);
                    at.and_then(|at| facts.fields.get(at)).map_or("", String::as_str)
                })
            })
    }

    /// The name that alone can match, if there is one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.fields.exact("metadata.name").filter(|name| !name.is_empty())
    }

    /// The first field that `kind` cannot select by.
    pub(crate) fn unsupported<'a>(&'a self, kind: &dyn Kind) -> Option<&'a str> {
        let known = |field: &str| {
            field == "metadata.name"
                || field == "metadata.namespace" && kind.names().namespaced
                || kind.selectable().iter().any(|known| known == field)
        };
        self.fields.terms().iter().map(|term| term.field.as_str()).find(|field| !known(field))
    }
}
