//! The part of Kubernetes' JSONPath that printer columns use: fields, indices, wildcards, slices
//! and filters.

use serde_json::Value;

/// The most nodes that a path may lead to.
const MOST: usize = 10_000;

/// A path that was read once.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    All,
    /// Everything below, at any depth.
    Below,
    Filter(Vec<Step>, Option<(Comparison, Value)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl JsonPath {
    /// Reads a path; `None` if it is none.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let steps = reader.steps(false)?;
        reader.rest.is_empty().then_some(Self(steps))
    }

    /// What the path leads to.
    pub(super) fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        follow(&self.0, value)
    }

    /// The first of it.
    pub(super) fn first<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.find(value).into_iter().next()
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn steps(&mut self, in_filter: bool) -> Option<Vec<Step>> {
        let mut steps = vec![];
        loop {
            if self.take("..") {
                steps.push(Step::Below);
                if !self.rest.starts_with('[') {
                    steps.push(self.name()?);
                }
            } else if self.take(".") {
                if self.rest.is_empty() || self.rest.starts_with('[') {
                    continue;
                }
                steps.push(self.name()?);
            } else if self.take("[") {
                steps.push(self.bracket()?);
            } else if self.rest.is_empty() || in_filter {
                return Some(steps);
            } else {
                return None;
            }
        }
    }

    /// A name up to the next delimiter; a backslash takes its meaning away.
    fn name(&mut self) -> Option<Step> {
        if self.take("*") {
            return Some(Step::All);
        }
        let mut name = String::new();
        let mut end = self.rest.len();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => name.push(chars.next()?.1),
                '.' | '[' | ']' | ' ' | '=' | '!' | '<' | '>' | ')' => {
                    end = at;
                    break;
                }
                c => name.push(c),
            }
        }
        self.rest = self.rest.get(end..)?;
        (!name.is_empty()).then_some(Step::Field(name))
    }

    fn bracket(&mut self) -> Option<Step> {
        if self.take("?(") {
            let step = self.filter()?;
            return self.take("]").then_some(step);
        }
        if self.take("*") {
            return self.take("]").then_some(Step::All);
        }
        for quote in ['\'', '"'] {
            if let Some(rest) = self.rest.strip_prefix(quote) {
                let end = rest.find(quote)?;
                let name = rest.get(..end)?.replace("\\.", ".");
                self.rest = rest.get(end + 1..)?;
                return self.take("]").then_some(Step::Field(name));
            }
        }
        let end = self.rest.find(']')?;
        let inner = self.rest.get(..end)?.trim();
        self.rest = self.rest.get(end + 1..)?;
        let number = |text: &str| -> Option<Option<i64>> {
            if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
        };
        match inner.split_once(':') {
            Some((from, to)) => Some(Step::Slice(number(from)?, number(to)?)),
            None => inner.parse().ok().map(Step::Index),
        }
    }

    fn filter(&mut self) -> Option<Step> {
        self.rest = self.rest.trim_start();
        if !self.take("@") {
            return None;
        }
        let steps = self.steps(true)?;
        self.rest = self.rest.trim_start();
        if self.take(")") {
            return Some(Step::Filter(steps, None));
        }
        let comparison = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ]
        .into_iter()
        .find(|(sign, _)| self.take(sign))?
        .1;
        let rest = self.rest.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (value, rest) = match quote {
            Some(quote) => {
                let rest = rest.get(1..)?;
                let end = rest.find(quote)?;
                (Value::from(rest.get(..end)?), rest.get(end + 1..)?)
            }
            None => {
                let end = rest.find(')')?;
                (serde_json::from_str(rest.get(..end)?.trim()).ok()?, rest.get(end..)?)
            }
        };
        self.rest = rest.trim_start();
        self.take(")").then_some(Step::Filter(steps, Some((comparison, value))))
    }
}

fn follow<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![value];
    for step in steps {
        let mut next = vec![];
        for value in found {
            step_into(step, value, &mut next);
            next.truncate(MOST);
        }
        found = next;
    }
    found
}

fn step_into<'a>(step: &Step, value: &'a Value, next: &mut Vec<&'a Value>) {
    match (step, value) {
        (Step::Field(name), Value::Object(fields)) => next.extend(fields.get(name)),
        (Step::Index(at), Value::Array(items)) => {
            next.extend(place(*at, items.len()).and_then(|at| items.get(at)));
        }
        (Step::Slice(from, to), Value::Array(items)) => {
            let bound = |at: Option<i64>, or: usize| {
                at.map_or(Some(or), |at| place(at, items.len() + 1)).unwrap_or(or)
            };
            let (from, to) = (bound(*from, 0), bound(*to, items.len()).min(items.len()));
            next.extend(items.get(from..to).into_iter().flatten());
        }
        (Step::All, Value::Array(items)) => next.extend(items),
        (Step::All, Value::Object(fields)) => next.extend(fields.values()),
        (Step::Below, value) => below(value, next),
        (Step::Filter(steps, test), Value::Array(items)) => {
            next.extend(items.iter().filter(|item| {
                let found = follow(steps, item);
                match test {
                    None => !found.is_empty(),
                    Some((comparison, wanted)) => {
                        found.first().is_some_and(|found| compare(found, *comparison, wanted))
                    }
                }
            }));
        }
        _ => {}
    }
}

fn below<'a>(value: &'a Value, next: &mut Vec<&'a Value>) {
    if next.len() >= MOST {
        return;
    }
    next.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| below(item, next)),
        Value::Object(fields) => fields.values().for_each(|field| below(field, next)),
        _ => {}
    }
}

/// An index from the front or, negative, from behind.
fn place(at: i64, length: usize) -> Option<usize> {
    match usize::try_from(at) {
        Ok(at) => Some(at),
        Err(_) => length.checked_sub(usize::try_from(at.unsigned_abs()).ok()?),
    }
}

fn compare(found: &Value, comparison: Comparison, wanted: &Value) -> bool {
    let order = match (found, wanted) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b))
        }
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    let Some(order) = order else { return comparison == Comparison::NotEqual };
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_of_printer_columns() {
        let value = json!({
            "spec": {"a": 1, "list": [1, 2, 3], "a.b": "dot"},
            "status": {"conditions": [
                {"type": "Ready", "status": "True"}, {"type": "Other", "status": "False", "n": 5}]},
        });
        for (path, expected) in [
            (".spec.a", json!([1])),
            (".spec.list[0]", json!([1])),
            (".spec.list[-1]", json!([3])),
            (".spec.list[1:]", json!([2, 3])),
            (".spec.list[*]", json!([1, 2, 3])),
            (r".spec.a\.b", json!(["dot"])),
            (".spec['a.b']", json!(["dot"])),
            (r#".status.conditions[?(@.type=="Ready")].status"#, json!(["True"])),
            (".status.conditions[?(@.type == 'Other')].status", json!(["False"])),
            (".status.conditions[?(@.n > 4)].type", json!(["Other"])),
            (".status.conditions[?(@.n)].type", json!(["Other"])),
            (".status.conditions[*].type", json!(["Ready", "Other"])),
            ("..type", json!(["Ready", "Other"])),
            (".nothing.here", json!([])),
        ] {
            let found = JsonPath::new(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(json!(found.find(&value)), expected, "{path}");
        }
        for path in [".a[", ".a[?(x)]", "a", ".a[x]"] {
            assert_eq!(JsonPath::new(path), None, "{path}");
        }
    }
}
