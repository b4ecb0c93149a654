//! Work on JSON values under a schema: which fields a value has, what two values differ in, what
//! becomes of a value to which a part is applied, and whose each field is.
//!
//! Pure: values in, values out. Imports `api` and libraries, nothing else of the house; knows no
//! requests, no kinds of object and no store.
//!
//! [`tree`] is JSON, [`schema`] says how it is merged ([`builtin`] for Kubernetes' own types),
//! [`typed`] does so, and [`managed`] knows the owners of fields, which are [`fieldset`]s.
//! [`structural`] is what CustomResourceDefinitions say of their objects.

pub mod builtin;
pub mod fieldset;
pub mod managed;
pub mod path;
pub mod schema;
pub mod structural;
pub mod tree;
pub mod typed;

pub use fieldset::FieldSet;
pub use schema::Schema;
pub use tree::Tree;
