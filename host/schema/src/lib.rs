//! Work on JSON values under a schema: which fields a value has, what two values differ in, what
//! becomes of a value to which a part is applied, and whose each field is.
//!
//! Pure: values in, values out. Imports `api` and libraries, nothing else of the house; knows no
//! requests, no kinds of object and no store.
