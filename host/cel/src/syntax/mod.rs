//! From text to [`crate::ast`]: tokens, the grammar, and the macros. Knows no types.

mod lexer;
mod macros;
mod parser;

pub(crate) use parser::parse;
