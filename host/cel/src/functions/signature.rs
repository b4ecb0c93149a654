//! Signatures as they are written in the tables: `string|startsWith(string) bool` is called
//! `text.startsWith(prefix)`, `size(list<A>) int` is called `size(list)`. `A`, `B` and `C` stand
//! for any type.

use super::{
    AUTHORIZER, CIDR, Cost, DECISION, FORMAT, GROUP_CHECK, IP, Overload, PATH_CHECK, QUANTITY,
    RESOURCE_CHECK, Run, SEMVER, URL,
};
use crate::declaration::Type;

pub(super) fn read(text: &'static str, cost: Cost, run: Run) -> Overload {
    let (head, result) = text.rsplit_once(") ").unwrap_or((text, "dyn"));
    let (name, inner) = head.split_once('(').unwrap_or((head, ""));
    let (receiver, name) = match name.split_once('|') {
        Some((receiver, name)) => (Some(receiver), name),
        None => (None, name),
    };
    let parameters = receiver.into_iter().chain(arguments(inner)).map(r#type).collect();
    let count = |letter: char| text.chars().any(|c| c == letter);
    let variables = ['A', 'B', 'C'].into_iter().filter(|letter| count(*letter)).count();
    let member = receiver.is_some();
    Overload { name, member, parameters, result: r#type(result), variables, cost, run }
}

/// The parts between commas that are in no angle brackets.
fn arguments(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let parts = list.split(move |c| {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn r#type(text: &str) -> Type {
    if let Some((outer, inner)) = text.strip_suffix('>').and_then(|text| text.split_once('<')) {
        let inner: Vec<_> = arguments(inner).map(r#type).collect();
        return match (outer, inner.as_slice()) {
            ("list", [element]) => Type::list(element.clone()),
            ("map", [key, value]) => Type::map(key.clone(), value.clone()),
            ("optional", [inner]) => Type::optional(inner.clone()),
            _ => Type::Error,
        };
    }
    match text {
        "A" => Type::Unknown(0),
        "B" => Type::Unknown(1),
        "C" => Type::Unknown(2),
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "duration" => Type::Duration,
        "timestamp" => Type::Timestamp,
        "type" => Type::Type,
        "quantity" => Type::Opaque(QUANTITY),
        "url" => Type::Opaque(URL),
        "ip" => Type::Opaque(IP),
        "cidr" => Type::Opaque(CIDR),
        "semver" => Type::Opaque(SEMVER),
        "format" => Type::Opaque(FORMAT),
        "authorizer" => Type::Opaque(AUTHORIZER),
        "pathcheck" => Type::Opaque(PATH_CHECK),
        "groupcheck" => Type::Opaque(GROUP_CHECK),
        "resourcecheck" => Type::Opaque(RESOURCE_CHECK),
        "decision" => Type::Opaque(DECISION),
        _ => Type::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::OVERLOADS;

    #[test]
    fn every_signature_is_understood() {
        for overload in OVERLOADS.values().flatten() {
            let types = overload.parameters.iter().chain([&overload.result]);
            for r#type in types {
                assert!(!r#type.to_string().contains('!'), "{}", overload.name);
            }
        }
    }

    #[test]
    fn reads() {
        let read = read("list<A>|join(map<A, list<B>>, string) bool", Cost::One, |_, _| {
            Ok(crate::Value::Null)
        });
        assert_eq!((read.name, read.member, read.variables), ("join", true, 2));
        let shown: Vec<_> = read.parameters.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["list(dyn)", "map(dyn, list(dyn))", "string"]);
        assert!(matches!(read.result, Type::Bool));
    }
}
