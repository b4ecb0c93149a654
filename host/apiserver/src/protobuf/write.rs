//! JSON text to protobuf, in one pass and without a tree in between. What is written reads as the
//! same object; like every writer of protobuf it says nothing of what is not there.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::MAGIC;
use super::schema::{self, Else, Field, Message, Type};
use super::wire::{bytes, close, float, integer, open};

/// A kind that can be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind(&'static Message);

/// What cannot be written: JSON that is no object of the kind.
#[derive(Debug, thiserror::Error)]
#[error("cannot be written as protobuf: {0}")]
pub(crate) struct Unwritable(#[from] serde_json::Error);

type Result<T, E = Unwritable> = std::result::Result<T, E>;

impl Kind {
    /// The kind of that name, if Kubernetes has protobuf for it.
    pub(crate) fn find(api_version: &str, kind: &str) -> Option<Self> {
        schema::of_kind(api_version, kind).map(Self)
    }

    /// Appends the object that `json` is, with its envelope. Nothing but metadata is read if this
    /// is `PartialObjectMetadata`.
    pub(crate) fn object(
        self,
        api_version: &str,
        kind: &str,
        json: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        enveloped(api_version, kind, out, |out| self.body(json, out))
    }

    /// A list of the objects in `items`, if this is a kind of list; `metadata` is the list's own as
    /// JSON.
    pub(crate) fn list<'a>(
        self,
        api_version: &str,
        kind: &str,
        metadata: &str,
        items: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<u8>> {
        let field = |name| self.0.shown(name).map(|(_, field)| (field.number, field.kind));
        let (Some((own, meta)), Some((number, item))) = (field("metadata"), field("items")) else {
            return Err(Unwritable(serde_json::Error::custom("not a list")));
        };
        let nested = |kind: Type, number: u32, json: &[u8], out: &mut Vec<u8>| -> Result<()> {
            let Type::Message(at) = kind else { return Ok(()) };
            let Some(message) = schema::message(at) else { return Ok(()) };
            let start = open(number, out);
            Self(message).body(json, out)?;
            close(start, out);
            Ok(())
        };
        let mut out = vec![];
        enveloped(api_version, kind, &mut out, |out| {
            nested(meta, own, metadata.as_bytes(), out)?;
            items.into_iter().try_for_each(|json| nested(item, number, json, out))
        })?;
        Ok(out)
    }

    fn body(self, json: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        Body { message: self.0, out }.deserialize(&mut deserializer)?;
        Ok(deserializer.end()?)
    }
}

/// What every answer begins with: who it is.
fn enveloped(
    api_version: &str,
    kind: &str,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    out.extend_from_slice(MAGIC);
    let start = open(1, out);
    bytes(1, api_version.as_bytes(), out);
    bytes(2, kind.as_bytes(), out);
    close(start, out);
    let start = open(2, out);
    body(out)?;
    close(start, out);
    // Encoding and media type: there is nothing to say, and Kubernetes says it.
    bytes(3, b"", out);
    bytes(4, b"", out);
    Ok(())
}

/// A frame of a watch: an event about an object in its envelope.
pub(crate) fn event(type_: &str, object: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(object.len() + 32);
    out.extend_from_slice(&[0; 4]);
    bytes(1, type_.as_bytes(), &mut out);
    let extension = open(2, &mut out);
    bytes(1, object, &mut out);
    close(extension, &mut out);
    let length = u32::try_from(out.len() - 4).unwrap_or(u32::MAX);
    if let Some(place) = out.first_chunk_mut() {
        *place = length.to_be_bytes();
    }
    out
}

/// The content of a message, from a JSON object.
struct Body<'a> {
    message: &'static Message,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Body<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object that is a {}", self.message.name)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { message, out } = self;
        while let Some(found) = map.next_key_seed(Key(message))? {
            let Some((around, field)) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let before = out.len();
            let mut opened = [0; 4];
            for (number, start) in around.iter().zip(&mut opened) {
                *start = open(*number, out);
            }
            let inside = out.len();
            map.next_value_seed(Slot { field, number: field.number, whole: true, out })?;
            if out.len() == inside {
                out.truncate(before);
            } else {
                let opened = opened.iter().take(around.len()).rev();
                opened.for_each(|start| close(*start, out));
            }
        }
        Ok(())
    }
}

/// Finds the field that a key names.
struct Key(&'static Message);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<&'static (Vec<u32>, Field)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static (Vec<u32>, Field)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a field of {}", self.0.name)
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        match self.0.shown(key) {
            Some(field) => Ok(Some(field)),
            // Types do not stand in messages, and only metadata may be wanted of a whole object.
            None if matches!(key, "apiVersion" | "kind") => Ok(None),
            None if self.0.name == "meta/v1.PartialObjectMetadata" => Ok(None),
            None => Err(E::custom(format!("{} has no field {key:?}", self.0.name))),
        }
    }
}

/// The value of a field, or one of its values, from JSON.
struct Slot<'a> {
    field: &'static Field,
    /// The number to write it under.
    number: u32,
    /// Whether this is the field rather than an element of it.
    whole: bool,
    out: &'a mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Slot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.field.kind == Type::Json && !(self.whole && (self.field.map || self.field.repeated))
        {
            let json: &RawValue = serde::Deserialize::deserialize(deserializer)?;
            if json.get() != "null" {
                let start = open(self.number, self.out);
                bytes(1, json.get().as_bytes(), self.out);
                close(start, self.out);
            }
            return Ok(());
        }
        deserializer.deserialize_any(self)
    }
}

impl Slot<'_> {
    fn wrong<E: serde::de::Error>(&self, what: &str) -> E {
        E::custom(format!("{} cannot be {what}", self.field.name))
    }

    /// A message that `content` fills.
    fn nested<E>(self, content: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = open(self.number, self.out);
        content(self.out)?;
        close(start, self.out);
        Ok(())
    }

    fn schema<'de, A: MapAccess<'de>>(self, number: u32, map: A) -> Result<(), A::Error> {
        let Type::Message(at) = schema::schema_props() else { return Ok(()) };
        let Some(message) = schema::message(at) else { return Ok(()) };
        self.nested(|out| {
            let start = open(number, out);
            Body { message, out }.visit_map(map)?;
            close(start, out);
            Ok(())
        })
    }

    fn time<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let time: Timestamp = text.parse().map_err(|_| self.wrong::<E>("this text"))?;
        let (seconds, nanoseconds) = (time.as_second(), time.subsec_nanosecond());
        self.nested(|out| {
            integer(1, seconds.cast_unsigned(), out);
            integer(2, i64::from(nanoseconds).cast_unsigned(), out);
            Ok(())
        })
    }

    fn int_or_string<E>(self, number: Option<i64>, text: &str) -> Result<(), E> {
        self.nested(|out| {
            integer(1, u64::from(number.is_none()), out);
            integer(2, number.unwrap_or_default().cast_unsigned(), out);
            bytes(3, text.as_bytes(), out);
            Ok(())
        })
    }

    fn number<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        match self.field.kind {
            Type::Integer => integer(self.number, number.cast_unsigned(), self.out),
            Type::Float => float(self.number, number as f64, self.out),
            Type::IntOrString => return self.int_or_string(Some(number), ""),
            Type::Quantity => {
                return self.nested(|out| {
                    bytes(1, number.to_string().as_bytes(), out);
                    Ok(())
                });
            }
            _ => return Err(self.wrong("a number")),
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what {} holds", self.field.name)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        // A list keeps its place for nothing.
        if !self.whole && !self.field.map && !self.field.kind.is_number() {
            bytes(self.number, b"", self.out);
        }
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Type::Bool => {
                integer(self.number, value.into(), self.out);
                Ok(())
            }
            Type::SchemaOr(Else::Bool) => self.nested(|out| {
                integer(1, value.into(), out);
                Ok(())
            }),
            _ => Err(self.wrong("a boolean")),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        self.number(number)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.number(number),
            Err(_) => self.visit_f64(number as f64),
        }
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        match self.field.kind {
            Type::Float => {
                float(self.number, number, self.out);
                Ok(())
            }
            _ if number.fract() == 0.0 && number.abs() < 9e15 => self.number(number as i64),
            _ => Err(self.wrong("a number")),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        match self.field.kind {
            Type::Text => bytes(self.number, text.as_bytes(), self.out),
            Type::Bytes => {
                let decoded = STANDARD.decode(text).map_err(|_| self.wrong::<E>("this text"))?;
                bytes(self.number, &decoded, self.out);
            }
            Type::Time | Type::MicroTime => return self.time(text),
            Type::Quantity => {
                return self.nested(|out| {
                    bytes(1, text.as_bytes(), out);
                    Ok(())
                });
            }
            Type::IntOrString => return self.int_or_string(None, text),
            _ => return Err(self.wrong("a text")),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { field, number, out, .. } = self;
        if self.whole && field.repeated {
            while seq.next_element_seed(Slot { field, number, whole: false, out })?.is_some() {}
            return Ok(());
        }
        let element = match field.kind {
            Type::Texts => 1,
            Type::SchemaOr(Else::Schemas | Else::Texts) => 2,
            _ => return Err(A::Error::custom(format!("{} cannot be a list", field.name))),
        };
        let start = open(number, out);
        if field.kind == Type::SchemaOr(Else::Schemas) {
            let Type::Message(at) = schema::schema_props() else { return Ok(()) };
            let Some(message) = schema::message(at) else { return Ok(()) };
            loop {
                let item = open(element, out);
                if seq.next_element_seed(Body { message, out: &mut *out })?.is_none() {
                    // Takes back what was begun: a tag and the place of a length.
                    out.truncate(item - 2);
                    break;
                }
                close(item, out);
            }
        } else {
            while let Some(text) = seq.next_element::<std::borrow::Cow<'de, str>>()? {
                bytes(element, text.as_bytes(), out);
            }
        }
        close(start, out);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { field, number, .. } = self;
        if self.whole && field.map {
            while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                let start = open(number, self.out);
                bytes(1, key.as_bytes(), self.out);
                map.next_value_seed(Slot { field, number: 2, whole: false, out: &mut *self.out })?;
                close(start, self.out);
            }
            return Ok(());
        }
        match field.kind {
            Type::Message(at) => {
                let Some(message) = schema::message(at) else { return Ok(()) };
                self.nested(|out| Body { message, out }.visit_map(map))
            }
            Type::SchemaOr(Else::Schemas | Else::Texts) => self.schema(1, map),
            Type::SchemaOr(Else::Bool) => {
                let Type::Message(at) = schema::schema_props() else { return Ok(()) };
                let Some(message) = schema::message(at) else { return Ok(()) };
                self.nested(|out| {
                    // A schema allows something.
                    integer(1, 1, out);
                    let start = open(2, out);
                    Body { message, out }.visit_map(map)?;
                    close(start, out);
                    Ok(())
                })
            }
            _ => Err(self.wrong("an object")),
        }
    }
}
