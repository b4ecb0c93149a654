//! Text into commands: the shell's grammar, without commands in the background.

use std::cell::OnceCell;
use std::rc::Rc;

use super::syntax::{
    AndOr, Command, List, Piece, Pipeline, Redirect, Stage, Target, What, With, Word,
};

/// How deep commands and substitutions lie in each other at most.
const DEEPEST: usize = 40;

/// Words that mean something where a command begins.
const RESERVED: &[&str] = &[
    "!", "case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then", "until",
    "while", "{", "}",
];

/// What is wrong with a script.
pub(crate) type Wrong = String;

type Parsed<T> = Result<T, Wrong>;

/// The commands of a script.
pub(crate) fn parse(script: &str) -> Parsed<List> {
    let mut parser =
        Parser { text: script.chars().collect(), at: 0, depth: 0, awaited: Vec::new() };
    let list = parser.list()?;
    if let Some(letter) = parser.peek() {
        let word = parser.reserved().map_or(letter.to_string(), str::to_owned);
        return Err(format!("syntax error: unexpected \"{word}\""));
    }
    if parser.awaited.is_empty() {
        Ok(list)
    } else {
        Err("syntax error: a here-document has no end".to_owned())
    }
}

/// A here-document whose text comes when the line ends.
struct Awaited {
    end: String,
    without_tabs: bool,
    quoted: bool,
    text: Rc<OnceCell<Word>>,
}

struct Parser {
    text: Vec<char>,
    at: usize,
    depth: usize,
    awaited: Vec<Awaited>,
}

/// What ends a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// What ends a word of a command.
    Gap,
    /// A double quote.
    Quote,
    /// The brace of a parameter.
    Brace,
    /// The two brackets of a sum.
    Sum,
    /// The text's end: a here-document.
    Text,
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn second(&self) -> Option<char> {
        self.text.get(self.at + 1).copied()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn eat_all(&mut self, wanted: &str) -> bool {
        let found = wanted
            .chars()
            .enumerate()
            .all(|(index, letter)| self.text.get(self.at + index) == Some(&letter));
        self.at += if found { wanted.chars().count() } else { 0 };
        found
    }

    /// What `inner` reads, one level deeper.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("syntax error: nested too deeply".to_owned());
        }
        let read = inner(self);
        self.depth -= 1;
        read
    }

    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.second() == Some('\n') => self.at += 2,
                Some('#') => {
                    while self.peek().is_some_and(|letter| letter != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    fn newlines(&mut self) -> Parsed<()> {
        loop {
            self.blanks();
            if !self.newline()? {
                return Ok(());
            }
        }
    }

    fn newline(&mut self) -> Parsed<bool> {
        if !self.eat('\n') {
            return Ok(false);
        }
        for awaited in std::mem::take(&mut self.awaited) {
            let word = self.here_document(&awaited)?;
            // Each is awaited once.
            let _ = awaited.text.set(word);
        }
        Ok(true)
    }

    fn here_document(&mut self, awaited: &Awaited) -> Parsed<Word> {
        let mut body = String::new();
        loop {
            if self.peek().is_none() {
                return Err(format!(
                    "syntax error: a here-document has no end \"{}\"",
                    awaited.end
                ));
            }
            let start = self.at;
            while self.peek().is_some_and(|letter| letter != '\n') {
                self.at += 1;
            }
            let line: String = self.text.get(start..self.at).unwrap_or_default().iter().collect();
            self.at += usize::from(self.peek().is_some());
            let line = if awaited.without_tabs { line.trim_start_matches('\t') } else { &line };
            if line == awaited.end {
                break;
            }
            body.push_str(line);
            body.push('\n');
        }
        if awaited.quoted {
            return Ok(vec![Piece { quoted: true, what: What::Text(body) }]);
        }
        let mut inner =
            Self { text: body.chars().collect(), at: 0, depth: self.depth, awaited: Vec::new() };
        inner.deeper(|inner| inner.pieces(End::Text, true))
    }

    /// The reserved word here, if there is one.
    fn reserved(&self) -> Option<&'static str> {
        let rest = self.text.get(self.at..)?;
        let end = rest
            .iter()
            .position(|letter| letter.is_whitespace() || ";|&<>()".contains(*letter))
            .unwrap_or(rest.len());
        let word: String = rest.get(..end)?.iter().collect();
        RESERVED.iter().find(|known| **known == word).copied()
    }

    fn eat_reserved(&mut self, wanted: &str) -> bool {
        let found = self.reserved() == Some(wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    fn expect(&mut self, wanted: &str) -> Parsed<()> {
        self.newlines()?;
        if self.eat_reserved(wanted) { Ok(()) } else { Err(self.missing(wanted)) }
    }

    fn missing(&self, wanted: &str) -> Wrong {
        match self.peek() {
            None => format!("syntax error: unexpected end of file (expecting \"{wanted}\")"),
            Some('\n') => format!("syntax error: unexpected newline (expecting \"{wanted}\")"),
            Some(letter) => {
                format!("syntax error: unexpected \"{letter}\" (expecting \"{wanted}\")")
            }
        }
    }

    /// Commands until something that cannot begin one.
    fn list(&mut self) -> Parsed<List> {
        let mut list = Vec::new();
        loop {
            self.newlines()?;
            let ends = match self.reserved() {
                Some(word) => {
                    matches!(word, "do" | "done" | "elif" | "else" | "esac" | "fi" | "then" | "}")
                }
                None => matches!(self.peek(), None | Some(')' | ';')),
            };
            if ends {
                return Ok(list);
            }
            list.push(self.and_or()?);
            self.blanks();
            match self.peek() {
                Some('&') => {
                    return Err(
                        "syntax error: commands in the background (&) are not there".to_owned()
                    );
                }
                // Two of them end an arm of a case.
                Some(';') if self.second() != Some(';') => self.at += 1,
                Some('\n') => {}
                _ => return Ok(list),
            }
        }
    }

    fn and_or(&mut self) -> Parsed<AndOr> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let and = if self.eat_all("&&") {
                true
            } else if self.eat_all("||") {
                false
            } else {
                return Ok(AndOr { first, rest });
            };
            self.newlines()?;
            rest.push((and, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let mut negated = false;
        while self.eat_reserved("!") {
            negated = !negated;
            self.blanks();
        }
        let mut stages = vec![self.stage()?];
        loop {
            self.blanks();
            if self.peek() != Some('|') || self.second() == Some('|') {
                return Ok(Pipeline { negated, stages });
            }
            self.at += 1;
            self.newlines()?;
            stages.push(self.stage()?);
        }
    }

    fn stage(&mut self) -> Parsed<Rc<Stage>> {
        self.deeper(|parser| {
            let compound = match parser.reserved() {
                Some("if") => parser.conditional()?,
                Some("while") => parser.repeated("while")?,
                Some("until") => parser.repeated("until")?,
                Some("for") => parser.each()?,
                Some("case") => parser.cases()?,
                Some("{") => {
                    parser.at += 1;
                    let list = parser.list()?;
                    parser.expect("}")?;
                    Command::Group(list)
                }
                Some(word) => return Err(format!("syntax error: unexpected \"{word}\"")),
                None if parser.eat('(') => {
                    let list = parser.list()?;
                    if !parser.eat(')') {
                        return Err(parser.missing(")"));
                    }
                    Command::Subshell(list)
                }
                None => return parser.simple(),
            };
            let mut redirects = Vec::new();
            parser.blanks();
            while let Some(redirect) = parser.redirect()? {
                redirects.push(redirect);
                parser.blanks();
            }
            Ok(Rc::new(Stage { command: compound, redirects }))
        })
    }

    /// A list in which something must stand.
    fn body(&mut self, wanted: &str) -> Parsed<List> {
        let list = self.list()?;
        if list.is_empty() { Err(self.missing(wanted)) } else { Ok(list) }
    }

    fn conditional(&mut self) -> Parsed<Command> {
        self.eat_reserved("if");
        let mut arms = Vec::new();
        loop {
            let condition = self.body("a command")?;
            self.expect("then")?;
            arms.push((condition, self.body("a command")?));
            if self.eat_reserved("elif") {
                continue;
            }
            let otherwise =
                if self.eat_reserved("else") { self.body("a command")? } else { Vec::new() };
            self.expect("fi")?;
            return Ok(Command::If { arms, otherwise });
        }
    }

    fn repeated(&mut self, word: &str) -> Parsed<Command> {
        self.eat_reserved(word);
        let condition = self.body("a command")?;
        let body = self.enclosed()?;
        Ok(Command::Loop { until: word == "until", condition, body })
    }

    fn enclosed(&mut self) -> Parsed<List> {
        self.expect("do")?;
        let body = self.body("a command")?;
        self.expect("done")?;
        Ok(body)
    }

    fn each(&mut self) -> Parsed<Command> {
        self.eat_reserved("for");
        self.blanks();
        let name = self.name();
        if name.is_empty() {
            return Err(self.missing("a name"));
        }
        self.newlines()?;
        let mut values = None;
        if self.eat_reserved("in") {
            values = Some(self.words()?);
        }
        self.blanks();
        self.eat(';');
        Ok(Command::For { name, values, body: self.enclosed()? })
    }

    fn words(&mut self) -> Parsed<Vec<Word>> {
        let mut words = Vec::new();
        loop {
            self.blanks();
            match self.word()? {
                Some(word) => words.push(word),
                None => return Ok(words),
            }
        }
    }

    fn cases(&mut self) -> Parsed<Command> {
        self.eat_reserved("case");
        self.blanks();
        let subject = self.word()?.ok_or_else(|| self.missing("a word"))?;
        self.expect("in")?;
        let mut arms = Vec::new();
        loop {
            self.newlines()?;
            if self.eat_reserved("esac") {
                return Ok(Command::Case { subject, arms });
            }
            self.eat('(');
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                patterns.push(self.word()?.ok_or_else(|| self.missing("a pattern"))?);
                self.blanks();
                if !self.eat('|') {
                    break;
                }
            }
            if !self.eat(')') {
                return Err(self.missing(")"));
            }
            arms.push((patterns, self.list()?));
            self.newlines()?;
            if !self.eat_all(";;") && self.reserved() != Some("esac") {
                return Err(self.missing(";;"));
            }
        }
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(letter) = self.peek().filter(|letter| is_name(*letter)) {
            if name.is_empty() && letter.is_ascii_digit() {
                break;
            }
            name.push(letter);
            self.at += 1;
        }
        name
    }

    fn simple(&mut self) -> Parsed<Rc<Stage>> {
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if words.is_empty() {
                let start = self.at;
                let name = self.name();
                if !name.is_empty() && self.eat('=') {
                    assignments.push((name, self.word()?.unwrap_or_default()));
                    continue;
                }
                if !name.is_empty()
                    && assignments.is_empty()
                    && redirects.is_empty()
                    && self.eat_all("()")
                {
                    self.newlines()?;
                    let command = Command::Function { name, body: self.stage()? };
                    return Ok(Rc::new(Stage { command, redirects }));
                }
                self.at = start;
            }
            match self.word()? {
                Some(word) => words.push(word),
                None if words.is_empty() && assignments.is_empty() && redirects.is_empty() => {
                    return Err(self.missing("a command"));
                }
                None => {
                    let command = Command::Simple { assignments, words };
                    return Ok(Rc::new(Stage { command, redirects }));
                }
            }
        }
    }

    fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        let start = self.at;
        let stream = match self.peek() {
            Some(digit @ '0'..='9') if matches!(self.second(), Some('<' | '>')) => {
                self.at += 1;
                Some(digit)
            }
            _ => None,
        };
        let reads = match self.peek() {
            Some('<') => true,
            Some('>') => false,
            _ => {
                self.at = start;
                return Ok(None);
            }
        };
        self.at += 1;
        let stream = match stream {
            None => u8::from(!reads),
            Some(digit @ '0'..='2') => digit as u8 - b'0',
            Some(digit) => return Err(format!("stream {digit} is not there")),
        };
        let to = if reads && self.eat('<') {
            let without_tabs = self.eat('-');
            self.blanks();
            let word = self.word()?.ok_or_else(|| self.missing("a word"))?;
            let quoted = word.iter().any(|piece| piece.quoted);
            let end = word.iter().map(|piece| match &piece.what {
                What::Text(text) => Ok(text.as_str()),
                _ => Err("syntax error: the end of a here-document must be plain".to_owned()),
            });
            let end = end.collect::<Parsed<String>>()?;
            let text = Rc::new(OnceCell::new());
            self.awaited.push(Awaited { end, without_tabs, quoted, text: text.clone() });
            Target::Text(text)
        } else if self.eat('&') {
            match self.peek() {
                Some(digit @ '0'..='2') => {
                    self.at += 1;
                    Target::Same(digit as u8 - b'0')
                }
                _ => return Err(self.missing("0, 1 or 2")),
            }
        } else {
            let appends = !reads && self.eat('>');
            if !reads && !appends {
                self.eat('|');
            }
            self.blanks();
            let word = self.word()?.ok_or_else(|| self.missing("a file"))?;
            match (reads, appends) {
                (true, _) => Target::Read(word),
                (false, true) => Target::Append(word),
                (false, false) => Target::Write(word),
            }
        };
        Ok(Some(Redirect { stream, to }))
    }

    fn word(&mut self) -> Parsed<Option<Word>> {
        let word = self.pieces(End::Gap, false)?;
        Ok(if word.is_empty() { None } else { Some(word) })
    }

    /// The pieces of a word until its end, which stays unless it is a closing mark.
    fn pieces(&mut self, end: End, quoted: bool) -> Parsed<Word> {
        let mut word = Word::new();
        let mut brackets = 0_usize;
        loop {
            let Some(letter) = self.peek() else {
                return match end {
                    End::Gap | End::Text => Ok(word),
                    _ => Err("syntax error: unterminated quoted string".to_owned()),
                };
            };
            match (end, letter) {
                (End::Gap, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')') => {
                    return Ok(word);
                }
                (End::Quote, '"') | (End::Brace, '}') => {
                    self.at += 1;
                    return Ok(word);
                }
                (End::Sum, '(') => brackets += 1,
                (End::Sum, ')') if brackets > 0 => brackets -= 1,
                (End::Sum, ')') => {
                    return if self.eat_all("))") { Ok(word) } else { Err(self.missing("))")) };
                }
                _ => {}
            }
            self.at += 1;
            match letter {
                '\\' => {
                    let Some(next) = self.peek() else {
                        push(&mut word, quoted, '\\');
                        continue;
                    };
                    self.at += 1;
                    if next == '\n' {
                        continue;
                    }
                    if quoted
                        && !matches!(next, '$' | '`' | '\\')
                        && !(next == '"' && end != End::Text)
                    {
                        push(&mut word, true, '\\');
                    }
                    push(&mut word, true, next);
                }
                '\'' if !quoted => {
                    let mut text = String::new();
                    loop {
                        match self.peek() {
                            Some('\'') => break,
                            Some(letter) => text.push(letter),
                            None => {
                                return Err("syntax error: unterminated quoted string".to_owned());
                            }
                        }
                        self.at += 1;
                    }
                    self.at += 1;
                    word.push(Piece { quoted: true, what: What::Text(text) });
                }
                '"' if !quoted || end == End::Brace => {
                    // An empty string is a word too.
                    word.push(Piece { quoted: true, what: What::Text(String::new()) });
                    word.extend(self.deeper(|parser| parser.pieces(End::Quote, true))?);
                }
                '$' => match self.deeper(Self::dollar)? {
                    Some(what) => word.push(Piece { quoted, what }),
                    None => push(&mut word, quoted, '$'),
                },
                '`' => word.push(Piece { quoted, what: self.deeper(Self::backquoted)? }),
                letter => push(&mut word, quoted, letter),
            }
        }
    }

    /// What follows a `$`.
    fn dollar(&mut self) -> Parsed<Option<What>> {
        let what = match self.peek() {
            Some('(') if self.second() == Some('(') => {
                self.at += 2;
                What::Sum(self.pieces(End::Sum, true)?)
            }
            Some('(') => {
                self.at += 1;
                let list = self.list()?;
                if !self.eat(')') {
                    return Err(self.missing(")"));
                }
                What::Output(Rc::new(list))
            }
            Some('{') => {
                self.at += 1;
                self.parameter()?
            }
            Some(letter @ ('?' | '#' | '@' | '*' | '$' | '!' | '0'..='9' | '-')) => {
                self.at += 1;
                What::Parameter { name: letter.to_string(), with: With::Nothing }
            }
            _ => {
                let name = self.name();
                if name.is_empty() {
                    return Ok(None);
                }
                What::Parameter { name, with: With::Nothing }
            }
        };
        Ok(Some(what))
    }

    /// What follows a `${`.
    fn parameter(&mut self) -> Parsed<What> {
        let bad = || "bad substitution".to_owned();
        let length = self.peek() == Some('#') && self.second() != Some('}');
        self.at += usize::from(length);
        let mut name = self.name();
        if name.is_empty() {
            match self.peek() {
                Some(letter) if letter.is_ascii_digit() => {
                    while let Some(digit) = self.peek().filter(char::is_ascii_digit) {
                        name.push(digit);
                        self.at += 1;
                    }
                }
                Some(letter @ ('?' | '#' | '@' | '*' | '$')) => {
                    name.push(letter);
                    self.at += 1;
                }
                _ => return Err(bad()),
            }
        }
        if self.eat('}') {
            let with = if length { With::Length } else { With::Nothing };
            return Ok(What::Parameter { name, with });
        }
        if length {
            return Err(bad());
        }
        let or_empty = self.eat(':');
        let kind = self.peek().ok_or_else(bad)?;
        self.at += 1;
        let with = match kind {
            '-' | '=' | '+' | '?' => {
                With::Without { kind, or_empty, word: self.pieces(End::Brace, false)? }
            }
            '#' | '%' if !or_empty => {
                let most = self.eat(kind);
                With::Cut { kind, most, word: self.pieces(End::Brace, false)? }
            }
            _ => return Err(bad()),
        };
        Ok(What::Parameter { name, with })
    }

    fn backquoted(&mut self) -> Parsed<What> {
        let mut script = String::new();
        loop {
            let letter = self.peek().ok_or("syntax error: unterminated back quote")?;
            self.at += 1;
            match letter {
                '`' => break,
                '\\' if matches!(self.peek(), Some('`' | '\\' | '$')) => {
                    script.extend(self.peek());
                    self.at += 1;
                }
                letter => script.push(letter),
            }
        }
        let mut inner =
            Self { text: script.chars().collect(), at: 0, depth: self.depth, awaited: Vec::new() };
        let list = inner.list()?;
        match inner.peek() {
            None => Ok(What::Output(Rc::new(list))),
            Some(letter) => Err(format!("syntax error: unexpected \"{letter}\"")),
        }
    }
}

/// Adds a letter to the text at the word's end.
fn push(word: &mut Word, quoted: bool, letter: char) {
    if let Some(Piece { quoted: known, what: What::Text(text) }) = word.last_mut()
        && *known == quoted
    {
        text.push(letter);
        return;
    }
    word.push(Piece { quoted, what: What::Text(letter.to_string()) });
}
