//! The list inside the text of an object. It stands first in the metadata there, so that it is
//! found, taken out and put in without reading the object.

use std::borrow::Cow;
use std::ops::Range;

const METADATA: &[u8] = b"\"metadata\":{";
const NAME: &[u8] = b"\"managedFields\":";

/// The text of an object, without its list of owners, and the list if there is one. The text is
/// compact JSON.
pub fn cut(json: &[u8]) -> (Cow<'_, [u8]>, Option<&[u8]>) {
    let Some((whole, list)) = find(json) else { return (json.into(), None) };
    let mut rest = Vec::with_capacity(json.len() - whole.len());
    rest.extend_from_slice(&json[..whole.start]);
    rest.extend_from_slice(&json[whole.end..]);
    (rest.into(), Some(&json[list]))
}

/// The list of owners in the text of an object, if there is one.
pub fn owners_in(json: &[u8]) -> Option<&[u8]> {
    let (_, list) = find(json)?;
    json.get(list)
}

/// The text of an object that has no list of owners, with this one.
pub fn splice(json: &[u8], list: &[u8]) -> Option<Vec<u8>> {
    let at = inside_metadata(json)?;
    let (before, after) = json.split_at(at);
    let mut whole = Vec::with_capacity(json.len() + NAME.len() + list.len() + 1);
    whole.extend_from_slice(before);
    whole.extend_from_slice(NAME);
    whole.extend_from_slice(list);
    if after.first() != Some(&b'}') {
        whole.push(b',');
    }
    whole.extend_from_slice(after);
    Some(whole)
}

/// Where the list stands: with its name and the comma behind it, and alone.
fn find(json: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let start = inside_metadata(json)?;
    let list = start + NAME.len();
    if json.get(start..list)? != NAME {
        return None;
    }
    let end = list + value_length(json.get(list..)?)?;
    let behind = end + usize::from(json.get(end) == Some(&b','));
    Some((start..behind, list..end))
}

/// Where the first field of the metadata stands.
fn inside_metadata(json: &[u8]) -> Option<usize> {
    let mut at = json.starts_with(b"{").then_some(1)?;
    loop {
        let rest = json.get(at..)?;
        if rest.starts_with(METADATA) {
            return Some(at + METADATA.len());
        }
        // Another field: its name, a colon, its value, a comma.
        at += text_length(rest)?;
        at += (json.get(at) == Some(&b':')).then_some(1)?;
        at += value_length(json.get(at..)?)?;
        at += (json.get(at) == Some(&b',')).then_some(1)?;
    }
}

/// The length of the string that begins here.
fn text_length(json: &[u8]) -> Option<usize> {
    let mut at = (json.first() == Some(&b'"')).then_some(1)?;
    loop {
        match json.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The length of the value that begins here.
fn value_length(json: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match json.get(at)? {
            b'"' => at += text_length(&json[at..])?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                at += 1;
            }
            b',' | b':' if depth > 0 => {
                at += 1;
                continue;
            }
            // A number, true, false or null.
            _ => at += json[at..].iter().position(|byte| b",]}:".contains(byte))?,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_and_out() {
        for plain in [
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{}}"#,
            r#"{"metadata":{}}"#,
            r#"{"data":{"metadata":{"managedFields":[]},"x":[1,{"y":"]\"}"}],"z":-1.5e3},"metadata":{"name":"a"}}"#,
        ] {
            assert_eq!(cut(plain.as_bytes()), (plain.as_bytes().into(), None));
            let list = r#"[{"manager":"a]\"","fieldsV1":{"v:\"}\"":{}}}]"#;
            let whole = splice(plain.as_bytes(), list.as_bytes()).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&whole).unwrap();
            assert_eq!(value["metadata"]["managedFields"][0]["manager"], "a]\"");
            let (rest, found) = cut(&whole);
            assert_eq!((&*rest, found), (plain.as_bytes(), Some(list.as_bytes())));
        }
    }

    #[test]
    fn other_text_is_left_alone() {
        for other in ["", "{", "[]", r#"{"a":"#, r#"{"a":"b"#, r#"{"metadata":{"managedFields":["#]
        {
            assert_eq!(cut(other.as_bytes()), (other.as_bytes().into(), None), "{other}");
        }
        assert_eq!(splice(b"{}", b"[]"), None);
    }
}
