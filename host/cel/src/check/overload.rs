//! Which functions a call may mean.

use super::{Checker, Inferred, available, qualified};
use crate::ast::{Expr, Kind, Literal};
use crate::declaration::Type;
use crate::error::Issue;
use crate::functions::{Overload, regex, time};
use crate::program::{Call, Node};

impl Checker<'_> {
    pub(super) fn call(
        &mut self,
        at: usize,
        target: Option<&Expr>,
        function: &str,
        args: &[Expr],
    ) -> Inferred {
        let plain = function.trim_start_matches('.');
        let Some(target) = target else {
            return match available(self.env, plain) {
                Some(overloads) => self.resolve(at, plain, overloads, None, args),
                None => {
                    for arg in args {
                        self.infer(arg);
                    }
                    self.undeclared(at, plain)
                }
            };
        };
        // `optional.of(x)` and its like: a function whose name has dots.
        if let Some(name) = qualified(target).filter(|name| !self.is_local(name)) {
            let name = format!("{}.{function}", name.trim_start_matches('.'));
            if let Some(overloads) = available(self.env, &name) {
                return self.resolve(at, &name, overloads, None, args);
            }
        }
        match available(self.env, function) {
            Some(overloads) => self.resolve(at, function, overloads, Some(target), args),
            None => {
                self.infer(target);
                for arg in args {
                    self.infer(arg);
                }
                self.undeclared(at, function)
            }
        }
    }

    fn resolve(
        &mut self,
        at: usize,
        name: &str,
        overloads: &'static [Overload],
        target: Option<&Expr>,
        args: &[Expr],
    ) -> Inferred {
        let member = target.is_some();
        let (nodes, types): (Vec<_>, Vec<_>) =
            target.into_iter().chain(args).map(|part| self.infer(part)).unzip();
        let mut candidates = vec![];
        let mut result: Option<Type> = None;
        for overload in overloads {
            if overload.member != member || overload.parameters.len() != types.len() {
                continue;
            }
            let mark = self.unifier.mark();
            let base = self.unifier.variables(overload.variables);
            let fits = overload.parameters.iter().zip(&types).all(|(parameter, given)| {
                let parameter = parameter.instantiated(base);
                self.unifier.assignable(&parameter, given)
            });
            if !fits {
                self.unifier.undo(mark);
                continue;
            }
            candidates.push(overload);
            let found = overload.result.instantiated(base);
            let found = self.unifier.resolve(&found);
            result = Some(match result {
                None => found,
                Some(known) if known.is_exactly(&found) => known,
                Some(_) => Type::Dyn,
            });
        }
        let (Some(first), Some(result)) = (candidates.first(), result) else {
            return self.no_overload(at, name, member, &types);
        };
        let function = first.name;
        let pattern = self.literals(function, args);
        let call = Call { function, overloads: candidates, args: nodes, pattern };
        (Node::Call(Box::new(call)), result)
    }

    /// Checks literal arguments that are no good for their function; compiles a pattern.
    fn literals(&mut self, function: &str, args: &[Expr]) -> Option<::regex::Regex> {
        let literal = |expr: &Expr| match &expr.kind {
            Kind::Literal(Literal::String(text)) => Some((expr.at, text.clone())),
            _ => None,
        };
        if regex::takes_pattern(function) {
            // The pattern comes last, but for a limit behind it.
            let (at, pattern) = args.iter().filter_map(literal).next_back()?;
            let behind =
                args.iter().rev().find(|arg| !matches!(arg.kind, Kind::Literal(Literal::Int(_))));
            if behind.is_none_or(|last| last.at != at) {
                return None;
            }
            return match regex::compile(&pattern) {
                Ok(compiled) => Some(compiled),
                Err(_) => {
                    self.issues.push(Issue::new(at, "invalid matches argument"));
                    None
                }
            };
        }
        let [only] = args else { return None };
        let (at, text) = literal(only)?;
        let good = match function {
            "duration" => time::parse_duration(&text).is_some(),
            "timestamp" => time::parse_timestamp(&text).is_some(),
            _ => true,
        };
        if !good {
            self.issues.push(Issue::new(at, format!("invalid {function} argument")));
        }
        None
    }

    pub(super) fn no_overload(
        &mut self,
        at: usize,
        name: &str,
        member: bool,
        types: &[Type],
    ) -> Inferred {
        // Something that is wrong in itself has been reported.
        if types.iter().any(|r#type| matches!(self.unifier.resolve(r#type), Type::Error)) {
            return (Node::Const(crate::Value::Null), Type::Error);
        }
        let mut shown: Vec<_> = types.iter().map(|r#type| self.unifier.show(r#type)).collect();
        let target = if member { format!("{}.", shown.remove(0)) } else { String::new() };
        let applied = format!("{target}({})", shown.join(", "));
        self.fault(at, format!("found no matching overload for '{name}' applied to '{applied}'"))
    }
}
