//! What expressions that make patches have besides: the parts of JSON pointers.

use super::{Cost, Declared, no_overload, text};
use crate::value::Value;

pub(super) const TABLE: &[Declared] =
    &[Declared("jsonpatch.escapeKey(string) string", Cost::First, |_, args| match args {
        [Value::String(key)] => text(key.replace('~', "~0").replace('/', "~1")),
        _ => no_overload(),
    })];
