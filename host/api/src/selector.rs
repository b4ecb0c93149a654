//! Label and field selectors: parsing, printing, matching (`k8s.io/apimachinery/pkg/{labels,fields}`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::meta;

/// Why a selector cannot be understood, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

/// How a [`Requirement`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Operator {
    Equals,
    NotEquals,
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

impl Requirement {
    /// A requirement that obeys the rules for its operator, key and values.
    pub fn new(
        key: impl Into<String>,
        operator: Operator,
        values: impl IntoIterator<Item = String>,
    ) -> Result<Self, SelectorError> {
        let requirement = Self { key: key.into(), operator, values: values.into_iter().collect() };
        match requirement.faults() {
            faults if faults.is_empty() => Ok(requirement),
            faults => Err(SelectorError(faults.join(", "))),
        }
    }

    fn faults(&self) -> Vec<String> {
        let Self { key, operator, values } = self;
        let mut faults = vec![];
        let found = meta::qualified_name(key);
        if !found.is_empty() {
            faults.push(format!("key: Invalid value: {key:?}: {}", found.join("; ")));
        }
        let mut of_values = |text: &str| {
            let values: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
            faults.push(format!("values: Invalid value: [{}]: {text}", values.join(",")));
        };
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                of_values("for 'in', 'notin' operators, values set can't be empty");
            }
            Operator::Equals | Operator::NotEquals if values.len() != 1 => {
                of_values("exact-match compatibility requires one single value");
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                of_values("values set must be empty for exists and does not exist");
            }
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => {
                of_values("for 'Gt', 'Lt' operators, exactly one value is required");
            }
            Operator::GreaterThan | Operator::LessThan
                if values.iter().any(|value| value.parse::<i64>().is_err()) =>
            {
                of_values("for 'Gt', 'Lt' operators, the value must be an integer");
            }
            _ => {}
        }
        for (at, value) in values.iter().enumerate() {
            let found = meta::label_value(value);
            if !found.is_empty() {
                let found = found.join("; ");
                faults.push(format!("values[{at}][{key}]: Invalid value: {value:?}: {found}"));
            }
        }
        faults
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the label is compared.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What the label is compared with.
    pub fn values(&self) -> &BTreeSet<String> {
        &self.values
    }

    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let number = |text: &String| text.parse::<i64>().ok();
        let compared = || value.and_then(number).zip(self.values.first().and_then(number));
        match self.operator {
            Operator::Equals | Operator::In => value.is_some_and(|v| self.values.contains(v)),
            Operator::NotEquals | Operator::NotIn => value.is_none_or(|v| !self.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => compared().is_some_and(|(value, bound)| value > bound),
            Operator::LessThan => compared().is_some_and(|(value, bound)| value < bound),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        let only = values.first().map_or("", String::as_str);
        let list = || values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        match operator {
            Operator::Equals => write!(f, "{key}={only}"),
            Operator::NotEquals => write!(f, "{key}!={only}"),
            Operator::In => write!(f, "{key} in ({})", list()),
            Operator::NotIn => write!(f, "{key} notin ({})", list()),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{only}"),
            Operator::LessThan => write!(f, "{key}<{only}"),
        }
    }
}

/// A label selector. All of its requirements must hold; without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

impl Selector {
    /// A selector of `requirements`.
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements }
    }

    /// Whether this matches everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The conditions, ordered by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// The same for an object's optional labels.
    pub fn matches_some(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        const NONE: &BTreeMap<String, String> = &BTreeMap::new();
        self.matches(labels.unwrap_or(NONE))
    }
}

/// A selector of exact values, without the rules for label syntax (`labels.SelectorFromSet`).
impl From<&BTreeMap<String, String>> for Selector {
    fn from(labels: &BTreeMap<String, String>) -> Self {
        let exact = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: BTreeSet::from([value.clone()]),
        };
        Self { requirements: labels.iter().map(exact).collect() }
    }
}

impl TryFrom<&LabelSelector> for Selector {
    type Error = SelectorError;

    fn try_from(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let mut requirements = vec![];
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(Requirement::new(key, Operator::Equals, [value.clone()])?);
        }
        for expression in selector.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    let text = format!("{other:?} is not a valid label selector operator");
                    return Err(SelectorError(text));
                }
            };
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(Requirement::new(&expression.key, operator, values)?);
        }
        Ok(Self::new(requirements))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let unable =
            |SelectorError(why)| SelectorError(format!("unable to parse requirement: {why}"));
        let mut parser = Parser { tokens: lex(text), at: 0 };
        let mut requirements = vec![];
        while parser.peek() != "" || !requirements.is_empty() {
            requirements.push(parser.requirement().map_err(unable)?);
            match parser.next() {
                "" => break,
                "," => {
                    let next = parser.peek();
                    if next != "!" && !is_identifier(next) {
                        let text = format!("found '{next}', expected: identifier after ','");
                        return Err(SelectorError(text));
                    }
                }
                other => {
                    let text = format!("found '{other}', expected: ',' or 'end of string'");
                    return Err(SelectorError(text));
                }
            }
        }
        Ok(Self::new(requirements))
    }
}

fn is_special(byte: u8) -> bool {
    b"=!(),<>".contains(&byte)
}

fn is_identifier(token: &str) -> bool {
    !token.is_empty() && !token.bytes().any(is_special)
}

/// Operators, punctuation and identifiers, without white space.
fn lex(text: &str) -> Vec<&str> {
    let bytes = text.as_bytes();
    let mut tokens = vec![];
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let end = match &bytes[at..] {
            [b'=', b'=', ..] | [b'!', b'=', ..] => at + 2,
            [byte, ..] if is_special(*byte) => at + 1,
            rest => {
                let ends = |byte: &u8| is_special(*byte) || byte.is_ascii_whitespace();
                at + rest.iter().position(ends).unwrap_or(rest.len())
            }
        };
        tokens.push(&text[at..end]);
        at = end;
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

impl<'a> Parser<'a> {
    /// The next token; empty at the end.
    fn peek(&self) -> &'a str {
        self.tokens.get(self.at).copied().unwrap_or_default()
    }

    fn next(&mut self) -> &'a str {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let negated = self.peek() == "!";
        if negated {
            self.next();
        }
        let key = self.next();
        if !is_identifier(key) {
            return Err(SelectorError(format!("found '{key}', expected: identifier")));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, []);
        }
        if matches!(self.peek(), "" | ",") {
            return Requirement::new(key, Operator::Exists, []);
        }
        let operator = match self.next() {
            "=" | "==" => Operator::Equals,
            "!=" => Operator::NotEquals,
            "in" => Operator::In,
            "notin" => Operator::NotIn,
            ">" => Operator::GreaterThan,
            "<" => Operator::LessThan,
            other => {
                let text = format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt");
                return Err(SelectorError(text));
            }
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.list()?,
            _ => vec![self.exact()?],
        };
        Requirement::new(key, operator, values)
    }

    fn exact(&mut self) -> Result<String, SelectorError> {
        match self.peek() {
            "" | "," => Ok(String::new()),
            token if is_identifier(token) => Ok(self.next().to_owned()),
            other => Err(SelectorError(format!("found '{other}', expected: identifier"))),
        }
    }

    /// `(a,b)`. Values may be empty.
    fn list(&mut self) -> Result<Vec<String>, SelectorError> {
        match self.next() {
            "(" => {}
            other => return Err(SelectorError(format!("found '{other}' expected: '('"))),
        }
        if self.peek() == ")" {
            self.next();
            return Ok(vec![]);
        }
        let mut values = vec![];
        loop {
            values.push(match self.peek() {
                "," | ")" => String::new(),
                token if is_identifier(token) => self.next().to_owned(),
                other => {
                    let text = format!("found '{other}', expected: ',', ')' or identifier");
                    return Err(SelectorError(text));
                }
            });
            match self.next() {
                "," => {}
                ")" => return Ok(values),
                other => {
                    return Err(SelectorError(format!("found '{other}', expected: ',' or ')'")));
                }
            }
        }
    }
}

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTerm {
    /// The field's path, as in `spec.nodeName`.
    pub field: String,
    /// What it is compared with.
    pub value: String,
    /// Whether it must differ.
    pub negated: bool,
}

/// A field selector. All of its terms must hold; without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

impl FieldSelector {
    /// Whether this matches everything.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The conditions in the order in which they were given.
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// The same conditions on fields that are called otherwise, or the first field that has no
    /// other name.
    pub fn renamed(mut self, rename: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        for term in &mut self.terms {
            let field = rename(&term.field);
            term.field = field.ok_or_else(|| std::mem::take(&mut term.field))?;
        }
        Ok(self)
    }

    /// The one value that `field` must have, if the selector says so.
    pub fn exact(&self, field: &str) -> Option<&str> {
        let term = self.terms.iter().find(|term| term.field == field && !term.negated)?;
        Some(&term.value)
    }

    /// Whether an object is selected whose fields have the values that `value_of` tells.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> &'a str) -> bool {
        self.terms.iter().all(|term| (value_of(&term.field) == term.value) != term.negated)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, FieldTerm { field, value, negated }) in self.terms.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let operator = if *negated { "!=" } else { "=" };
            let value = value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{field}{operator}{value}")?;
        }
        Ok(())
    }
}

impl FromStr for FieldSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut terms = vec![];
        for term in split_terms(text).into_iter().filter(|term| !term.is_empty()) {
            let split = term.char_indices().find_map(|(at, _)| {
                let operators = [("!=", true), ("==", false), ("=", false)];
                let (operator, negated) =
                    operators.into_iter().find(|(operator, _)| term[at..].starts_with(operator))?;
                Some((&term[..at], &term[at + operator.len()..], negated))
            });
            let Some((field, value, negated)) = split else {
                let text = format!("invalid selector: '{text}'; can't understand '{term}'");
                return Err(SelectorError(text));
            };
            terms.push(FieldTerm { field: field.into(), value: unescape(value)?, negated });
        }
        Ok(Self { terms })
    }
}

/// Splits at the commas that no backslash precedes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = vec![];
    let (mut start, mut escaped) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut chars = value.chars();
    let mut plain = String::with_capacity(value.len());
    while let Some(char) = chars.next() {
        plain.push(match char {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => escaped,
                other => {
                    let sequence: String = ['\\'].into_iter().chain(other).collect();
                    return Err(SelectorError(format!(
                        "invalid field selector: invalid escape sequence: {sequence:?}"
                    )));
                }
            },
            ',' | '=' => {
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: {char}"
                )));
            }
            other => other,
        });
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn parses_and_prints() {
        for (text, printed) in [
            ("", ""),
            ("a=b", "a=b"),
            ("a == b", "a=b"),
            ("b!=c,a", "a,b!=c"),
            ("!a", "!a"),
            ("a in (y, x)", "a in (x,y)"),
            ("a notin(x)", "a notin (x)"),
            ("a in (,x)", "a in (,x)"),
            ("a=,b=", "a=,b="),
            ("in in (in,notin)", "in in (in,notin)"),
            ("a>1,a<5", "a>1,a<5"),
            ("example.com/app=web", "example.com/app=web"),
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn refuses() {
        for (text, why) in [
            ("a b", "found 'b', expected: in, notin"),
            ("a=b,", "found '', expected: identifier after ','"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("=b", "unable to parse requirement: found '=', expected: identifier"),
            ("a in ()", "values set can't be empty"),
            ("a in (b", "found '', expected: ',' or ')'"),
            ("a in b", "found 'b' expected: '('"),
            ("a>b", "the value must be an integer"),
            ("-a=b", "key: Invalid value: \"-a\": name part must consist"),
            ("a=-b", "values[0][a]: Invalid value: \"-b\": a valid label must"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn matches() {
        let set = labels(&[("app", "web"), ("n", "3")]);
        for (text, expected) in [
            ("", true),
            ("app=web", true),
            ("app=db", false),
            ("app!=db", true),
            ("missing!=x", true),
            ("app in (db,web)", true),
            ("app notin (web)", false),
            ("missing notin (web)", true),
            ("app", true),
            ("!app", false),
            ("!missing", true),
            ("n>2,n<4", true),
            ("n>3", false),
            ("app>1", false),
            ("app=web,missing", false),
        ] {
            assert_eq!(text.parse::<Selector>().unwrap().matches(&set), expected, "{text}");
        }
    }

    #[test]
    fn from_structures() {
        let selector = LabelSelector {
            match_labels: Some(labels(&[("app", "web")])),
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: "tier".into(),
                operator: "DoesNotExist".into(),
                values: None,
            }]),
        };
        let selector = Selector::try_from(&selector).unwrap();
        assert_eq!(selector.to_string(), "app=web,!tier");
        assert!(Selector::try_from(&LabelSelector::default()).unwrap().is_everything());
    }

    #[test]
    fn fields() {
        let selector: FieldSelector = "a.b=c\\,d,e!=f,g==".parse().unwrap();
        assert_eq!(selector.to_string(), "a.b=c\\,d,e!=f,g=");
        assert_eq!(selector.exact("a.b"), Some("c,d"));
        assert!(selector.matches(|field| if field == "a.b" { "c,d" } else { "" }));
        assert!(!selector.matches(|_| "f"));
        assert!("a".parse::<FieldSelector>().is_err());
        assert!("a=b=c".parse::<FieldSelector>().is_err());
        assert!("a=b\\c".parse::<FieldSelector>().is_err());
        assert!("".parse::<FieldSelector>().unwrap().is_everything());
    }
}
