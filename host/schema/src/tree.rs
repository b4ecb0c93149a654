//! JSON as work on whole values wants it: read without copying texts, maps sorted by key, so that
//! two of them are walked side by side.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Number;

/// A JSON value that borrows from the text that it was read from, where it can.
#[derive(Clone, Debug)]
pub enum Tree<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Map(Map<'a>),
}

/// A JSON object: sorted by key, each key once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map<'a>(Vec<(Cow<'a, str>, Tree<'a>)>);

impl<'a> Tree<'a> {
    /// Reads JSON.
    pub fn parse(json: &'a [u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json)
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map<'a>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map<'a>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What stands under the keys, one below the other.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |tree, key| tree.as_map()?.get(key))
    }

    /// The same, borrowing from nothing.
    pub fn into_owned(self) -> Tree<'static> {
        match self {
            Self::Null => Tree::Null,
            Self::Bool(bool) => Tree::Bool(bool),
            Self::Number(number) => Tree::Number(number),
            Self::Text(text) => Tree::Text(text.into_owned().into()),
            Self::List(items) => Tree::List(items.into_iter().map(Tree::into_owned).collect()),
            Self::Map(map) => {
                let own = |(key, value): (Cow<'_, str>, Tree<'_>)| {
                    (key.into_owned().into(), value.into_owned())
                };
                Tree::Map(Map(map.0.into_iter().map(own).collect()))
            }
        }
    }

    /// Whether there is nothing in it: `null`, or an empty list or map.
    pub(crate) fn is_hollow(&self) -> bool {
        match self {
            Self::Null => true,
            Self::List(items) => items.is_empty(),
            Self::Map(map) => map.0.is_empty(),
            _ => false,
        }
    }

    /// The place of its type in the order of values.
    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Text(_) => 1,
            Self::Bool(_) => 2,
            Self::List(_) => 3,
            Self::Map(_) => 4,
            Self::Null => 5,
        }
    }
}

impl<'a> Map<'a> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Tree<'a>> {
        let at = self.position(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// The value of a key.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Tree<'a>> {
        let at = self.position(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Gives a key a value.
    pub fn insert(&mut self, key: Cow<'a, str>, value: Tree<'a>) {
        match self.position(&key) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Tree<'a>> {
        self.position(key).ok().map(|at| self.0.remove(at).1)
    }

    /// Keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Cow<'a, str>, &Tree<'a>)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values that come sorted by key.
    pub(crate) fn sorted(entries: Vec<(Cow<'a, str>, Tree<'a>)>) -> Self {
        Self(entries)
    }

    /// Every key of two maps, in order, with what each map has there.
    pub(crate) fn zip<'s>(one: Option<&'s Self>, other: Option<&'s Self>) -> Zip<'s, 'a> {
        let entries = |map: Option<&'s Self>| map.map_or(&[][..], |map| &map.0);
        Zip { one: entries(one), other: entries(other) }
    }

    fn position(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| own.as_ref().cmp(key))
    }
}

/// See [`Map::zip`].
pub(crate) struct Zip<'s, 'a> {
    one: &'s [(Cow<'a, str>, Tree<'a>)],
    other: &'s [(Cow<'a, str>, Tree<'a>)],
}

impl<'s, 'a> Iterator for Zip<'s, 'a> {
    type Item = (&'s Cow<'a, str>, Option<&'s Tree<'a>>, Option<&'s Tree<'a>>);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.one.first(), self.other.first()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((other, _))) => one.cmp(other),
        };
        let mut key = None;
        let mut take = |side: &mut &'s [(Cow<'a, str>, Tree<'a>)]| {
            let ((own, value), rest) = side.split_first()?;
            *side = rest;
            key = Some(own);
            Some(value)
        };
        let one = if order.is_le() { take(&mut self.one) } else { None };
        let other = if order.is_ge() { take(&mut self.other) } else { None };
        key.map(|key| (key, one, other))
    }
}

impl PartialEq for Tree<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Tree<'_> {}

impl PartialOrd for Tree<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Tree<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            (Self::Number(one), Self::Number(other)) => match (one.as_i64(), other.as_i64()) {
                (Some(one), Some(other)) => one.cmp(&other),
                _ => {
                    let float = |number: &Number| number.as_f64().unwrap_or_default();
                    float(one).total_cmp(&float(other))
                }
            },
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::List(one), Self::List(other)) => one.cmp(other),
            (Self::Map(one), Self::Map(other)) => one.0.cmp(&other.0),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.0.len()))?;
                for (key, value) in &entries.0 {
                    map.serialize_entry(key.as_ref(), value)?;
                }
                map.end()
            }
        }
    }
}

/// A string, borrowed where it has no escapes.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Texts)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Tree<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Trees)
    }
}

struct Trees;

impl<'de> Visitor<'de> for Trees {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Self::Value, E> {
        Ok(Tree::Bool(bool))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("not a number"))?;
        Ok(Tree::Number(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Tree::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Tree::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = vec![];
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Vec<(Cow<'de, str>, Tree<'de>)> = vec![];
        let mut sorted = true;
        while let Some((Text(key), value)) = map.next_entry()? {
            sorted &= entries.last().is_none_or(|(last, _)| *last < key);
            entries.push((key, value));
        }
        if !sorted {
            // Of a key that is given twice, the last holds.
            entries.reverse();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            entries.dedup_by(|(one, _), (other, _)| one == other);
        }
        Ok(Tree::Map(Map(entries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sorts_and_writes() {
        let tree = Tree::parse(br#"{"b": [1, 2.5, null], "a": {"z": "x\"", "y": true}, "b": -1}"#)
            .unwrap();
        let text = serde_json::to_string(&tree).unwrap();
        assert_eq!(text, r#"{"a":{"y":true,"z":"x\""},"b":-1}"#);
        assert!(matches!(tree.at(&["a", "z"]), Some(Tree::Text(Cow::Owned(_)))));
        assert_eq!(tree.at(&["a", "none"]), None);
        assert!(Tree::parse(b"{} x").is_err());
        assert_eq!(Tree::parse(b"1").unwrap(), Tree::parse(b"1.0").unwrap());
    }

    #[test]
    fn zips() {
        let one = Tree::parse(br#"{"a": 1, "c": 2}"#).unwrap();
        let other = Tree::parse(br#"{"b": 1, "c": 3}"#).unwrap();
        let found: Vec<_> = Map::zip(one.as_map(), other.as_map())
            .map(|(key, one, other)| (key.as_ref(), one.is_some(), other.is_some()))
            .collect();
        assert_eq!(found, [("a", true, false), ("b", false, true), ("c", true, true)]);
    }
}
