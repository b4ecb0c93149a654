//! `$((...))`: whole numbers, names, and C's operators without assignment.

use std::collections::BTreeMap;

/// How deep brackets lie in each other at most.
const DEEPEST: usize = 40;

/// Binary operators, the loosest first; longer spellings before their beginnings.
const LEVELS: &[&[&str]] = &[
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

/// What `text` comes to.
pub(super) fn value(text: &str, variables: &BTreeMap<String, String>) -> Result<i64, String> {
    let mut sum = Sum { rest: text, variables, depth: 0 };
    let value = sum.choice()?;
    if sum.skip().is_empty() {
        Ok(value)
    } else {
        Err(format!("arithmetic syntax error: {text:?}"))
    }
}

struct Sum<'a> {
    rest: &'a str,
    variables: &'a BTreeMap<String, String>,
    depth: usize,
}

impl<'a> Sum<'a> {
    fn skip(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    fn eat(&mut self, wanted: &str) -> bool {
        match self.skip().strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn choice(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("arithmetic syntax error: nested too deeply".to_owned());
        }
        let condition = self.level(0)?;
        let value = if self.eat("?") {
            let yes = self.choice()?;
            if !self.eat(":") {
                return Err("arithmetic syntax error: a : is missing".to_owned());
            }
            let no = self.choice()?;
            if condition != 0 { yes } else { no }
        } else {
            condition
        };
        self.depth -= 1;
        Ok(value)
    }

    fn level(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        'more: loop {
            let rest = self.skip();
            for operator in *operators {
                // "<" is not the beginning of "<<", nor "&" of "&&".
                let doubled = operator.len() == 1
                    && "<>&|".contains(operator)
                    && rest.get(1..2) == Some(operator);
                if rest.starts_with(operator) && !doubled {
                    self.rest = rest.get(operator.len()..).unwrap_or_default();
                    let right = self.level(level + 1)?;
                    left = apply(operator, left, right)?;
                    continue 'more;
                }
            }
            return Ok(left);
        }
    }

    fn unary(&mut self) -> Result<i64, String> {
        let mut signs = Vec::new();
        while let Some(sign) = ["-", "+", "!", "~"].into_iter().find(|sign| self.eat(sign)) {
            signs.push(sign);
        }
        let mut value = self.atom()?;
        for sign in signs.into_iter().rev() {
            value = match sign {
                "-" => value.wrapping_neg(),
                "!" => i64::from(value == 0),
                "~" => !value,
                _ => value,
            };
        }
        Ok(value)
    }

    fn atom(&mut self) -> Result<i64, String> {
        if self.eat("(") {
            let value = self.choice()?;
            return if self.eat(")") {
                Ok(value)
            } else {
                Err("arithmetic syntax error: a ) is missing".to_owned())
            };
        }
        let rest = self.skip();
        let end = rest
            .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.rest = after;
        if word.starts_with(|letter: char| letter.is_ascii_digit()) {
            return number(word);
        }
        if word.is_empty() {
            return Err(format!("arithmetic syntax error: {rest:?}"));
        }
        match self.variables.get(word).map(|value| value.trim()).filter(|value| !value.is_empty()) {
            Some(value) => match value.strip_prefix('-') {
                Some(digits) => Ok(number(digits)?.wrapping_neg()),
                None => number(value),
            },
            None => Ok(0),
        }
    }
}

fn number(text: &str) -> Result<i64, String> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    i64::from_str_radix(digits, radix).map_err(|_| format!("{text:?} is not a number"))
}

fn apply(operator: &str, left: i64, right: i64) -> Result<i64, String> {
    let shift = u32::try_from(right & 63).unwrap_or_default();
    Ok(match operator {
        "||" => i64::from(left != 0 || right != 0),
        "&&" => i64::from(left != 0 && right != 0),
        "|" => left | right,
        "^" => left ^ right,
        "&" => left & right,
        "==" => i64::from(left == right),
        "!=" => i64::from(left != right),
        "<=" => i64::from(left <= right),
        ">=" => i64::from(left >= right),
        "<" => i64::from(left < right),
        ">" => i64::from(left > right),
        "<<" => left.wrapping_shl(shift),
        ">>" => left.wrapping_shr(shift),
        "+" => left.wrapping_add(right),
        "-" => left.wrapping_sub(right),
        "*" => left.wrapping_mul(right),
        "/" | "%" if right == 0 => return Err("divide by zero".to_owned()),
        "/" => left.wrapping_div(right),
        _ => left.wrapping_rem(right),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_to_something() {
        let variables =
            [("n".to_owned(), "41".to_owned()), ("m".to_owned(), "-2".to_owned())].into();
        for (text, expected) in [
            ("1 + 2*3", Some(7)),
            ("(1+2)*3", Some(9)),
            ("n+1", Some(42)),
            ("n % 2 == 1 && m < 0", Some(1)),
            ("-m", Some(2)),
            ("!0 + ~0", Some(0)),
            ("1 << 4 | 1", Some(17)),
            ("nothing", Some(0)),
            ("n > 40 ? 1 : 2", Some(1)),
            ("010 + 0x10", Some(24)),
            ("7 / 0", None),
            ("1 +", None),
            ("(1", None),
            ("1 2", None),
        ] {
            assert_eq!(value(text, &variables).ok(), expected, "{text}");
        }
        assert!(value(&"(".repeat(100_000), &variables).is_err());
    }
}
