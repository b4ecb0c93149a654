//! Mutation of inputs, the same for the same seed.

use serde_json::{Value, json};

/// Words of the languages that are parsed, and numbers at edges.
const WORDS: &[&str] = &[
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "9223372036854775808",
    "-9223372036854775808",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "{}",
    "[]",
    "[[[[[[[[",
    "{\"a\":",
    "apiVersion",
    "kind",
    "metadata",
    "namespace",
    "name",
    "resourceVersion",
    "finalizers",
    "ownerReferences",
    "managedFields",
    "f:metadata",
    "k:{\"name\":\"c\"}",
    "v:\"x\"",
    "i:-1",
    "$patch",
    "replace",
    "$setElementOrder/containers",
    "$retainKeys",
    "/spec/containers/-",
    "/spec/replicas",
    "~1",
    "~0",
    "../",
    "%2F",
    "%00",
    "%",
    "&",
    "=",
    "!=",
    ",",
    " in (",
    " notin (",
    ")",
    "==",
    "||",
    "&&",
    "?",
    ":",
    ".all(x, ",
    ".map(x, x)",
    "has(",
    "self",
    "object",
    "1Ei",
    "1e-9",
    "999999999n",
    "*/0",
    "0-0",
    "@every 1s",
    "TZ=",
    "*",
    "?",
    "L",
    "2147483648",
    "\u{0}",
    "\u{feff}",
    "é",
    "𝕏",
    "\r\n",
    "\n---\n",
    "&a *a",
    "!!binary",
    "k8s\u{0}",
    "Bearer ",
    ".eyJ",
    "..",
];

/// A source of mutations.
pub struct Mutator(u64);

impl Mutator {
    /// The one of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    fn number(&mut self) -> u64 {
        // xorshift64*: small, and good enough to choose.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() >> 11).unwrap_or(0) % bound.max(1)
    }

    fn word(&mut self) -> &'static [u8] {
        WORDS[self.below(WORDS.len())].as_bytes()
    }

    /// One of `seeds`, changed in one or several ways.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let structured = self.below(2) == 0;
            match serde_json::from_slice(&input) {
                Ok(mut value) if structured => {
                    self.json(&mut value);
                    input = value.to_string().into_bytes();
                }
                _ => self.bytes(&mut input, seeds),
            }
        }
        input.truncate(256 << 10);
        input
    }

    fn bytes(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + 1 + self.below(16)).min(input.len());
        match self.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = u8::try_from(self.below(256)).unwrap_or(0),
            2 => drop(input.drain(at..end.max(at))),
            3 => input.truncate(at),
            4 => drop(input.splice(at..at, self.word().iter().copied())),
            5 => {
                let piece = input[at..end.max(at)].repeat(1 + self.below(200));
                input.splice(at..at, piece);
            }
            6 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => drop(input.splice(at..end.max(at), self.word().iter().copied())),
        }
    }

    /// Changes one place of a JSON value.
    fn json(&mut self, value: &mut Value) {
        let deeper = self.below(4) != 0;
        match value {
            Value::Object(map) if deeper && !map.is_empty() => {
                let key = map.keys().nth(self.below(map.len())).cloned().unwrap_or_default();
                match self.below(12) {
                    0 => drop(map.remove(&key)),
                    1 => {
                        let odd = String::from_utf8_lossy(self.word()).into_owned();
                        map.insert(odd, json!(1));
                    }
                    _ => {
                        if let Some(inner) = map.get_mut(&key) {
                            self.json(inner);
                        }
                    }
                }
            }
            Value::Array(items) if deeper && !items.is_empty() => {
                let at = self.below(items.len());
                match self.below(6) {
                    0 => drop(items.remove(at)),
                    1 => items.push(items[at].clone()),
                    _ => self.json(&mut items[at]),
                }
            }
            Value::String(text) if deeper => {
                let mut bytes = std::mem::take(text).into_bytes();
                let own = [bytes.clone()];
                self.bytes(&mut bytes, &own);
                *text = String::from_utf8_lossy(&bytes).into_owned();
            }
            other => *other = self.anything(other.clone()),
        }
    }

    fn anything(&mut self, old: Value) -> Value {
        match self.below(10) {
            0 => Value::Null,
            1 => json!(-1),
            2 => json!(u64::MAX),
            3 => json!(1.5e308),
            4 => json!(""),
            5 => json!([old]),
            6 => json!({"": old}),
            7 => (0..60).fold(old, |inner, _| json!([inner])),
            8 => json!("x".repeat(self.below(5000))),
            _ => json!(String::from_utf8_lossy(self.word())),
        }
    }
}
