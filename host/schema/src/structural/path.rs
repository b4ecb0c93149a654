//! Paths to fields as rules and selectable fields write them: `.spec.a['b.c']`.

use super::{Additional, Structural};

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `.name`
    Field(String),
    /// `[name]`, a key of a map.
    Key(String),
}

/// The text of a path, as errors show it.
pub fn text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Field(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Step::Key(name) => text.push_str(&format!("[{name}]")),
        }
    }
    text
}

/// The steps of `path` below `schema`, and the schema at their end; an explanation if there is no
/// such field.
pub fn resolve<'a>(
    path: &str,
    mut schema: &'a Structural,
    brackets: bool,
) -> Result<(Vec<Step>, &'a Structural), String> {
    let mut steps = vec![];
    let mut tokens = tokens(path).into_iter();
    while let Some(token) = tokens.next() {
        let name = match token.as_str() {
            "." => tokens.next().ok_or("unexpected end of JSON path")?,
            "[" if !brackets => return Err("array notation is not allowed".into()),
            "[" => {
                let quoted = tokens.next().ok_or("unexpected end of JSON path")?;
                let inner = quoted.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
                let inner = inner
                    .ok_or_else(|| format!("expected single quoted string but got {quoted}"))?;
                let name = unescape(inner)?;
                match tokens.next().as_deref() {
                    Some("]") => {}
                    Some(other) => return Err(format!("expected ] but got {other}")),
                    None => return Err("unexpected end of JSON path".into()),
                }
                name
            }
            other => return Err(format!("expected [ or . but got: {other}")),
        };
        let missing = || "does not refer to a valid field".to_owned();
        if !schema.properties.is_empty() {
            schema = schema.properties.get(&name).ok_or_else(missing)?;
            steps.push(Step::Field(name));
        } else if let Some(Additional::Schema(additional)) = &schema.additional {
            schema = additional;
            steps.push(Step::Key(name));
        } else {
            return Err(missing());
        }
    }
    Ok((steps, schema))
}

/// `.`, `[`, `]`, and what stands between them.
fn tokens(path: &str) -> Vec<String> {
    let mut tokens = vec![];
    let mut token = String::new();
    let mut quoted = false;
    let mut previous = ' ';
    for c in path.chars() {
        if quoted {
            token.push(c);
            if c == '\'' && previous != '\\' {
                quoted = false;
                tokens.push(std::mem::take(&mut token));
            }
        } else if matches!(c, '.' | '[' | ']') {
            if !token.is_empty() {
                tokens.push(std::mem::take(&mut token));
            }
            tokens.push(c.to_string());
        } else {
            quoted = c == '\'' && token.is_empty();
            token.push(c);
        }
        previous = c;
    }
    if !token.is_empty() {
        tokens.push(token);
    }
    tokens
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next() {
            Some('a') => '\x07',
            Some('b') => '\x08',
            Some('f') => '\x0c',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\x0b',
            Some('\'') => '\'',
            Some('\\') => '\\',
            Some(other) => {
                return Err(format!("invalid string literal: invalid escape char \\{other}"));
            }
            None => '\\',
        });
    }
    Ok(out)
}
