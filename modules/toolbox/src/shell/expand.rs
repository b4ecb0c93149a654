//! Words into arguments: parameters, output of commands, sums; then fields; then file names.

use super::syntax::{Piece, What, With, Word};
use super::{Shell, sum};
use crate::call::{Failure, HELD_AT_MOST, resolve};
use crate::pattern::{self, Pattern};

/// Letters, each with whether it was quoted.
type Letters = Vec<(char, bool)>;

/// What a word becomes while it is expanded.
#[derive(Default)]
struct Fields {
    done: Vec<Letters>,
    /// The field that is being made; none between two.
    open: Option<Letters>,
    length: usize,
}

impl Fields {
    fn add(&mut self, text: &str, quoted: bool) -> Result<(), Failure> {
        self.length += text.len();
        if self.length > HELD_AT_MOST {
            return Err(Failure::new(2, format!("a word of more than {HELD_AT_MOST} bytes")));
        }
        self.open.get_or_insert_default().extend(text.chars().map(|letter| (letter, quoted)));
        Ok(())
    }

    /// Ends the field that is open.
    fn close(&mut self) {
        self.done.extend(self.open.take());
    }

    /// Adds text that is cut into fields at the letters of `separators`.
    fn split(&mut self, text: &str, separators: &str) -> Result<(), Failure> {
        let mut part = String::new();
        for letter in text.chars() {
            if !separators.contains(letter) {
                part.push(letter);
                continue;
            }
            let blank = letter.is_whitespace();
            if !part.is_empty() || (!blank && self.open.is_none()) {
                self.add(&std::mem::take(&mut part), false)?;
            }
            self.close();
        }
        if part.is_empty() { Ok(()) } else { self.add(&part, false) }
    }
}

fn text_of(letters: &Letters) -> String {
    letters.iter().map(|(letter, _)| letter).collect()
}

impl Shell {
    /// The arguments that words make.
    pub(super) fn arguments(&mut self, words: &[Word]) -> Result<Vec<String>, Failure> {
        let mut arguments = Vec::new();
        for word in words {
            let mut fields = Fields::default();
            self.expand(word, false, &mut fields, true)?;
            fields.close();
            for field in fields.done {
                let pattern =
                    field.iter().any(|(letter, quoted)| !quoted && "*?[".contains(*letter));
                let paths = match pattern && !self.flags.plain_names {
                    true => pattern::paths(&field, |path| resolve(&self.cwd, path)),
                    false => Vec::new(),
                };
                match paths.is_empty() {
                    true => arguments.push(text_of(&field)),
                    false => arguments.extend(paths),
                }
            }
        }
        Ok(arguments)
    }

    /// The one string that a word makes.
    pub(super) fn string(&mut self, word: &Word) -> Result<String, Failure> {
        Ok(text_of(&self.letters(word)?))
    }

    /// The pattern that a word makes.
    pub(super) fn pattern(&mut self, word: &Word) -> Result<Pattern, Failure> {
        Ok(Pattern::new(&self.letters(word)?))
    }

    fn letters(&mut self, word: &Word) -> Result<Letters, Failure> {
        let mut fields = Fields::default();
        self.expand(word, false, &mut fields, false)?;
        fields.close();
        Ok(fields.done.join(&(' ', true)))
    }

    /// Adds what a word makes; all of it counts as quoted if it stands in quotes. Cut into fields
    /// only if `splits`.
    fn expand(
        &mut self,
        word: &Word,
        inside: bool,
        into: &mut Fields,
        splits: bool,
    ) -> Result<(), Failure> {
        for Piece { quoted, what } in word {
            let quoted = inside || *quoted;
            match what {
                What::Text(text) => into.add(text, quoted)?,
                What::Parameter { name, with } => {
                    self.parameter(name, with, quoted, into, splits)?
                }
                What::Output(list) => {
                    let mut output = self.output_of(list)?;
                    output.truncate(output.trim_end_matches('\n').len());
                    self.insert(&output, quoted, into, splits)?;
                }
                What::Sum(word) => {
                    let text = self.string(word)?;
                    let value = sum::value(&text, &self.variables)
                        .map_err(|wrong| Failure::new(2, wrong))?;
                    into.add(&value.to_string(), quoted)?;
                }
            }
        }
        Ok(())
    }

    fn insert(
        &self,
        text: &str,
        quoted: bool,
        into: &mut Fields,
        splits: bool,
    ) -> Result<(), Failure> {
        if quoted || !splits {
            return into.add(text, quoted);
        }
        let separators = self.variables.get("IFS").map_or(" \t\n", String::as_str);
        into.split(text, separators)
    }

    fn parameter(
        &mut self,
        name: &str,
        with: &With,
        quoted: bool,
        into: &mut Fields,
        splits: bool,
    ) -> Result<(), Failure> {
        if matches!(name, "@" | "*") && matches!(with, With::Nothing) {
            let all = self.positional.clone();
            if quoted && (name == "*" || !splits) {
                return into.add(&all.join(" "), true);
            }
            for (index, one) in all.iter().enumerate() {
                if index > 0 {
                    into.close();
                }
                self.insert(one, quoted, into, splits)?;
            }
            return Ok(());
        }
        let value = self.value(name);
        match with {
            With::Nothing => {
                let value = self.or_unset(name, value)?;
                self.insert(&value, quoted, into, splits)
            }
            With::Length => {
                let value = self.or_unset(name, value)?;
                into.add(&value.chars().count().to_string(), quoted)
            }
            With::Cut { kind, most, word } => {
                let value = self.or_unset(name, value)?;
                let pattern = self.pattern(word)?;
                let cut = cut(&value, &pattern, *kind == '#', *most).to_owned();
                self.insert(&cut, quoted, into, splits)
            }
            With::Without { kind, or_empty, word } => {
                let value = value.filter(|value| !value.is_empty() || !or_empty);
                match (kind, value) {
                    ('+', Some(_)) => self.expand(word, quoted, into, splits),
                    ('+', None) => Ok(()),
                    (_, Some(value)) => self.insert(&value, quoted, into, splits),
                    ('-', None) => self.expand(word, quoted, into, splits),
                    ('=', None) => {
                        let value = self.string(word)?;
                        self.variables.insert(name.to_owned(), value.clone());
                        self.insert(&value, quoted, into, splits)
                    }
                    (_, None) => {
                        let message = self.string(word)?;
                        let message =
                            if message.is_empty() { "parameter not set" } else { &message };
                        Err(Failure::new(2, format!("{name}: {message}")))
                    }
                }
            }
        }
    }

    fn or_unset(&self, name: &str, value: Option<String>) -> Result<String, Failure> {
        match value {
            None if self.flags.unset_is_wrong => {
                Err(Failure::new(2, format!("{name}: parameter not set")))
            }
            value => Ok(value.unwrap_or_default()),
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        match name {
            "?" => Some(self.status.to_string()),
            "#" => Some(self.positional.len().to_string()),
            "$" => Some("1".to_owned()),
            "!" => None,
            "-" => Some(String::new()),
            "@" | "*" => Some(self.positional.join(" ")),
            "0" => Some(self.name.clone()),
            "PWD" => Some(self.cwd.clone()),
            digits if digits.starts_with(|letter: char| letter.is_ascii_digit()) => {
                let index: usize = digits.parse().ok()?;
                self.positional.get(index.checked_sub(1)?).cloned()
            }
            name => self.variables.get(name).cloned(),
        }
    }
}

/// `value` without what `pattern` means at its front or end, as much or as little as possible.
fn cut<'a>(value: &'a str, pattern: &Pattern, front: bool, most: bool) -> &'a str {
    let mut places: Vec<usize> =
        value.char_indices().map(|(at, _)| at).chain([value.len()]).collect();
    // The first place that fits wins: the longest piece to be cut first, if most is to go.
    if front == most {
        places.reverse();
    }
    for at in places {
        let (before, after) = value.split_at(at);
        if front && pattern.matches(before) {
            return after;
        }
        if !front && pattern.matches(after) {
            return before;
        }
    }
    value
}
