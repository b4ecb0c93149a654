//! Patterns as Go reads them: RE2, unanchored. The regular expressions of Rust are close
//! relatives; where the two differ, the pattern is spelled anew.

use std::fmt;
use std::sync::Arc;

use regex::Regex;

/// The most memory that a compiled pattern may take.
const SIZE: usize = 1 << 20;

/// A compiled pattern.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    regex: Arc<Regex>,
}

impl Pattern {
    /// Compiles the pattern; an explanation if it is none.
    pub fn new(source: &str) -> Result<Self, String> {
        let regex = regex::RegexBuilder::new(&spelled(source)).size_limit(SIZE).build();
        let regex = regex.map_err(|error| {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            format!(
                "invalid regular expression {source:?}: {}",
                reason.trim_start_matches("error: ")
            )
        })?;
        Ok(Self { source: source.to_owned(), regex: Arc::new(regex) })
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the pattern is found anywhere in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.source)
    }
}

/// The pattern in Rust's spelling: classes such as `\d` know ASCII only, and inside of brackets
/// nothing but what Go knows is special.
fn spelled(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut chars = source.chars().peekable();
    let mut inside = false;
    let mut first = false;
    while let Some(c) = chars.next() {
        let begins = std::mem::replace(&mut first, false);
        match c {
            '\\' => {
                let Some(escaped) = chars.next() else {
                    out.push('\\');
                    break;
                };
                let class = match escaped {
                    'd' => Some("0-9"),
                    'w' => Some("0-9A-Za-z_"),
                    's' => Some("\\t\\n\\x0c\\r "),
                    'D' => Some("^0-9"),
                    'W' => Some("^0-9A-Za-z_"),
                    'S' => Some("^\\t\\n\\x0c\\r "),
                    _ => None,
                };
                match (class, escaped) {
                    (Some(class), _) if inside && !class.starts_with('^') => out.push_str(class),
                    (Some(class), _) => {
                        out.push('[');
                        out.push_str(class);
                        out.push(']');
                    }
                    (None, 'b') if !inside => out.push_str("(?-u:\\b)"),
                    (None, 'Q') => {
                        let mut quoted = String::new();
                        while let Some(c) = chars.next() {
                            if c == '\\' && chars.peek() == Some(&'E') {
                                chars.next();
                                break;
                            }
                            quoted.push(c);
                        }
                        out.push_str(&regex::escape(&quoted));
                    }
                    (None, escaped) => {
                        out.push('\\');
                        out.push(escaped);
                    }
                }
            }
            '[' if !inside => {
                inside = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    chars.next();
                    out.push('^');
                }
                first = true;
            }
            '[' if chars.peek() == Some(&':') => {
                // `[:alpha:]`
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            ']' if inside && begins => out.push_str("\\]"),
            ']' if inside => {
                inside = false;
                out.push(']');
            }
            '[' | '&' | '~' if inside => {
                out.push('\\');
                out.push(c);
            }
            '-' if inside && chars.peek() == Some(&'-') => out.push_str("\\-"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_go_reads_them() {
        for (pattern, good, bad) in [
            ("^[a-z]+$", "abc", "a1"),
            ("b", "abc", "ac"),
            (r"^\d+$", "12", "١٢"),
            (r"^[\d.]+$", "1.2", "a"),
            (r"^[a[b]+$", "a[b", "c"),
            (r"^[]a]+$", "]a", "b"),
            (r"^[&&a]+$", "&a", "b"),
            (r"^\Qa.b\E$", "a.b", "axb"),
            (r"^[[:alpha:]_]+$", "a_", "1"),
            (r"^[\W]$", "!", "a"),
            (r"^(?:[A-Z][a-z]*)+\s$", "AbC ", "abc"),
        ] {
            let pattern = Pattern::new(pattern).unwrap();
            assert!(pattern.matches(good), "{pattern:?}");
            assert!(!pattern.matches(bad), "{pattern:?}");
        }
        assert!(Pattern::new("a(").is_err());
        assert!(Pattern::new("(?=a)").is_err(), "Go knows no look-around either");
    }
}
