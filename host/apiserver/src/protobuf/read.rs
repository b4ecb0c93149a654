//! Protobuf to JSON text, in one pass.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::schema::{self, Else, Field, Message, Type};
use super::wire::{Reader, Wire};
use super::{MAGIC, Malformed, Result};

/// Messages nest no deeper than this; JSON schemas in CRDs come closest.
const DEPTH: usize = 64;
/// So many fields that nobody knows are named.
const NAMED: usize = 32;

/// A body as JSON, and the fields in it that nobody knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) json: Vec<u8>,
    /// Sentences, each about one field.
    pub(crate) unknown: Vec<String>,
}

/// The object in `bytes`, which begin as Kubernetes' protobuf does.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded> {
    let mut decoded = Decoded::default();
    envelope(bytes, DEPTH, &mut decoded)?;
    Ok(decoded)
}

fn envelope(bytes: &[u8], depth: usize, decoded: &mut Decoded) -> Result<()> {
    let envelope = bytes.strip_prefix(MAGIC).ok_or(Malformed::Magic)?;
    let (mut version, mut kind, mut raw) = ("", "", &[][..]);
    let mut reader = Reader::new(envelope);
    while let Some((number, wire)) = reader.next()? {
        match number {
            1 => {
                let mut reader = Reader::new(wire.bytes()?);
                while let Some((number, wire)) = reader.next()? {
                    match number {
                        1 => version = wire.text()?,
                        2 => kind = wire.text()?,
                        _ => {}
                    }
                }
            }
            2 => raw = wire.bytes()?,
            _ => {}
        }
    }
    let Some(message) = schema::of_kind(version, kind) else {
        return Err(Malformed::Kind { kind: kind.to_owned(), version: version.to_owned() });
    };
    let mut writing = Writing { decoded, path: String::new() };
    writing.put(b"{\"apiVersion\":");
    writing.text(version);
    writing.put(b",\"kind\":");
    writing.text(kind);
    writing.fields(message, raw, depth, false)?;
    writing.put(b"}");
    Ok(())
}

struct Writing<'a> {
    decoded: &'a mut Decoded,
    /// Where in the object the present message is.
    path: String,
}

impl Writing<'_> {
    fn put(&mut self, text: &[u8]) {
        self.decoded.json.extend_from_slice(text);
    }

    fn text(&mut self, text: &str) {
        // Writing to memory does not fail.
        let _ = serde_json::to_writer(&mut self.decoded.json, text);
    }

    /// Writes what a message's braces enclose. `first` is whether nothing stands before it.
    /// Answers the same about what comes behind.
    fn fields(
        &mut self,
        message: &Message,
        bytes: &[u8],
        depth: usize,
        mut first: bool,
    ) -> Result<bool> {
        let depth = depth.checked_sub(1).ok_or(Malformed::Wire("nested too deeply"))?;
        let mut found = vec![];
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.next()? {
            found.push(field);
        }
        // Fields may come in any order; those of Go clients come in theirs.
        if !found.is_sorted_by_key(|(number, _)| *number) {
            found.sort_by_key(|(number, _)| *number);
        }
        for same in found.chunk_by(|(a, _), (b, _)| a == b) {
            let [(number, _), ..] = *same else { continue };
            let Some(field) = message.field(number) else {
                self.unknown(message, number);
                continue;
            };
            let wires = same.iter().map(|(_, wire)| *wire);
            first = self.field(field, wires, depth, first)?;
        }
        Ok(first)
    }

    fn unknown(&mut self, message: &Message, number: u64) {
        if self.decoded.unknown.len() < NAMED {
            let path = if self.path.is_empty() { "the object" } else { &self.path };
            let sentence = format!("unknown field number {number} of {} in {path}", message.name);
            self.decoded.unknown.push(sentence);
        }
    }

    /// Writes a field of which `wires` are all the occurrences.
    fn field<'w>(
        &mut self,
        field: &Field,
        mut wires: impl Iterator<Item = Wire<'w>>,
        depth: usize,
        first: bool,
    ) -> Result<bool> {
        if let (true, Type::Message(inner)) = (field.inlined, field.kind) {
            let inner = schema::message(inner).ok_or(Malformed::Wire("unknown message"))?;
            // Its parts may come one by one, and make one message.
            let parts: Vec<_> = wires.map(Wire::bytes).collect::<Result<_>>()?;
            return match parts[..] {
                [whole] => self.fields(inner, whole, depth, first),
                _ => self.fields(inner, &parts.concat(), depth, first),
            };
        }
        let start = self.decoded.json.len();
        if !first {
            self.put(b",");
        }
        self.text(&field.name);
        self.put(b":");
        let outer = self.path.len();
        if outer > 0 {
            self.path.push('.');
        }
        self.path.push_str(&field.name);
        let mut empty = false;
        if field.map {
            for (at, wire) in wires.enumerate() {
                self.put(if at == 0 { b"{" } else { b"," });
                self.entry(field.kind, wire.bytes()?, depth)?;
            }
            self.put(b"}");
        } else if field.repeated {
            let mut at = 0;
            for wire in wires {
                match wire {
                    Wire::Bytes(packed) if field.kind.is_number() => {
                        let mut reader = Reader::new(packed);
                        while let Some(number) = reader.varint()? {
                            self.put(if at == 0 { b"[" } else { b"," });
                            self.value(field.kind, Wire::Varint(number), depth)?;
                            at += 1;
                        }
                    }
                    wire => {
                        self.put(if at == 0 { b"[" } else { b"," });
                        if self.value(field.kind, wire, depth)? == Shown::Nothing {
                            self.put(b"null");
                        }
                        at += 1;
                    }
                }
            }
            empty = at == 0;
            self.put(b"]");
        } else if let Some(wire) = wires.by_ref().last() {
            empty = match self.value(field.kind, wire, depth)? {
                Shown::Something => false,
                Shown::Zero => !field.pointer,
                Shown::Nothing => true,
            };
        }
        self.path.truncate(outer);
        if empty {
            self.decoded.json.truncate(start);
        }
        Ok(first && empty)
    }

    /// Writes an entry of a map from strings.
    fn entry(&mut self, kind: Type, bytes: &[u8], depth: usize) -> Result<()> {
        let (mut key, mut found) = ("", None);
        let mut reader = Reader::new(bytes);
        while let Some((number, wire)) = reader.next()? {
            match number {
                1 => key = wire.text()?,
                2 => found = Some(wire),
                _ => {}
            }
        }
        self.text(key);
        self.put(b":");
        let absent = if kind.is_number() { Wire::Varint(0) } else { Wire::Bytes(&[]) };
        if self.value(kind, found.unwrap_or(absent), depth)? == Shown::Nothing {
            self.put(b"null");
        }
        Ok(())
    }

    fn value(&mut self, kind: Type, wire: Wire<'_>, depth: usize) -> Result<Shown> {
        let zero = |zero: bool| if zero { Shown::Zero } else { Shown::Something };
        match kind {
            Type::Text => {
                let text = wire.text()?;
                self.text(text);
                return Ok(zero(text.is_empty()));
            }
            Type::Bytes => {
                let bytes = wire.bytes()?;
                self.put(b"\"");
                self.put(STANDARD.encode(bytes).as_bytes());
                self.put(b"\"");
                return Ok(zero(bytes.is_empty()));
            }
            Type::Bool => {
                let number = wire.varint()?;
                self.put(if number == 0 { b"false" } else { b"true" });
                return Ok(zero(number == 0));
            }
            Type::Integer => {
                // Negative numbers are sign-extended to 64 bits.
                let number = wire.varint()?.cast_signed();
                self.put(number.to_string().as_bytes());
                return Ok(zero(number == 0));
            }
            Type::Float => {
                let number = match wire {
                    Wire::Fixed64(bits) => f64::from_bits(bits),
                    Wire::Fixed32(bits) => f32::from_bits(bits).into(),
                    _ => return Err(Malformed::Wire("wrong wire type")),
                };
                if !number.is_finite() {
                    return Err(Malformed::Wire("a number that JSON cannot hold"));
                }
                let _ = serde_json::to_writer(&mut self.decoded.json, &number);
                return Ok(zero(number == 0.0));
            }
            Type::Texts => {
                let mut reader = Reader::new(wire.bytes()?);
                let mut at = 0;
                while let Some((_, wire)) = reader.next()? {
                    self.put(if at == 0 { b"[" } else { b"," });
                    self.text(wire.text()?);
                    at += 1;
                }
                self.put(if at == 0 { b"[]" } else { b"]" });
            }
            Type::Time => return self.time(wire.bytes()?, "%Y-%m-%dT%H:%M:%SZ"),
            Type::MicroTime => return self.time(wire.bytes()?, "%Y-%m-%dT%H:%M:%S.%6fZ"),
            Type::Quantity => {
                let mut text = "";
                each(wire.bytes()?, |number, wire| {
                    if number == 1 {
                        text = wire.text()?;
                    }
                    Ok(())
                })?;
                self.text(if text.is_empty() { "0" } else { text });
            }
            Type::IntOrString => self.int_or_string(wire.bytes()?)?,
            Type::Json => return self.embedded(wire.bytes()?, depth),
            Type::SchemaOr(other) => self.schema_or(other, wire.bytes()?, depth)?,
            Type::Message(at) => {
                let message = schema::message(at).ok_or(Malformed::Wire("unknown message"))?;
                self.put(b"{");
                self.fields(message, wire.bytes()?, depth, true)?;
                self.put(b"}");
            }
        }
        Ok(Shown::Something)
    }

    /// Seconds and nanoseconds; nothing at all for the zero time.
    fn time(&mut self, bytes: &[u8], format: &str) -> Result<Shown> {
        if bytes.is_empty() {
            return Ok(Shown::Nothing);
        }
        let (mut seconds, mut nanoseconds) = (0, 0);
        each(bytes, |number, wire| {
            match number {
                1 => seconds = wire.varint()?.cast_signed(),
                2 => nanoseconds = i32::try_from(wire.varint()?).unwrap_or_default(),
                _ => {}
            }
            Ok(())
        })?;
        let time = Timestamp::new(seconds, nanoseconds)
            .map_err(|_| Malformed::Wire("time out of range"))?;
        self.text(&time.strftime(format).to_string());
        Ok(Shown::Something)
    }

    fn int_or_string(&mut self, bytes: &[u8]) -> Result<()> {
        let (mut is_text, mut integer, mut text) = (false, 0, "");
        each(bytes, |number, wire| {
            match number {
                1 => is_text = wire.varint()? == 1,
                2 => integer = wire.varint()?.cast_signed(),
                3 => text = wire.text()?,
                _ => {}
            }
            Ok(())
        })?;
        if is_text {
            self.text(text);
        } else {
            self.put(integer.to_string().as_bytes());
        }
        Ok(())
    }

    /// JSON, or an object in protobuf, inside a message.
    fn embedded(&mut self, bytes: &[u8], depth: usize) -> Result<Shown> {
        let mut raw: &[u8] = &[];
        each(bytes, |number, wire| {
            if number == 1 {
                raw = wire.bytes()?;
            }
            Ok(())
        })?;
        if raw.is_empty() {
            return Ok(Shown::Nothing);
        }
        if raw.starts_with(MAGIC) {
            let depth = depth.checked_sub(1).ok_or(Malformed::Wire("nested too deeply"))?;
            envelope(raw, depth, self.decoded)?;
            return Ok(Shown::Something);
        }
        let json: Result<&serde_json::value::RawValue, _> = serde_json::from_slice(raw);
        let json = json.map_err(|_| Malformed::Wire("embedded object is no JSON"))?;
        self.put(json.get().as_bytes());
        Ok(Shown::Something)
    }

    fn schema_or(&mut self, other: Else, bytes: &[u8], depth: usize) -> Result<()> {
        let (mut schema, mut flag, mut items) = (None, false, vec![]);
        each(bytes, |number, wire| {
            match (other, number) {
                (Else::Bool, 1) => flag = wire.varint()? != 0,
                (Else::Bool, 2) | (Else::Schemas | Else::Texts, 1) => schema = Some(wire),
                (Else::Schemas | Else::Texts, 2) => items.push(wire),
                _ => {}
            }
            Ok(())
        })?;
        if let Some(schema) = schema {
            self.value(schema::schema_props(), schema, depth)?;
            return Ok(());
        }
        let item = match other {
            Else::Bool => {
                self.put(if flag { b"true" } else { b"false" });
                return Ok(());
            }
            Else::Schemas => schema::schema_props(),
            Else::Texts => Type::Text,
        };
        self.put(b"[");
        for (at, wire) in items.into_iter().enumerate() {
            if at > 0 {
                self.put(b",");
            }
            self.value(item, wire, depth)?;
        }
        self.put(b"]");
        Ok(())
    }
}

/// What was written of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Something,
    /// What a field holds that nobody has set.
    Zero,
    /// There was nothing to write.
    Nothing,
}

fn each<'a>(bytes: &'a [u8], mut see: impl FnMut(u64, Wire<'a>) -> Result<()>) -> Result<()> {
    let mut reader = Reader::new(bytes);
    while let Some((number, wire)) = reader.next()? {
        see(number, wire)?;
    }
    Ok(())
}
