//! What a script is made of.

use std::cell::OnceCell;
use std::rc::Rc;

/// Commands, one after another.
pub(crate) type List = Vec<AndOr>;

/// Pipelines joined by `&&` and `||`.
#[derive(Debug)]
pub(crate) struct AndOr {
    pub(crate) first: Pipeline,
    /// Whether each further one runs after a success (else after a failure).
    pub(crate) rest: Vec<(bool, Pipeline)>,
}

/// Commands joined by `|`.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) negated: bool,
    pub(crate) stages: Vec<Rc<Stage>>,
}

/// A command with its redirections.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) command: Command,
    pub(crate) redirects: Vec<Redirect>,
}

#[derive(Debug)]
pub(crate) enum Command {
    Simple {
        assignments: Vec<(String, Word)>,
        words: Vec<Word>,
    },
    Group(List),
    Subshell(List),
    If {
        arms: Vec<(List, List)>,
        otherwise: List,
    },
    Loop {
        until: bool,
        condition: List,
        body: List,
    },
    /// Without values it goes over the script's arguments.
    For {
        name: String,
        values: Option<Vec<Word>>,
        body: List,
    },
    Case {
        subject: Word,
        arms: Vec<(Vec<Word>, List)>,
    },
    Function {
        name: String,
        body: Rc<Stage>,
    },
}

#[derive(Debug)]
pub(crate) struct Redirect {
    /// 0, 1 or 2.
    pub(crate) stream: u8,
    pub(crate) to: Target,
}

#[derive(Debug)]
pub(crate) enum Target {
    Read(Word),
    Write(Word),
    Append(Word),
    /// What another stream is.
    Same(u8),
    /// Text of the script's, read when the line ends.
    Text(Rc<OnceCell<Word>>),
}

/// A word: pieces without a gap.
pub(crate) type Word = Vec<Piece>;

#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) quoted: bool,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Text(String),
    Parameter { name: String, with: With },
    Output(Rc<List>),
    Sum(Word),
}

/// What is done with a parameter's value.
#[derive(Debug)]
pub(crate) enum With {
    Nothing,
    Length,
    /// `-`, `=`, `+` or `?`; whether an empty value counts as none; the word.
    Without {
        kind: char,
        or_empty: bool,
        word: Word,
    },
    /// `#` or `%`; whether as much as possible is cut off; the pattern.
    Cut {
        kind: char,
        most: bool,
        word: Word,
    },
}
