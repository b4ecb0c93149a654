//! Protocol buffers' wire format.

use super::{Malformed, Result};

/// One field as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Wire<'a> {
    pub(crate) fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::Wire("wrong wire type")),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::Wire("invalid UTF-8"))
    }

    pub(crate) fn varint(self) -> Result<u64> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Malformed::Wire("wrong wire type")),
        }
    }
}

pub(crate) struct Reader<'a>(&'a [u8]);

const SHORT: Malformed = Malformed::Wire("unexpected EOF");

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next field and its number.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>> {
        let Some(tag) = self.varint()? else { return Ok(None) };
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?.ok_or(SHORT)?),
            1 => Wire::Fixed64(u64::from_le_bytes(*self.take()?)),
            2 => {
                let length = self.varint()?.ok_or(SHORT)?;
                let length = usize::try_from(length).map_err(|_| SHORT)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(SHORT)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(*self.take()?)),
            _ => return Err(Malformed::Wire("illegal wireType")),
        };
        Ok(Some((tag >> 3, wire)))
    }

    /// A number, unless nothing is left.
    pub(crate) fn varint(&mut self) -> Result<Option<u64>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = *self.take()?;
            number |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(Some(number));
            }
        }
        Err(Malformed::Wire("integer overflow"))
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(bytes)
    }
}

/// Writes a number.
pub(crate) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 128 {
        out.push((number & 127) as u8 | 128);
        number >>= 7;
    }
    out.push(number as u8);
}

fn tag(number: u32, wire: u64, out: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | wire, out);
}

/// Writes a field that holds a number.
pub(crate) fn integer(field: u32, number: u64, out: &mut Vec<u8>) {
    tag(field, 0, out);
    varint(number, out);
}

/// Writes a field that holds a floating-point number.
pub(crate) fn float(field: u32, number: f64, out: &mut Vec<u8>) {
    tag(field, 1, out);
    out.extend_from_slice(&number.to_le_bytes());
}

/// Writes a field that holds bytes.
pub(crate) fn bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    tag(field, 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Begins a field whose length is not known yet. The answer is for [`close`].
pub(crate) fn open(field: u32, out: &mut Vec<u8>) -> usize {
    tag(field, 2, out);
    // Most lengths take one byte; close makes room for longer ones.
    out.push(0);
    out.len()
}

/// Ends the field that began there.
pub(crate) fn close(start: usize, out: &mut Vec<u8>) {
    let length = out.len() - start;
    if let (Ok(length @ 0..128), Some(place)) = (u8::try_from(length), out.get_mut(start - 1)) {
        *place = length;
        return;
    }
    let mut place = Vec::with_capacity(10);
    varint(length as u64, &mut place);
    out.splice(start - 1..start, place);
}
