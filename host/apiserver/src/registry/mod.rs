//! What a kind is, what an object is, and where both are kept. Knows nothing of HTTP.

mod codec;
mod kind;
mod object;

pub(crate) use codec::encode;
pub(crate) use kind::{Builtin, Column, Decoded, Kind, Names, Part, Rules, Scale, Strategy};
pub(crate) use object::Object;
