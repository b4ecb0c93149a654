//! Kubernetes' protobuf encoding, read into JSON: what typed Go clients send, kubectl among them.
//! Pure. The messages' fields stand in `fields.json`, which `fields.py` makes.

mod schema;
mod wire;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use schema::{Field, Type};
use wire::{Reader, Wire};

/// What every protobuf body of Kubernetes begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages nest no deeper than this; JSON schemas in CRDs come closest.
const DEPTH: usize = 64;

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// It does not begin as it must.
    #[error(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
    )]
    Magic,
    /// It ends too early, or is garbled.
    #[error("proto: {0}")]
    Wire(&'static str),
    /// Nothing is known of its kind.
    #[error("no kind {kind:?} is registered for version {version:?}")]
    Kind {
        /// The kind it says it has.
        kind: String,
        /// The `apiVersion` it says it has.
        version: String,
    },
}

type Result<T, E = Malformed> = std::result::Result<T, E>;

/// The object in `bytes` as JSON.
pub(crate) fn to_json(bytes: &[u8]) -> Result<Vec<u8>> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or(Malformed::Magic)?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    let mut reader = Reader::new(envelope);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                let mut reader = Reader::new(bytes);
                while let Some((number, wire)) = reader.next()? {
                    match number {
                        1 => version = wire.text()?,
                        2 => kind = wire.text()?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let Some(fields) = schema::of_kind(&version, &kind) else {
        return Err(Malformed::Kind { kind, version });
    };
    let mut object = Map::new();
    message(fields, raw, DEPTH, &mut object)?;
    object.insert("apiVersion".into(), json!(version));
    object.insert("kind".into(), json!(kind));
    Ok(Value::Object(object).to_string().into_bytes())
}

/// Reads a message into `object`.
fn message(
    fields: &[Field],
    bytes: &[u8],
    depth: usize,
    object: &mut Map<String, Value>,
) -> Result<()> {
    let depth = depth.checked_sub(1).ok_or(Malformed::Wire("nested too deeply"))?;
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        let Some(field) = fields.iter().find(|field| field.number == number) else {
            // A newer client's: Kubernetes passes over it as well.
            tracing::debug!(number, "unknown protobuf field");
            continue;
        };
        if field.inlined {
            if let Type::Message(inner) = &field.kind {
                message(schema::of_message(inner), wire.bytes()?, depth, object)?;
            }
        } else if field.map {
            let (key, value) = entry(field, wire.bytes()?, depth)?;
            let map = object.entry(&field.name).or_insert_with(|| json!({}));
            if let Value::Object(map) = map {
                map.insert(key, value);
            }
        } else if field.repeated {
            let list = object.entry(&field.name).or_insert_with(|| json!([]));
            let Value::Array(list) = list else { continue };
            match wire {
                Wire::Bytes(packed) if field.kind.is_number() => {
                    let mut reader = Reader::new(packed);
                    while let Some(number) = reader.varint()? {
                        list.push(scalar(&field.kind, Wire::Varint(number))?);
                    }
                }
                wire => list.push(value(&field.kind, wire, depth)?),
            }
        } else {
            let value = value(&field.kind, wire, depth)?;
            let empty = match &value {
                Value::Null => true,
                Value::Bool(false) => !field.pointer,
                Value::Number(number) => !field.pointer && number.as_f64() == Some(0.0),
                Value::String(text) => !field.pointer && text.is_empty(),
                _ => false,
            };
            if !empty {
                object.insert(field.name.clone(), value);
            }
        }
    }
    Ok(())
}

/// An entry of a map from strings.
fn entry(field: &Field, bytes: &[u8], depth: usize) -> Result<(String, Value)> {
    let (mut key, mut found) = (String::new(), None);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => key = wire.text()?,
            2 => found = Some(value(&field.kind, wire, depth)?),
            _ => {}
        }
    }
    let absent = || value(&field.kind, Wire::Bytes(&[]), depth);
    Ok((key, found.map_or_else(absent, Ok)?))
}

fn value(kind: &Type, wire: Wire<'_>, depth: usize) -> Result<Value> {
    let Type::Message(name) = kind else { return scalar(kind, wire) };
    let bytes = wire.bytes()?;
    match name.rsplit('/').next().unwrap_or_default() {
        "v1.Time" => time(bytes, |time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        "v1.MicroTime" => time(bytes, |time| time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()),
        "resource.Quantity" => Ok(json!(text_in(bytes)?)),
        "intstr.IntOrString" => int_or_string(bytes),
        "runtime.RawExtension" | "v1.FieldsV1" => embedded(bytes),
        _ => {
            let mut object = Map::new();
            message(schema::of_message(name), bytes, depth, &mut object)?;
            Ok(Value::Object(object))
        }
    }
}

fn scalar(kind: &Type, wire: Wire<'_>) -> Result<Value> {
    Ok(match (kind, wire) {
        (Type::Text, wire) => json!(wire.text()?),
        (Type::Bytes, wire) => json!(STANDARD.encode(wire.bytes()?)),
        (Type::Bool, Wire::Varint(number)) => json!(number != 0),
        // Negative numbers are sign-extended to 64 bits.
        (Type::Integer, Wire::Varint(number)) => json!(number.cast_signed()),
        (Type::Float, Wire::Fixed64(bits)) => json!(f64::from_bits(bits)),
        (Type::List, Wire::Bytes(bytes)) => {
            let mut list = vec![];
            let mut reader = Reader::new(bytes);
            while let Some((_, wire)) = reader.next()? {
                list.push(json!(wire.text()?));
            }
            json!(list)
        }
        _ => return Err(Malformed::Wire("wrong wire type")),
    })
}

/// Seconds and nanoseconds; nothing at all for the zero time.
fn time(bytes: &[u8], show: impl Fn(Timestamp) -> String) -> Result<Value> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Varint(number)) => seconds = number.cast_signed(),
            (2, Wire::Varint(number)) => nanoseconds = i32::try_from(number).unwrap_or_default(),
            _ => {}
        }
    }
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let time = Timestamp::new(seconds, nanoseconds);
    time.map(|time| json!(show(time))).map_err(|_| Malformed::Wire("time out of range"))
}

fn int_or_string(bytes: &[u8]) -> Result<Value> {
    let (mut is_text, mut integer, mut text) = (false, 0, String::new());
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        match (number, wire) {
            (1, Wire::Varint(kind)) => is_text = kind == 1,
            (2, Wire::Varint(number)) => integer = number.cast_signed(),
            (3, wire) => text = wire.text()?,
            _ => {}
        }
    }
    Ok(if is_text { json!(text) } else { json!(integer) })
}

/// JSON inside a message.
fn embedded(bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(bytes);
    let mut raw: &[u8] = &[];
    while let Some((number, wire)) = reader.next()? {
        if number == 1 {
            raw = wire.bytes()?;
        }
    }
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(raw).map_err(|_| Malformed::Wire("embedded object is no JSON"))
}

/// The text that is a message's first field.
fn text_in(bytes: &[u8]) -> Result<String> {
    let mut reader = Reader::new(bytes);
    let mut text = String::new();
    while let Some((number, wire)) = reader.next()? {
        if number == 1 {
            text = wire.text()?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
