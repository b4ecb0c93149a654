//! What a caller is told besides the answer: `Warning` headers (RFC 7234, section 5.5).

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderValue, header};

/// Characters of all warnings of an answer together, beyond which each is cut short.
const TOTAL: usize = 4096;
/// Characters that then remain of each.
const CUT: usize = 256;

/// The warnings of one answer: each is told once.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    pub(crate) fn add(&self, warning: impl Into<String>) {
        let warning = warning.into();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !warning.is_empty() && !all.contains(&warning) {
            all.push(warning);
        }
    }

    /// Writes them into the headers of the answer.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = all.iter().map(|warning| warning.chars().count()).sum();
        let mut room = TOTAL;
        for warning in &*all {
            let kept = if total > TOTAL { CUT } else { usize::MAX };
            let text: Vec<_> = warning.chars().take(kept).collect();
            if text.len() > room {
                break;
            }
            room -= text.len();
            let text: String = text.into_iter().flat_map(escaped).collect();
            if let Ok(value) = HeaderValue::try_from(format!("299 - \"{text}\"")) {
                headers.append(header::WARNING, value);
            }
        }
    }
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let escape = matches!(c, '"' | '\\').then_some('\\');
    escape.into_iter().chain(std::iter::once(if c.is_control() { ' ' } else { c }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(warnings: &Warnings) -> Vec<String> {
        let mut headers = HeaderMap::new();
        warnings.write(&mut headers);
        headers.get_all(header::WARNING).iter().map(|v| v.to_str().unwrap().into()).collect()
    }

    #[test]
    fn each_is_told_once_and_in_one_line() {
        let warnings = Warnings::default();
        for text in ["a \"b\"", "", "a \"b\"", "c\nd"] {
            warnings.add(text);
        }
        assert_eq!(written(&warnings), ["299 - \"a \\\"b\\\"\"", "299 - \"c d\""]);
    }

    #[test]
    fn many_are_cut_short() {
        let warnings = Warnings::default();
        for n in 0..100 {
            warnings.add(format!("{n:03}{}", "x".repeat(997)));
        }
        let written = written(&warnings);
        assert_eq!(written.len(), TOTAL / CUT);
        assert!(written.iter().all(|warning| warning.len() == CUT + 8));
    }
}
