//! What the verbs need to know of a kind: `dyn Kind`. Built-in kinds say what is special about
//! them by [`Strategy`] on their `k8s-openapi` type; [`Builtin`] makes the two meet.

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;

use coracle_api::cause::Cause;
use coracle_schema::builtin::schema_of_kind;
use coracle_schema::managed::cut;
use coracle_schema::{FieldSet, Schema as MergeSchema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::unmarshal::mistyped;
use crate::{Conversion, Object, validation};

/// How a built-in kind is called and which forms of it are served; [`ApiResource`] is the same for
/// any kind.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// `v1`, `v1beta1`, ...
    pub version: &'static str,
    /// `ConfigMap`.
    pub kind: &'static str,
    /// `configmaps`, as paths have it.
    pub plural: &'static str,
    /// `configmap`.
    pub singular: &'static str,
    /// `cm`.
    pub short: &'static [&'static str],
    /// Under which names it is listed with others: `all`.
    pub categories: &'static [&'static str],
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a `status` subresource.
    pub status: bool,
}

/// How a kind is called and which forms of it are served, once for as long as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResource {
    /// API group; empty for the core group.
    pub group: Arc<str>,
    /// `v1`, `v1beta1`, ...
    pub version: Arc<str>,
    /// `ConfigMap`.
    pub kind: Arc<str>,
    /// The kind of lists.
    pub list: Arc<str>,
    /// `configmaps`, as paths have it.
    pub plural: Arc<str>,
    /// `configmap`.
    pub singular: Arc<str>,
    /// `cm`.
    pub short: Vec<String>,
    /// Under which names it is listed with others: `all`.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a `status` subresource.
    pub status: bool,
}

impl From<&Names> for ApiResource {
    fn from(names: &Names) -> Self {
        let owned = |list: &[&str]| list.iter().map(|&each| each.to_owned()).collect();
        Self {
            group: names.group.into(),
            version: names.version.into(),
            kind: names.kind.into(),
            list: format!("{}List", names.kind).into(),
            plural: names.plural.into(),
            singular: names.singular.into(),
            short: owned(names.short),
            categories: owned(names.categories),
            namespaced: names.namespaced,
            status: names.status,
        }
    }
}

impl ApiResource {
    /// `apps/v1`, or `v1` for the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

/// How a kind departs from the usual course of the verbs.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whether there is a `scale` subresource.
    pub scalable: bool,
    /// Whether an update of a name that does not exist creates it.
    pub create_on_update: bool,
    /// Whether an update may leave `resourceVersion` out.
    pub unconditional_update: bool,
    /// Whether a deletion answers with the object rather than with a `Status`.
    pub returns_deleted: bool,
    /// Whether updates harm nobody when lost, so that they may reach the disk late.
    pub lazy_updates: bool,
    /// Whether finalizers may have any name, rather than one with a domain.
    pub any_finalizer: bool,
    /// Whether objects are made when they are read, rather than kept: nobody writes or watches them.
    pub observed: bool,
    /// Whether the kind is about to go, so that no more objects may come.
    pub terminating: bool,
    /// What an update of the status leaves as it is.
    pub kept_by_status: &'static [&'static [&'static str]],
}

impl Rules {
    /// What holds for most kinds.
    pub const USUAL: Self = Self {
        scalable: false,
        create_on_update: false,
        unconditional_update: true,
        returns_deleted: false,
        lazy_updates: false,
        any_finalizer: false,
        observed: false,
        terminating: false,
        kept_by_status: &[&["spec"]],
    };
}

/// Which part of an object an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The object itself: everything but its status.
    Main,
    /// The `status` subresource: nothing but the status.
    Status,
}

/// A decoded body and the fields in it that the kind does not know, or that are given twice.
pub struct Decoded {
    /// The object, without its defaults.
    pub object: Box<dyn Object>,
    /// Sentences as Kubernetes words them: `unknown field "spec.foo"`.
    pub complaints: Vec<String>,
}

/// A column of `kubectl get`: `metav1.TableColumnDefinition`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub name: Cow<'static, str>,
    /// `string`, `integer`, `date`, ...
    pub r#type: Cow<'static, str>,
    /// `name` for the column that holds the object's name, else empty.
    pub format: Cow<'static, str>,
    /// What it shows.
    pub description: Cow<'static, str>,
    /// 0 for always, 1 for `-o wide` only.
    pub priority: i32,
}

/// The `scale` subresource's view of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    /// `spec.replicas`.
    pub desired: i32,
    /// `status.replicas`.
    pub current: i32,
    /// The label selector as a string.
    pub selector: String,
}

/// A kind of object as the verbs see it. One implementation for all built-in kinds; others for
/// kinds that are defined at run time.
pub trait Kind: Send + Sync + 'static {
    /// How it is called.
    fn names(&self) -> &ApiResource;
    /// How objects of this version and the stored ones become each other; nothing for the version
    /// that is stored.
    fn conversion(&self) -> Option<&dyn Conversion> {
        None
    }
    /// What brings objects into the stored version that were stored in another one before that
    /// became it, if somebody has to be asked for that.
    fn upgrade(&self) -> Option<&dyn Conversion> {
        None
    }
    /// How it departs from the usual course of the verbs.
    fn rules(&self) -> Rules;
    /// Set when the kind, as it is, is served no longer: whoever watches it begins anew.
    fn retired(&self) -> Option<&CancellationToken> {
        None
    }
    /// What callers are told because they should not use this version any longer.
    fn deprecation(&self) -> Option<&str> {
        None
    }
    /// The kind's definition in OpenAPI v3, if it is written rather than derived by
    /// [`Kind::schema`].
    fn definition(&self) -> Option<&serde_json::Value> {
        None
    }
    /// Reads JSON. Wrong types are an error; unknown and repeated fields are complaints.
    fn decode(&self, json: &[u8]) -> Result<Decoded>;
    /// Reads what was stored, without the owners of its fields: no complaints to be had.
    fn restore(&self, json: &[u8]) -> Result<Box<dyn Object>>;
    /// Fills in what the caller left out.
    fn default(&self, object: &mut dyn Object);
    /// Removes what a creator may not set.
    fn prepare_create(&self, object: &mut dyn Object);
    /// Gives a prepared object another name, after the one that was generated turned out taken.
    fn rename(&self, object: &mut dyn Object, name: String);
    /// Brings back what an update of `part` may not touch, and counts the generation.
    fn prepare_update(&self, new: &mut dyn Object, old: &dyn Object, part: Part);
    /// Brings back what an update through a subresource other than `status` may not touch, and
    /// counts the generation; the faults of the change.
    fn prepare_subresource(
        &self,
        _new: &mut dyn Object,
        _old: &dyn Object,
        _name: &str,
    ) -> Vec<Cause> {
        vec![]
    }
    /// The faults of the object's own fields; metadata is validated by the verbs.
    fn validate(&self, object: &dyn Object) -> Vec<Cause>;
    /// The faults of a new object that an older one may have, [`Kind::validate`]'s not included.
    fn validate_create(&self, _object: &dyn Object) -> Vec<Cause> {
        vec![]
    }
    /// The faults of a change, [`Kind::validate`]'s not included.
    fn validate_update(&self, new: &dyn Object, old: &dyn Object, part: Part) -> Vec<Cause>;
    /// All faults of a change.
    fn validate_change(&self, new: &dyn Object, old: &dyn Object, part: Part) -> Vec<Cause> {
        let mut causes = if part == Part::Main { self.validate(new) } else { vec![] };
        causes.extend(self.validate_update(new, old, part));
        causes
    }
    /// What the writer of a valid object should know all the same. `old` is what it replaces.
    fn warnings(&self, new: &dyn Object, old: Option<&dyn Object>) -> Vec<String>;
    /// Whether the kind accepts this as an object's name: a message if not.
    fn validate_name(&self, name: &str) -> Vec<String>;
    /// The fields that field selectors may name besides `metadata.name` and `metadata.namespace`.
    fn selectable(&self) -> &[String];
    /// Their values, in the same order.
    fn select(&self, object: &dyn Object) -> Vec<String>;
    /// The columns of its tables.
    fn columns(&self) -> &[Column];
    /// An object as a row under them.
    fn row(&self, object: &dyn Object) -> Vec<serde_json::Value>;
    /// The default grace period of a deletion in seconds: 0 means at once.
    fn grace(&self, object: &dyn Object) -> i64;
    /// What the `scale` subresource shows of an object.
    fn scale(&self, object: &dyn Object) -> Option<Scale>;
    /// What it sets.
    fn set_scale(&self, object: &mut dyn Object, desired: i32);
    /// How objects of the kind are merged.
    fn fields(&self) -> MergeSchema {
        let names = self.names();
        schema_of_kind(&names.group, &names.version, &names.kind)
            .unwrap_or_else(MergeSchema::deduced)
    }
    /// What a write through the subresource does not change, whatever it says; the empty name is
    /// the object itself.
    fn reset_fields(&self, subresource: &str) -> FieldSet<'static> {
        match subresource {
            "status" => FieldSet::of_fields(self.rules().kept_by_status),
            _ if self.names().status => FieldSet::of_fields(&[&["status"]]),
            _ => FieldSet::default(),
        }
    }
    /// The way to the field that `scale` changes.
    fn scale_field(&self) -> Vec<String> {
        vec!["spec".into(), "replicas".into()]
    }
    /// The JSON schema of the kind as `schemars` derives it.
    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema;
}

/// What is special about a built-in kind. Everything has a usual answer.
pub(crate) trait Strategy:
    kube::Resource<DynamicType = ()>
    + Serialize
    + DeserializeOwned
    + schemars::JsonSchema
    + Clone
    + Debug
    + Send
    + Sync
    + 'static
{
    const NAMES: Names;
    const RULES: Rules = Rules::USUAL;
    const COLUMNS: &'static [Column] = crate::strategy::NAME_AND_AGE;
    const SELECTABLE: &'static [&'static str] = &[];
    /// What callers are told because they should not use the kind any longer.
    const DEPRECATION: Option<&'static str> = None;
    /// The fields that are bytes, as paths; `*` is every item.
    const BYTES: &'static [&'static [&'static str]] = &[];

    /// Reads what bodies say in older ways into the fields for it, or says why it cannot.
    fn modernise(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn default_fields(&mut self) {}
    fn prepare_create(&mut self) {}
    fn rename(&mut self, name: String) {
        self.meta_mut().name = Some(name);
    }
    fn prepare_update(&mut self, _old: &Self, _part: Part) {}
    fn prepare_subresource(&mut self, _old: &Self, _name: &str) -> Vec<Cause> {
        vec![]
    }
    fn validate(&self) -> Vec<Cause> {
        vec![]
    }
    fn validate_create(&self) -> Vec<Cause> {
        vec![]
    }
    fn validate_update(&self, _old: &Self, _part: Part) -> Vec<Cause> {
        vec![]
    }
    fn warnings(&self, _old: Option<&Self>) -> Vec<String> {
        vec![]
    }
    fn validate_name(name: &str) -> Vec<String> {
        validation::dns_subdomain(name)
    }
    fn select(&self) -> Vec<String> {
        vec![]
    }
    fn row(&self) -> Vec<serde_json::Value> {
        crate::strategy::name_and_age(self)
    }
    fn grace(&self) -> i64 {
        0
    }
    fn scale(&self) -> Option<Scale> {
        None
    }
    fn set_scale(&mut self, _desired: i32) {}
}

/// A built-in kind.
pub(crate) struct Builtin<T> {
    names: ApiResource,
    selectable: Vec<String>,
    of: PhantomData<fn() -> T>,
}

impl<T: Strategy> Builtin<T> {
    pub(crate) fn kind() -> Arc<dyn Kind> {
        Arc::new(Self {
            names: ApiResource::from(&T::NAMES),
            selectable: T::SELECTABLE.iter().map(|&field| field.to_owned()).collect(),
            of: PhantomData,
        })
    }
}

/// `object` as the type of its kind. Objects of another kind cannot reach a kind's methods: the
/// verbs take both from the same line of the table.
macro_rules! typed {
    ($object:expr $(, $or:expr)?) => {
        match $object.downcast_ref::<T>() {
            Some(object) => object,
            None => return $($or)?,
        }
    };
    (mut $object:expr $(, $or:expr)?) => {
        match $object.downcast_mut::<T>() {
            Some(object) => object,
            None => return $($or)?,
        }
    };
}

/// Reads JSON, complaining about fields that the type does not have.
pub(crate) fn read<T: DeserializeOwned>(
    json: &[u8],
    complaints: &mut Vec<String>,
) -> serde_json::Result<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let object = serde_ignored::deserialize(&mut deserializer, |path| {
        complaints.push(validation::unknown_field(&path));
    })?;
    deserializer.end()?;
    Ok(object)
}

impl<T: Strategy> Kind for Builtin<T> {
    fn names(&self) -> &ApiResource {
        &self.names
    }

    fn rules(&self) -> Rules {
        T::RULES
    }

    fn deprecation(&self) -> Option<&str> {
        T::DEPRECATION
    }

    fn decode(&self, json: &[u8]) -> Result<Decoded> {
        let mut complaints = validation::repeated_fields(json);
        let repeated = complaints.len();
        let mut object: T = match read(json, &mut complaints) {
            Ok(object) => object,
            Err(error) => {
                // Most bodies have nothing of the kind where it hurts; only those that do pay for it.
                let cleared = error.is_data().then(|| validation::as_go_reads(json, T::BYTES));
                let told = |json: &[u8], error: serde_json::Error| {
                    let why = error.is_data().then(|| mistyped::<T>(json)).flatten();
                    undecodable(&self.names, &why.unwrap_or_else(|| error.to_string()))
                };
                let Some(json) = cleared.flatten() else { return Err(told(json, error)) };
                complaints.truncate(repeated);
                read(&json, &mut complaints).map_err(|error| told(&json, error))?
            }
        };
        object.modernise().map_err(|error| undecodable(&self.names, &error))?;
        Ok(Decoded { object: Box::new(object), complaints })
    }

    fn restore(&self, json: &[u8]) -> Result<Box<dyn Object>> {
        let (json, _) = cut(json);
        let object: T = serde_json::from_slice(&json)
            .map_err(|error| Error::Internal(format!("stored object: {error}")))?;
        Ok(Box::new(object))
    }

    fn default(&self, object: &mut dyn Object) {
        typed!(mut object).default_fields();
    }

    fn prepare_create(&self, object: &mut dyn Object) {
        typed!(mut object).prepare_create();
    }

    fn rename(&self, object: &mut dyn Object, name: String) {
        typed!(mut object).rename(name);
    }

    fn prepare_update(&self, new: &mut dyn Object, old: &dyn Object, part: Part) {
        typed!(mut new).prepare_update(typed!(old), part);
    }

    fn prepare_subresource(
        &self,
        new: &mut dyn Object,
        old: &dyn Object,
        name: &str,
    ) -> Vec<Cause> {
        typed!(mut new, vec![]).prepare_subresource(typed!(old, vec![]), name)
    }

    fn validate(&self, object: &dyn Object) -> Vec<Cause> {
        typed!(object, vec![]).validate()
    }

    fn validate_create(&self, object: &dyn Object) -> Vec<Cause> {
        typed!(object, vec![]).validate_create()
    }

    fn validate_update(&self, new: &dyn Object, old: &dyn Object, part: Part) -> Vec<Cause> {
        typed!(new, vec![]).validate_update(typed!(old, vec![]), part)
    }

    fn warnings(&self, new: &dyn Object, old: Option<&dyn Object>) -> Vec<String> {
        typed!(new, vec![]).warnings(old.and_then(|old| old.downcast_ref::<T>()))
    }

    fn validate_name(&self, name: &str) -> Vec<String> {
        T::validate_name(name)
    }

    fn selectable(&self) -> &[String] {
        &self.selectable
    }

    fn select(&self, object: &dyn Object) -> Vec<String> {
        typed!(object, vec![]).select()
    }

    fn columns(&self) -> &[Column] {
        T::COLUMNS
    }

    fn row(&self, object: &dyn Object) -> Vec<serde_json::Value> {
        typed!(object, vec![]).row()
    }

    fn grace(&self, object: &dyn Object) -> i64 {
        typed!(object, 0).grace()
    }

    fn scale(&self, object: &dyn Object) -> Option<Scale> {
        typed!(object, None).scale()
    }

    fn set_scale(&self, object: &mut dyn Object, desired: i32) {
        typed!(mut object).set_scale(desired);
    }

    fn schema(&self, generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        generator.subschema_for::<T>()
    }
}

/// A body that does not fit the type of its kind.
pub(crate) fn undecodable(names: &ApiResource, error: &dyn std::fmt::Display) -> Error {
    let ApiResource { kind, version, .. } = names;
    let message =
        format!("{kind} in version {version:?} cannot be handled as a {kind}: json: {error}");
    Error::Malformed(message)
}

/// Times in objects have whole seconds.
pub fn seconds(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)
}
