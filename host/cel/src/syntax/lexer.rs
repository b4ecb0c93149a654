//! Tokens of an expression.

use crate::ast::Literal;
use crate::error::Issue;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Ident(String),
    Literal(Literal),
    /// An operator, bracket or keyword.
    Sign(&'static str),
    /// An integer too large to be positive, of which a minus sign makes the least integer.
    Least,
    End,
}

/// Longer signs first.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", ".", ",",
    "(", ")", "[", "]", "{", "}",
];

pub(super) fn tokens(source: &str) -> Result<Vec<(usize, Token)>, Issue> {
    let mut lexer = Lexer { source, at: 0 };
    let mut tokens = vec![];
    loop {
        lexer.skip_space();
        let at = lexer.at;
        let token = lexer.token()?;
        let done = token == Token::End;
        tokens.push((at, token));
        if done {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
        &self.source[start..self.at]
    }

    fn skip_space(&mut self) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0c'));
            if !self.rest().starts_with("//") {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn token(&mut self) -> Result<Token, Issue> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        if let Some(string) = self.string()? {
            return Ok(string);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
            return Ok(match word {
                "true" => Token::Literal(Literal::Bool(true)),
                "false" => Token::Literal(Literal::Bool(false)),
                "null" => Token::Literal(Literal::Null),
                "in" => Token::Sign("in"),
                word => Token::Ident(word.to_owned()),
            });
        }
        let mut ahead = self.rest().chars().skip(1);
        let fraction = first == '.' && ahead.next().is_some_and(|c| c.is_ascii_digit());
        if first.is_ascii_digit() || fraction {
            return self.number();
        }
        if let Some(sign) = SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
            self.at += sign.len();
            return Ok(Token::Sign(sign));
        }
        Err(Issue::new(self.at, format!("Syntax error: token recognition error at: '{first}'")))
    }

    fn number(&mut self) -> Result<Token, Issue> {
        let start = self.at;
        let hex = self.rest().strip_prefix("0x").or_else(|| self.rest().strip_prefix("0X"));
        if hex.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit())) {
            self.at += 2;
            let digits = self.take_while(|c| c.is_ascii_hexdigit()).to_owned();
            return self.integer(start, &digits, 16);
        }
        self.take_while(|c| c.is_ascii_digit());
        let mut double = false;
        let mut ahead = self.rest().chars();
        if ahead.next() == Some('.') && ahead.next().is_some_and(|c| c.is_ascii_digit()) {
            double = true;
            self.next();
            self.take_while(|c| c.is_ascii_digit());
        }
        let exponent = self.rest().strip_prefix(['e', 'E']);
        let exponent = exponent.map(|rest| rest.strip_prefix(['+', '-']).unwrap_or(rest));
        if exponent.is_some_and(|digits| digits.starts_with(|c: char| c.is_ascii_digit())) {
            double = true;
            self.next();
            self.take_while(|c| c == '+' || c == '-');
            self.take_while(|c| c.is_ascii_digit());
        }
        let digits = self.source[start..self.at].to_owned();
        if !double {
            return self.integer(start, &digits, 10);
        }
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Token::Literal(Literal::Double(number))),
            _ => Err(Issue::new(start, "invalid double literal")),
        }
    }

    fn integer(&mut self, start: usize, digits: &str, radix: u32) -> Result<Token, Issue> {
        let number = u64::from_str_radix(digits, radix).ok();
        if self.rest().starts_with(['u', 'U']) {
            self.next();
            let number = number.ok_or_else(|| Issue::new(start, "invalid uint literal"))?;
            return Ok(Token::Literal(Literal::Uint(number)));
        }
        match number.map(i64::try_from) {
            Some(Ok(number)) => Ok(Token::Literal(Literal::Int(number))),
            Some(Err(_)) if number == Some(1 << 63) => Ok(Token::Least),
            _ => Err(Issue::new(start, "invalid int literal")),
        }
    }

    /// A string or bytes literal, if there is one here.
    fn string(&mut self) -> Result<Option<Token>, Issue> {
        let start = self.at;
        let prefix = self.rest().bytes().take(2).take_while(|b| b"rRbB".contains(b)).count();
        let (letters, rest) = self.rest().split_at(prefix);
        let Some(quote) = rest.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else {
            return Ok(None);
        };
        let letters = letters.to_ascii_lowercase();
        let (raw, bytes) = (letters.contains('r'), letters.contains('b'));
        if prefix == 2 && !(raw && bytes) {
            return Ok(None);
        }
        let triple = rest.starts_with(&quote.to_string().repeat(3));
        let end = if triple { quote.to_string().repeat(3) } else { quote.to_string() };
        self.at += prefix + end.len();
        let mut text = Text { characters: String::new(), bytes: vec![], as_bytes: bytes };
        loop {
            if self.rest().starts_with(&end) {
                self.at += end.len();
                break;
            }
            let at = self.at;
            match self.next() {
                Some('\\') if !raw => self.escape(at, &mut text)?,
                Some('\n' | '\r') if !triple => return Err(unterminated(start)),
                Some(c) => text.push(c),
                None => return Err(unterminated(start)),
            }
        }
        Ok(Some(Token::Literal(if bytes {
            Literal::Bytes(text.bytes)
        } else {
            Literal::String(text.characters)
        })))
    }

    fn escape(&mut self, at: usize, text: &mut Text) -> Result<(), Issue> {
        let bad = || Issue::new(at, "Syntax error: invalid escape sequence");
        let escaped = self.next().ok_or_else(bad)?;
        let plain = match escaped {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' | '?' | '"' | '\'' | '`' => escaped,
            'x' | 'X' => return text.code(self.digits(2, 16).ok_or_else(bad)?).ok_or_else(bad),
            'u' | 'U' if !text.as_bytes => {
                let length = if escaped == 'u' { 4 } else { 8 };
                let code = self.digits(length, 16).ok_or_else(bad)?;
                char::from_u32(code).ok_or_else(bad)?
            }
            '0'..='3' => {
                self.at -= 1;
                return text.code(self.digits(3, 8).ok_or_else(bad)?).ok_or_else(bad);
            }
            _ => return Err(bad()),
        };
        text.push(plain);
        Ok(())
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let digits = self.rest().get(..count)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        let number = u32::from_str_radix(digits, radix).ok()?;
        self.at += count;
        Some(number)
    }
}

fn unterminated(at: usize) -> Issue {
    Issue::new(at, "Syntax error: unterminated string literal")
}

/// A literal while it is read: characters for strings, bytes for bytes.
struct Text {
    characters: String,
    bytes: Vec<u8>,
    as_bytes: bool,
}

impl Text {
    fn push(&mut self, c: char) {
        if self.as_bytes {
            self.bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            self.characters.push(c);
        }
    }

    /// A code of at most 255: a byte in bytes, a character in strings.
    fn code(&mut self, code: u32) -> Option<()> {
        if self.as_bytes {
            self.bytes.push(u8::try_from(code).ok()?);
        } else {
            self.characters.push(char::from_u32(code)?);
        }
        Some(())
    }
}
