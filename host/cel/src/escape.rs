//! Names of object properties as identifiers of expressions.

use std::borrow::Cow;

/// Words that are no identifiers.
pub(crate) const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

const ESCAPES: &[(&str, &str)] =
    &[("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")];

/// The identifier by which expressions reach the property `name`: `namespace` is
/// `__namespace__`, `foo-bar` is `foo__dash__bar`. None if they cannot.
pub fn escape(name: &str) -> Option<Cow<'_, str>> {
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__").into());
    }
    let known = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
    if !name.chars().all(known) {
        return None;
    }
    if !ESCAPES.iter().any(|(plain, _)| name.contains(plain)) {
        return Some(name.into());
    }
    let mut escaped = String::with_capacity(name.len() + 16);
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        match ESCAPES.iter().find(|(plain, _)| rest.starts_with(plain)) {
            Some((plain, escape)) => {
                escaped.push_str(escape);
                rest = &rest[plain.len()..];
            }
            None => {
                escaped.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    Some(escaped.into())
}

/// The property that `identifier` reaches. None if it has an escape that does not exist.
pub fn unescape(identifier: &str) -> Option<Cow<'_, str>> {
    let inner = identifier.strip_prefix("__").and_then(|inner| inner.strip_suffix("__"));
    if let Some(word) = inner.filter(|word| RESERVED.contains(word)) {
        return Some(word.to_owned().into());
    }
    let mut plain = String::with_capacity(identifier.len());
    let mut rest = identifier;
    while let Some(start) = rest.find("__") {
        plain.push_str(&rest[..start]);
        let escape = &rest[start..];
        match ESCAPES.iter().find(|(_, known)| escape.starts_with(known)) {
            Some((meant, known)) => {
                plain.push_str(meant);
                rest = &escape[known.len()..];
            }
            // An escape is closed by two underscores; what is not is none.
            None if escape[2..].find("__").is_some_and(|end| end > 0) => return None,
            None => {
                plain.push_str("__");
                rest = &escape[2..];
            }
        }
    }
    plain.push_str(rest);
    Some(plain.into())
}
