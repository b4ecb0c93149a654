//! Calls that are macros: recognised by name and number of arguments, as the language has it.

use super::parser::{Parsed, node};
use crate::ast::{Access, Expr, Fold, Kind, Shape};
use crate::error::Issue;

/// A call, or what it stands for.
pub(super) fn call(
    at: usize,
    target: Option<Expr>,
    function: String,
    mut args: Vec<Expr>,
) -> Parsed<Expr> {
    let depth = target.iter().chain(&args).map(|part| part.depth).max().unwrap_or(0);
    let Some(target) = target else {
        if function == "has" && args.len() == 1 {
            return has(at, args.remove(0));
        }
        return node(at, depth, Kind::Call { target: None, function, args });
    };
    let kind = match (&*function, args.len()) {
        ("optMap" | "optFlatMap", 2) => {
            let flat = function == "optFlatMap";
            let why = format!("{function}() variable name must be a simple identifier");
            let variable = simple_name(&args[0], &why)?;
            let body = Box::new(args.remove(1));
            Kind::OptMap { target: Box::new(target), variable, body, flat }
        }
        _ => match shape(&function, args.len()) {
            Some((shape, variables, filtered)) => {
                fold(target, &function, shape, variables, filtered, args)?
            }
            None => Kind::Call { target: Some(Box::new(target)), function, args },
        },
    };
    node(at, depth, kind)
}

fn has(at: usize, argument: Expr) -> Parsed<Expr> {
    match argument.kind {
        Kind::Select { operand, field, access: Access::Value } => {
            let depth = operand.depth;
            node(at, depth, Kind::Select { operand, field, access: Access::Test })
        }
        _ => Err(Issue::new(argument.at, "invalid argument to has() macro")),
    }
}

/// What a macro makes, how many variables it has and whether it has a filter.
fn shape(function: &str, arguments: usize) -> Option<(Shape, usize, bool)> {
    Some(match (function, arguments) {
        ("all", 2) => (Shape::All, 1, false),
        ("all", 3) => (Shape::All, 2, false),
        ("exists", 2) => (Shape::Exists, 1, false),
        ("exists", 3) => (Shape::Exists, 2, false),
        ("exists_one" | "existsOne", 2) => (Shape::ExistsOne, 1, false),
        ("exists_one" | "existsOne", 3) => (Shape::ExistsOne, 2, false),
        ("map", 2) => (Shape::List, 1, false),
        ("map", 3) => (Shape::List, 1, true),
        ("filter", 2) => (Shape::List, 1, true),
        ("transformList", 3) => (Shape::List, 2, false),
        ("transformList", 4) => (Shape::List, 2, true),
        ("transformMap", 3) => (Shape::Map, 2, false),
        ("transformMap", 4) => (Shape::Map, 2, true),
        ("transformMapEntry", 3) => (Shape::Entries, 2, false),
        ("transformMapEntry", 4) => (Shape::Entries, 2, true),
        _ => return None,
    })
}

fn fold(
    range: Expr,
    function: &str,
    shape: Shape,
    count: usize,
    filtered: bool,
    args: Vec<Expr>,
) -> Parsed<Kind> {
    let why = if function == "map" || function == "filter" {
        "argument is not an identifier"
    } else {
        "argument must be a simple name"
    };
    let variables: Vec<_> =
        args.iter().take(count).map(|arg| simple_name(arg, why)).collect::<Parsed<_>>()?;
    if variables.len() == 2 && variables[0] == variables[1] {
        return Err(Issue::new(args[1].at, "overlapping iteration variable names"));
    }
    let mut rest = args.into_iter().skip(count);
    let filter = if filtered { rest.next() } else { None };
    let body = match rest.next() {
        Some(body) => body,
        // A filter keeps its elements as they are.
        None => node(range.at, 0, Kind::Ident(variables[0].clone()))?,
    };
    Ok(Kind::Fold(Box::new(Fold { shape, range, variables, filter, body })))
}

fn simple_name(argument: &Expr, why: &str) -> Parsed<String> {
    match &argument.kind {
        Kind::Ident(name) if !name.starts_with('.') => Ok(name.clone()),
        _ => Err(Issue::new(argument.at, why)),
    }
}
