//! Other views of objects: `meta.k8s.io/v1 Table`, whose rows the server renders, and
//! `PartialObjectMetadata`.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::negotiate::Include;
use crate::error::{ApiError, Result};
use crate::registry::Kind;

fn encoded(value: &impl Serialize) -> Result<Vec<u8>> {
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

/// What stands before the rows of a table of that version.
pub(super) fn head(
    kind: &dyn Kind,
    with_columns: bool,
    version: &str,
    metadata: &str,
) -> Result<BytesMut> {
    let mut table = BytesMut::new();
    table.put_slice(br#"{"kind":"Table","apiVersion":""#);
    table.put_slice(version.as_bytes());
    table.put_slice(br#"","metadata":"#);
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
    version: &str,
    bytes: &Bytes,
    table: &mut BytesMut,
) -> Result<()> {
    let object = kind.restore(bytes)?;
    table.put_slice(br#"{"cells":"#);
    table.put_slice(&encoded(&kind.row(&*object))?);
    table.put_slice(br#","object":"#);
    match include {
        Include::None => table.put_slice(b"null"),
        Include::Metadata => table.put_slice(&metadata(version, bytes)?),
        Include::Object => table.put_slice(bytes),
    }
    table.put_slice(b"}");
    Ok(())
}

/// A table of one object.
pub(super) fn whole(
    kind: &dyn Kind,
    include: Include,
    version: &str,
    bytes: &Bytes,
) -> Result<Bytes> {
    let own = kind.restore(bytes)?.meta().resource_version.clone().unwrap_or_default();
    let metadata = json!({ "resourceVersion": own }).to_string();
    let mut table = head(kind, true, version, &metadata)?;
    row(kind, include, version, bytes, &mut table)?;
    table.put_slice(TAIL);
    Ok(table.freeze())
}

/// An object without anything but its metadata, in that version of `PartialObjectMetadata`.
pub(super) fn metadata(version: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow)]
        metadata: &'a RawValue,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Partial<'a> {
        kind: &'static str,
        api_version: &'a str,
        metadata: &'a RawValue,
    }
    let Whole { metadata } = serde_json::from_slice(bytes).map_err(ApiError::internal)?;
    encoded(&Partial { kind: "PartialObjectMetadata", api_version: version, metadata })
}
