//! Protocol buffers' wire format.

use super::{Malformed, Result};

/// One field as it stands on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Wire<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::Wire("wrong wire type")),
        }
    }

    pub(super) fn text(self) -> Result<String> {
        let text = std::str::from_utf8(self.bytes()?);
        text.map(str::to_owned).map_err(|_| Malformed::Wire("invalid UTF-8"))
    }
}

pub(super) struct Reader<'a>(&'a [u8]);

const SHORT: Malformed = Malformed::Wire("unexpected EOF");

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next field and its number.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Wire<'a>)>> {
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
            5 => {
                self.take::<4>()?;
                Wire::Fixed32
            }
            _ => return Err(Malformed::Wire("illegal wireType")),
        };
        Ok(Some((tag >> 3, wire)))
    }

    /// A number, unless nothing is left.
    pub(super) fn varint(&mut self) -> Result<Option<u64>> {
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
