//! `test`, which is `[` too.

use std::fs;

use crate::call::{Call, Failure, Outcome};

/// How deep brackets and negations lie in each other at most.
const DEEPEST: usize = 40;

pub(super) fn test(call: &mut Call<'_>) -> Outcome {
    let mut words = call.arguments.get(1..).unwrap_or_default();
    if call.name() == "[" {
        words = match words.split_last() {
            Some((last, words)) if last == "]" => words,
            _ => return Err(Failure::new(2, "missing ]")),
        };
    }
    if words.is_empty() {
        return Ok(1);
    }
    let mut condition = Condition { call, words, depth: 0 };
    let holds = condition.any()?;
    match condition.words.first() {
        None => Ok(u8::from(!holds)),
        Some(word) => Err(Failure::new(2, format!("{word}: unknown operand"))),
    }
}

struct Condition<'a, 'b> {
    call: &'a Call<'b>,
    words: &'a [String],
    depth: usize,
}

impl<'a> Condition<'a, '_> {
    fn take(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let found = self.words.first().is_some_and(|word| word == wanted);
        if found {
            self.take();
        }
        found
    }

    fn any(&mut self) -> Result<bool, Failure> {
        let mut holds = self.all()?;
        while self.eat("-o") {
            holds |= self.all()?;
        }
        Ok(holds)
    }

    fn all(&mut self) -> Result<bool, Failure> {
        let mut holds = self.one()?;
        while self.eat("-a") {
            holds &= self.one()?;
        }
        Ok(holds)
    }

    fn one(&mut self) -> Result<bool, Failure> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Failure::new(2, "nested too deeply"));
        }
        let holds = self.primary();
        self.depth -= 1;
        holds
    }

    fn primary(&mut self) -> Result<bool, Failure> {
        if let [left, operator, right, ..] = self.words
            && let Some(holds) = compared(left, operator, right)?
        {
            self.words = self.words.get(3..).unwrap_or_default();
            return Ok(holds);
        }
        let word = self.take().ok_or_else(|| Failure::new(2, "argument expected"))?;
        match word {
            "!" if !self.words.is_empty() => Ok(!self.one()?),
            "(" if !self.words.is_empty() => {
                let holds = self.any()?;
                if self.eat(")") {
                    Ok(holds)
                } else {
                    Err(Failure::new(2, "closing paren expected"))
                }
            }
            option if is_unary(option) && !self.words.is_empty() => {
                let operand = self.take().unwrap_or_default();
                Ok(self.file_or_text(option, operand))
            }
            text => Ok(!text.is_empty()),
        }
    }

    fn file_or_text(&self, option: &str, operand: &str) -> bool {
        let place = self.call.path(operand);
        let found = || fs::metadata(&place);
        match option {
            "-z" => operand.is_empty(),
            "-n" => !operand.is_empty(),
            // No stream is a terminal.
            "-t" => false,
            "-d" => operand == "/" || place.is_dir(),
            "-f" => place.is_file(),
            "-s" => found().is_ok_and(|found| found.len() > 0),
            "-L" | "-h" => fs::symlink_metadata(&place).is_ok_and(|found| found.is_symlink()),
            "-w" => found().is_ok_and(|found| !found.permissions().readonly()),
            // Nothing of a file can be executed.
            "-x" => place.is_dir(),
            _ => operand == "/dev/null" || place.exists(),
        }
    }
}

fn is_unary(word: &str) -> bool {
    matches!(
        word,
        "-z" | "-n" | "-t" | "-d" | "-f" | "-s" | "-L" | "-h" | "-w" | "-x" | "-e" | "-r"
    )
}

/// The outcome of a comparison; none if `operator` is none.
fn compared(left: &str, operator: &str, right: &str) -> Result<Option<bool>, Failure> {
    let number = |text: &str| {
        text.trim().parse::<i64>().map_err(|_| Failure::new(2, format!("{text}: bad number")))
    };
    Ok(Some(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        ">" => left > right,
        "-eq" => number(left)? == number(right)?,
        "-ne" => number(left)? != number(right)?,
        "-lt" => number(left)? < number(right)?,
        "-le" => number(left)? <= number(right)?,
        "-gt" => number(left)? > number(right)?,
        "-ge" => number(left)? >= number(right)?,
        _ => return Ok(None),
    }))
}
