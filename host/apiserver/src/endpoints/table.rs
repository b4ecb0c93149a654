//! Other views of objects: `meta.k8s.io/v1 Table`, whose rows the server renders, and
//! `PartialObjectMetadata`.

use bytes::{BufMut, Bytes, BytesMut};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use super::negotiate::Include;
use crate::error::{ApiError, Result};
use crate::registry::{Kind, Object};

fn encoded(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(ApiError::internal)
}

/// `columnDefinitions` of the kind.
pub(super) fn columns(kind: &dyn Kind) -> Value {
    let columns = kind.columns().iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.r#type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        })
    });
    columns.collect()
}

/// What stands before the rows of a table.
pub(super) fn head(kind: &dyn Kind, with_columns: bool, metadata: &str) -> Result<BytesMut> {
    let mut table = BytesMut::new();
    table.put_slice(br#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":"#);
    table.put_slice(metadata.as_bytes());
    table.put_slice(br#","columnDefinitions":"#);
    table.put_slice(&if with_columns { encoded(&columns(kind))? } else { b"null".to_vec() });
    table.put_slice(br#","rows":["#);
    Ok(table)
}

/// What stands behind them.
pub(super) const TAIL: &[u8] = b"]}";

/// One row.
pub(super) fn row(
    kind: &dyn Kind,
    include: Include,
    bytes: &Bytes,
    table: &mut BytesMut,
) -> Result<()> {
    let object = kind.restore(bytes)?;
    table.put_slice(br#"{"cells":"#);
    table.put_slice(&encoded(&kind.row(&*object))?);
    table.put_slice(br#","object":"#);
    match include {
        Include::None => table.put_slice(b"null"),
        Include::Metadata => table.put_slice(&partial(&*object)?),
        Include::Object => table.put_slice(bytes),
    }
    table.put_slice(b"}");
    Ok(())
}

/// A table of one object.
pub(super) fn whole(kind: &dyn Kind, include: Include, bytes: &Bytes) -> Result<Bytes> {
    let version = kind.restore(bytes)?.meta().resource_version.clone().unwrap_or_default();
    let mut table = head(kind, true, &json!({ "resourceVersion": version }).to_string())?;
    row(kind, include, bytes, &mut table)?;
    table.put_slice(TAIL);
    Ok(table.freeze())
}

/// An object without anything but its metadata.
pub(super) fn metadata(kind: &dyn Kind, bytes: &[u8]) -> Result<Vec<u8>> {
    partial(&*kind.restore(bytes)?)
}

fn partial(object: &dyn Object) -> Result<Vec<u8>> {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Partial<'a> {
        kind: &'static str,
        api_version: &'static str,
        metadata: &'a ObjectMeta,
    }
    let metadata = object.meta();
    encoded(&Partial { kind: "PartialObjectMetadata", api_version: "meta.k8s.io/v1", metadata })
}
