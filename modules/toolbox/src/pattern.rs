//! Patterns with `*`, `?` and `[...]`: of file names, of `case`, of `${name#pattern}`.

use std::path::Path;

/// One character of a pattern's source; quoted ones mean themselves.
pub(crate) type Source = [(char, bool)];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    One,
    Many,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// A pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<Token>);

impl Pattern {
    pub(crate) fn new(source: &Source) -> Self {
        let mut tokens = Vec::new();
        let mut rest = source;
        while let Some((&(letter, quoted), after)) = rest.split_first() {
            rest = after;
            tokens.push(match letter {
                _ if quoted => Token::Literal(letter),
                '*' => Token::Many,
                '?' => Token::One,
                '[' => match class(rest) {
                    Some((token, after)) => {
                        rest = after;
                        token
                    }
                    None => Token::Literal('['),
                },
                _ => Token::Literal(letter),
            });
        }
        Self(tokens)
    }

    /// Whether the whole of `text` is meant. In time proportional to both lengths.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut token) = (0, 0);
        // Where to go back to: the last `*`, and how much it has taken.
        let mut back: Option<(usize, usize)> = None;
        loop {
            match (self.0.get(token), text.get(at)) {
                (None, None) => return true,
                (Some(Token::Many), _) => {
                    back = Some((token, at));
                    token += 1;
                }
                (Some(one), Some(&letter)) if one.takes(letter) => {
                    token += 1;
                    at += 1;
                }
                _ => match back {
                    Some((many, taken)) if taken < text.len() => {
                        back = Some((many, taken + 1));
                        token = many + 1;
                        at = taken + 1;
                    }
                    _ => return false,
                },
            }
        }
    }

    fn is_plain(&self) -> bool {
        self.0.iter().all(|token| matches!(token, Token::Literal(_)))
    }

    fn begins_with_dot(&self) -> bool {
        self.0.first() == Some(&Token::Literal('.'))
    }
}

impl Token {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Literal(known) => *known == letter,
            Self::One => true,
            Self::Many => false,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != *negated
            }
        }
    }
}

/// The class after a `[`, and what follows it.
fn class(source: &Source) -> Option<(Token, &Source)> {
    let mut at = 0;
    let negated = matches!(source.first(), Some(('!' | '^', false)));
    at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        let (letter, quoted) = *source.get(at)?;
        at += 1;
        if letter == ']' && !quoted && !ranges.is_empty() {
            return Some((Token::Class { negated, ranges }, source.get(at..)?));
        }
        match (source.get(at), source.get(at + 1)) {
            (Some(('-', false)), Some((high, _))) if *high != ']' => {
                ranges.push((letter, *high));
                at += 2;
            }
            _ => ranges.push((letter, letter)),
        }
    }
}

/// The paths that a pattern means, in order; none if there are none. `resolve` says where a path
/// as it is written lies.
pub(crate) fn paths(source: &Source, resolve: impl Fn(&str) -> std::path::PathBuf) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut rest = source;
    if let Some((('/', _), after)) = rest.split_first() {
        found = vec!["/".to_owned()];
        rest = after;
    }
    let parts: Vec<&Source> = rest.split(|(letter, _)| *letter == '/').collect();
    for (index, part) in parts.iter().enumerate() {
        let pattern = Pattern::new(part);
        let last = index + 1 == parts.len();
        let mut next = Vec::new();
        for before in found {
            if pattern.is_plain() {
                let name: String = part.iter().map(|(letter, _)| letter).collect();
                let path = format!("{before}{name}");
                if resolve(&path).exists() {
                    next.push(path);
                }
            } else {
                let mut names = names(&resolve(if before.is_empty() { "." } else { &before }));
                names.retain(|name| {
                    pattern.matches(name) && (pattern.begins_with_dot() || !name.starts_with('.'))
                });
                next.extend(names.into_iter().map(|name| format!("{before}{name}")));
            }
        }
        if !last {
            next.retain(|path| resolve(path).is_dir());
            next.iter_mut().for_each(|path| path.push('/'));
        }
        found = next;
    }
    found
}

/// What a directory holds, in order.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_they_mean() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("*a*b*", "xxaxxbxx", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]]", "]", true),
            ("[a", "[a", true),
            ("*.html", "index.html", true),
        ] {
            let source: Vec<_> = pattern.chars().map(|letter| (letter, false)).collect();
            assert_eq!(Pattern::new(&source).matches(text), expected, "{pattern} {text}");
        }
        assert!(!Pattern::new(&[('*', true)]).matches("x"));
        let many: Vec<_> = "a*a*a*a*a*a*b".chars().map(|letter| (letter, false)).collect();
        assert!(!Pattern::new(&many).matches(&"a".repeat(5000)));
    }
}
