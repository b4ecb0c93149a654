//! One kind in several versions. Objects are kept in one of them, the hub; every verb works on the
//! hub's objects, and the other versions are only forms in which bodies come and answers go.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use coracle_api::cause::Cause;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::kind::{read, undecodable};
use crate::validation;
use crate::{ApiResource, Column, Decoded, Error, Kind, Object, Part, Result, Rules, Scale};

/// How a version that is not stored and the stored one become each other. May take its time: for
/// kinds that are defined at run time somebody else may have to be asked.
#[async_trait]
pub trait Conversion: Send + Sync {
    /// The kind in the version that is stored.
    fn hub(&self) -> &dyn Kind;
    /// A decoded and completed object of this version as the hub has it.
    async fn to_hub(&self, object: Box<dyn Object>) -> Result<Box<dyn Object>>;
    /// Encoded objects of the hub in this version's form, in the same order.
    #[expect(clippy::wrong_self_convention, reason = "the counterpart of `to_hub`")]
    async fn from_hub(&self, stored: Vec<Bytes>) -> Result<Vec<Bytes>>;
    /// The faults that an object of the hub has as one that was written in this version, beside
    /// the hub's own. `old` is what it replaces.
    fn validate(&self, _new: &dyn Object, _old: Option<&dyn Object>) -> Vec<Cause> {
        vec![]
    }
    /// The hub's name of a field that this version's field selectors name, if they may.
    fn field<'a>(&self, field: &'a str) -> Option<&'a str>;
}

const LOST: &str = "the conversion lost an object";

impl dyn Kind {
    /// The kind in the version that is stored, on whose objects the verbs work.
    pub fn hub(&self) -> &dyn Kind {
        self.conversion().map_or(self, Conversion::hub)
    }

    /// Refuses what the version in which an object was written does not allow.
    pub fn allows(&self, new: &dyn Object, old: Option<&dyn Object>) -> Result<()> {
        let causes = self.conversion().map(|own| own.validate(new, old)).unwrap_or_default();
        if causes.is_empty() {
            return Ok(());
        }
        let names = self.names();
        let name = new.meta().name.as_deref().unwrap_or_default();
        Err(Error::Invalid {
            group: names.group.to_string(),
            kind: names.kind.to_string(),
            name: name.to_owned(),
            causes,
        })
    }

    /// The object that was stored, in the version that is stored now.
    pub async fn restored(&self, stored: &Bytes) -> Result<Box<dyn Object>> {
        let Some(upgrade) = self.upgrade() else { return self.restore(stored) };
        let upgraded = upgrade.from_hub(vec![stored.clone()]).await?;
        let upgraded = upgraded.first().ok_or_else(|| Error::internal(LOST))?;
        self.restore(upgraded)
    }

    /// A stored object in this version's form.
    pub async fn shown(&self, stored: Bytes) -> Result<Bytes> {
        let Some(conversion) = self.conversion() else { return Ok(stored) };
        let shown = conversion.from_hub(vec![stored]).await?;
        shown.into_iter().next().ok_or_else(|| Error::internal(LOST))
    }
}

/// What the bodies of a version are read as, where that is a type of its own.
#[derive(Clone, Copy)]
pub(crate) struct Body {
    check: fn(&[u8], &mut Vec<String>) -> serde_json::Result<()>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Body {
    pub(crate) const fn of<T: DeserializeOwned + JsonSchema>() -> Self {
        Self {
            check: |json, complaints| read::<T>(json, complaints).map(drop),
            schema: SchemaGenerator::subschema_for::<T>,
        }
    }
}

/// The rules that a version has beside the hub's, for objects that are written in its form.
#[derive(Clone, Copy)]
pub(crate) struct VersionRules {
    /// The faults of a new object.
    pub(crate) create: fn(&dyn Object) -> Vec<Cause>,
    /// The faults of a change.
    pub(crate) update: fn(&dyn Object, &dyn Object) -> Vec<Cause>,
}

/// A further version of a built-in kind: a rewriting of JSON, there and back. Its objects in memory
/// are the hub's.
pub(crate) struct Version {
    pub(crate) names: ApiResource,
    pub(crate) hub: Arc<dyn Kind>,
    /// Its own type; without one the hub's is also its.
    pub(crate) body: Option<Body>,
    /// What its field selectors may name, with the hub's names for it; the same as the hub's if
    /// this is empty.
    pub(crate) fields: &'static [(&'static str, &'static str)],
    /// Turns this version's form into the hub's, what it leaves out completed as it means it.
    pub(crate) into_hub: fn(&mut Map<String, Value>),
    /// Turns the hub's form into this version's.
    pub(crate) out_of_hub: fn(&mut Map<String, Value>),
    pub(crate) rules: Option<VersionRules>,
}

impl Version {
    /// The hub's encoding of this version's.
    fn rewrite(&self, json: &[u8]) -> Result<Vec<u8>> {
        let fault = |error| undecodable(&self.names, &error);
        let mut object: Map<String, Value> = serde_json::from_slice(json).map_err(fault)?;
        let own = [("apiVersion", self.names.api_version()), ("kind", self.names.kind.to_string())];
        for (field, own) in own {
            let given = object.get(field).and_then(Value::as_str).unwrap_or(&own);
            if given != own {
                let message = format!("{field} {given:?} is not {own:?}");
                return Err(Error::Malformed(message));
            }
        }
        (self.into_hub)(&mut object);
        name(&mut object, self.hub.names());
        serde_json::to_vec(&object).map_err(Error::internal)
    }
}

/// Puts a version's names into an object.
fn name(object: &mut Map<String, Value>, names: &ApiResource) {
    object.insert("apiVersion".into(), names.api_version().into());
    object.insert("kind".into(), (*names.kind).into());
}

#[async_trait]
impl Conversion for Version {
    fn hub(&self) -> &dyn Kind {
        &*self.hub
    }

    async fn to_hub(&self, object: Box<dyn Object>) -> Result<Box<dyn Object>> {
        Ok(object)
    }

    async fn from_hub(&self, stored: Vec<Bytes>) -> Result<Vec<Bytes>> {
        let shown = stored.iter().map(|stored| {
            let mut object: Map<String, Value> = serde_json::from_slice(stored)?;
            (self.out_of_hub)(&mut object);
            name(&mut object, &self.names);
            serde_json::to_vec(&object).map(Bytes::from)
        });
        shown.collect::<serde_json::Result<_>>().map_err(Error::internal)
    }

    fn validate(&self, new: &dyn Object, old: Option<&dyn Object>) -> Vec<Cause> {
        match (&self.rules, old) {
            (None, _) => vec![],
            (Some(rules), None) => (rules.create)(new),
            (Some(rules), Some(old)) => (rules.update)(new, old),
        }
    }

    fn field<'a>(&self, field: &'a str) -> Option<&'a str> {
        if self.fields.is_empty() || field.starts_with("metadata.") {
            return Some(field);
        }
        self.fields.iter().find(|(own, _)| *own == field).map(|(_, hubs)| *hubs)
    }
}

impl Kind for Version {
    fn names(&self) -> &ApiResource {
        &self.names
    }

    fn conversion(&self) -> Option<&dyn Conversion> {
        Some(self)
    }

    fn rules(&self) -> Rules {
        self.hub.rules()
    }

    fn decode(&self, json: &[u8]) -> Result<Decoded> {
        let mut complaints = validation::repeated_fields(json);
        let cleared = validation::as_go_reads(json, &[]);
        let json = cleared.as_deref().unwrap_or(json);
        if let Some(body) = &self.body {
            (body.check)(json, &mut complaints)
                .map_err(|error| undecodable(&self.names, &error))?;
        }
        let decoded = self.hub.decode(&self.rewrite(json)?)?;
        if self.body.is_none() {
            complaints.extend(decoded.complaints);
        }
        Ok(Decoded { object: decoded.object, complaints })
    }

    fn restore(&self, json: &[u8]) -> Result<Box<dyn Object>> {
        self.hub.restore(&self.rewrite(json)?)
    }

    fn default(&self, object: &mut dyn Object) {
        self.hub.default(object);
    }

    fn prepare_create(&self, object: &mut dyn Object) {
        self.hub.prepare_create(object);
    }

    fn rename(&self, object: &mut dyn Object, name: String) {
        self.hub.rename(object, name);
    }

    fn prepare_update(&self, new: &mut dyn Object, old: &dyn Object, part: Part) {
        self.hub.prepare_update(new, old, part);
    }

    fn validate(&self, object: &dyn Object) -> Vec<Cause> {
        self.hub.validate(object)
    }

    fn validate_update(&self, new: &dyn Object, old: &dyn Object, part: Part) -> Vec<Cause> {
        self.hub.validate_update(new, old, part)
    }

    fn warnings(&self, new: &dyn Object, old: Option<&dyn Object>) -> Vec<String> {
        self.hub.warnings(new, old)
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        self.hub.validate_name(name)
    }

    fn selectable(&self) -> &[String] {
        self.hub.selectable()
    }

    fn select(&self, object: &dyn Object) -> Vec<String> {
        self.hub.select(object)
    }

    fn columns(&self) -> &[Column] {
        self.hub.columns()
    }

    fn row(&self, object: &dyn Object) -> Vec<Value> {
        self.hub.row(object)
    }

    fn grace(&self, object: &dyn Object) -> i64 {
        self.hub.grace(object)
    }

    fn scale(&self, object: &dyn Object) -> Option<Scale> {
        self.hub.scale(object)
    }

    fn set_scale(&self, object: &mut dyn Object, desired: i32) {
        self.hub.set_scale(object, desired);
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        match &self.body {
            Some(body) => (body.schema)(generator),
            None => self.hub.schema(generator),
        }
    }
}
