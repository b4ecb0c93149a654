//! The grammar, by recursive descent.

use super::lexer::{Token, tokens};
use super::macros;
use crate::ast::{Access, Entry, Expr, Item, Kind, Literal, MAX_DEPTH};
use crate::error::Issue;
use crate::escape::RESERVED;

/// Bytes beyond which an expression is not read.
const MAX_LENGTH: usize = 100_000;

pub(crate) fn parse(source: &str) -> Result<Expr, Issue> {
    if source.len() > MAX_LENGTH {
        let message = format!(
            "expression code point size exceeds limit: size: {}, limit {MAX_LENGTH}",
            source.len()
        );
        return Err(Issue::new(0, message));
    }
    let mut parser = Parser { tokens: tokens(source)?, next: 0, depth: 0 };
    let expr = parser.expr()?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => Err(parser.unexpected("<EOF>")),
    }
}

pub(super) type Parsed<T> = Result<T, Issue>;

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

/// An expression over parts of the given depths.
pub(super) fn node(at: usize, depth: usize, kind: Kind) -> Parsed<Expr> {
    let depth = depth + 1;
    if depth > MAX_DEPTH {
        return Err(too_deep(at));
    }
    Ok(Expr { at, depth, kind })
}

fn too_deep(at: usize) -> Issue {
    Issue::new(at, format!("expression recursion limit exceeded: {MAX_DEPTH}"))
}

/// Two operands and the sign between them. Rows of `&&` and of `||` are one flat node.
fn join(at: usize, sign: &str, left: Expr, right: Expr) -> Parsed<Expr> {
    let depth = deepest([&left, &right]);
    let kind = match (sign, left.kind) {
        ("&&", Kind::And(mut parts)) => {
            let depth = (left.depth - 1).max(right.depth);
            parts.push(right);
            return node(left.at, depth, Kind::And(parts));
        }
        ("||", Kind::Or(mut parts)) => {
            let depth = (left.depth - 1).max(right.depth);
            parts.push(right);
            return node(left.at, depth, Kind::Or(parts));
        }
        (_, kind) => {
            let left = Expr { at: left.at, depth: left.depth, kind };
            match sign {
                "&&" => Kind::And(vec![left, right]),
                "||" => Kind::Or(vec![left, right]),
                "in" => {
                    Kind::Call { target: None, function: "@in".into(), args: vec![left, right] }
                }
                sign => {
                    let function = format!("_{sign}_");
                    Kind::Call { target: None, function, args: vec![left, right] }
                }
            }
        }
    };
    node(at, depth, kind)
}

fn deepest<'a>(parts: impl IntoIterator<Item = &'a Expr>) -> usize {
    parts.into_iter().map(|part| part.depth).max().unwrap_or(0)
}

impl Parser {
    // The last token is the end, which is never passed.
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(at, _)| *at)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = (self.next + 1).min(self.tokens.len());
        token
    }

    /// Takes the sign if it is next; says where it was.
    fn sign(&mut self, sign: &str) -> Option<usize> {
        let at = self.at();
        let there = matches!(self.peek(), Token::Sign(next) if *next == sign);
        there.then(|| {
            self.next += 1;
            at
        })
    }

    fn expect(&mut self, sign: &str) -> Parsed<usize> {
        self.sign(sign).ok_or_else(|| self.unexpected(&format!("'{sign}'")))
    }

    fn unexpected(&self, expected: &str) -> Issue {
        let found = match self.peek() {
            Token::End => "<EOF>".into(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Ident(name) => name.clone(),
            Token::Literal(Literal::String(text)) => format!("{text:?}"),
            Token::Literal(Literal::Int(number)) => number.to_string(),
            Token::Literal(_) | Token::Least => "literal".into(),
        };
        let message = format!("Syntax error: mismatched input '{found}' expecting {expected}");
        Issue::new(self.at(), message)
    }

    fn expr(&mut self) -> Parsed<Expr> {
        if self.depth >= MAX_DEPTH {
            return Err(too_deep(self.at()));
        }
        self.depth += 1;
        let condition = self.binary(0)?;
        let expr = match self.sign("?") {
            Some(at) => {
                let yes = self.binary(0)?;
                self.expect(":")?;
                let no = self.expr()?;
                let depth = deepest([&condition, &yes, &no]);
                node(at, depth, Kind::Conditional(Box::new([condition, yes, no])))
            }
            None => Ok(condition),
        };
        self.depth -= 1;
        expr
    }

    /// Operands and the signs between them that bind at least as tightly as that level. A loop
    /// over levels rather than a rule a level: the stack is what bounds nesting.
    fn binary(&mut self, level: usize) -> Parsed<Expr> {
        let mut left = self.unary()?;
        while let Some((next, sign)) = self.operator().filter(|(next, _)| *next >= level) {
            let at = self.at();
            self.next += 1;
            let right = self.binary(next + 1)?;
            left = join(at, sign, left, right)?;
        }
        Ok(left)
    }

    /// The operator that comes next, and its level.
    fn operator(&self) -> Option<(usize, &'static str)> {
        const LEVELS: &[&[&str]] = &[
            &["||"],
            &["&&"],
            &["==", "!=", "<=", ">=", "<", ">", "in"],
            &["+", "-"],
            &["*", "/", "%"],
        ];
        let Token::Sign(sign) = self.peek() else { return None };
        let level = LEVELS.iter().position(|signs| signs.contains(sign))?;
        Some((level, sign))
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let (sign, function) = match self.peek() {
            Token::Sign("!") => ("!", "!_"),
            Token::Sign("-") => ("-", "-_"),
            _ => return self.member(),
        };
        let at = self.at();
        let mut count = 0;
        while self.sign(sign).is_some() {
            count += 1;
        }
        if sign == "-" {
            // A sign before a number is part of it.
            let negative = match self.peek() {
                Token::Literal(Literal::Int(number)) => Some(Literal::Int(-number)),
                Token::Literal(Literal::Double(number)) => Some(Literal::Double(-number)),
                Token::Least => Some(Literal::Int(i64::MIN)),
                _ => None,
            };
            if let (Some(negative), Some((_, token))) = (negative, self.tokens.get_mut(self.next)) {
                *token = Token::Literal(negative);
                count -= 1;
            }
        }
        let operand = self.member()?;
        if count % 2 == 0 {
            return Ok(operand);
        }
        let depth = operand.depth;
        let function = function.to_owned();
        node(at, depth, Kind::Call { target: None, function, args: vec![operand] })
    }

    fn member(&mut self) -> Parsed<Expr> {
        let mut operand = self.primary()?;
        loop {
            if let Some(at) = self.sign(".") {
                let optional = self.sign("?").is_some();
                let field = self.name()?;
                let call = self.at();
                if !optional && self.sign("(").is_some() {
                    let args = self.arguments(")")?;
                    operand = macros::call(call, Some(operand), field, args)?;
                    continue;
                }
                let access = if optional { Access::Optional } else { Access::Value };
                let depth = operand.depth;
                let kind = Kind::Select { operand: Box::new(operand), field, access };
                operand = node(at, depth, kind)?;
            } else if let Some(at) = self.sign("[") {
                let access =
                    if self.sign("?").is_some() { Access::Optional } else { Access::Value };
                let index = self.expr()?;
                self.expect("]")?;
                let depth = deepest([&operand, &index]);
                let (operand_, index) = (Box::new(operand), Box::new(index));
                operand = node(at, depth, Kind::Index { operand: operand_, index, access })?;
            } else {
                return Ok(operand);
            }
        }
    }

    fn name(&mut self) -> Parsed<String> {
        if !matches!(self.peek(), Token::Ident(_)) {
            return Err(self.unexpected("IDENTIFIER"));
        }
        match self.advance() {
            Token::Ident(name) => Ok(name),
            _ => Ok(String::new()),
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let at = self.at();
        match self.peek().clone() {
            Token::Literal(literal) => {
                self.next += 1;
                node(at, 0, Kind::Literal(literal))
            }
            Token::Least => Err(Issue::new(at, "invalid int literal")),
            Token::Ident(_) | Token::Sign(".") => self.named(at),
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.expr()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("[") => {
                self.next += 1;
                let mut items = vec![];
                while self.sign("]").is_none() {
                    let optional = self.sign("?").is_some();
                    items.push(Item { optional, value: self.expr()? });
                    if self.sign(",").is_none() {
                        self.expect("]")?;
                        break;
                    }
                }
                node(at, deepest(items.iter().map(|item| &item.value)), Kind::List(items))
            }
            Token::Sign("{") => {
                self.next += 1;
                let mut entries = vec![];
                while self.sign("}").is_none() {
                    let optional = self.sign("?").is_some();
                    let key = self.expr()?;
                    self.expect(":")?;
                    entries.push(Entry { key, item: Item { optional, value: self.expr()? } });
                    if self.sign(",").is_none() {
                        self.expect("}")?;
                        break;
                    }
                }
                let parts = entries.iter().flat_map(|entry| [&entry.key, &entry.item.value]);
                node(at, deepest(parts), Kind::Map(entries))
            }
            _ => Err(self.unexpected("an expression")),
        }
    }

    /// A variable, a call without a target, or an object under construction.
    fn named(&mut self, at: usize) -> Parsed<Expr> {
        let leading = if self.sign(".").is_some() { "." } else { "" };
        let name = self.name()?;
        let call = self.at();
        if self.sign("(").is_some() {
            let args = self.arguments(")")?;
            return macros::call(call, None, format!("{leading}{name}"), args);
        }
        if let Some(struct_name) = self.struct_name(&name) {
            return self.construct(at, format!("{leading}{struct_name}"));
        }
        if RESERVED.contains(&&*name) {
            return Err(Issue::new(at, format!("reserved identifier: {name}")));
        }
        node(at, 0, Kind::Ident(format!("{leading}{name}")))
    }

    /// `a.b.C` if what follows the name makes it the type of an object under construction.
    fn struct_name(&mut self, first: &str) -> Option<String> {
        let mut ahead = self.next;
        let mut name = first.to_owned();
        loop {
            match self.tokens.get(ahead).map(|(_, token)| token)? {
                Token::Sign("{") => {
                    self.next = ahead + 1;
                    return Some(name);
                }
                Token::Sign(".") => match self.tokens.get(ahead + 1).map(|(_, token)| token)? {
                    Token::Ident(part) => {
                        name = format!("{name}.{part}");
                        ahead += 2;
                    }
                    _ => return None,
                },
                _ => return None,
            }
        }
    }

    fn construct(&mut self, at: usize, name: String) -> Parsed<Expr> {
        let mut fields = vec![];
        while self.sign("}").is_none() {
            let optional = self.sign("?").is_some();
            let field = self.name()?;
            self.expect(":")?;
            fields.push((field, Item { optional, value: self.expr()? }));
            if self.sign(",").is_none() {
                self.expect("}")?;
                break;
            }
        }
        let depth = deepest(fields.iter().map(|(_, item)| &item.value));
        node(at, depth, Kind::Struct { name, fields })
    }

    fn arguments(&mut self, end: &str) -> Parsed<Vec<Expr>> {
        let mut args = vec![];
        if self.sign(end).is_some() {
            return Ok(args);
        }
        loop {
            args.push(self.expr()?);
            if self.sign(",").is_none() {
                self.expect(end)?;
                return Ok(args);
            }
        }
    }
}
