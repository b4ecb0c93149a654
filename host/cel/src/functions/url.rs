//! URLs and their parts, as Go reads those of requests: with a scheme, or an absolute path.

use std::collections::BTreeMap;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::{Cost, Declared, Extension, Out, failed, no_overload, text};
use crate::value::Value;

pub(super) const TABLE: &[Declared] = &[
    Declared("url(string) url", Cost::First, |_, args| match args {
        [Value::String(text)] => match Url::parse(text) {
            Ok(url) => Ok(Extension::Url(Arc::new(url)).into()),
            Err(why) => failed(format!(
                "URL parse error during conversion from string: parse {:?}: {why}",
                &**text
            )),
        },
        _ => no_overload(),
    }),
    Declared("isURL(string) bool", Cost::First, |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(Url::parse(text).is_ok())),
        _ => no_overload(),
    }),
    Declared("url|getScheme() string", Cost::One, |_, args| part(args, |url| text(&*url.scheme))),
    Declared("url|getHost() string", Cost::One, |_, args| part(args, |url| text(&*url.host))),
    Declared("url|getHostname() string", Cost::One, |_, args| {
        part(args, |url| text(url.hostname()))
    }),
    Declared("url|getPort() string", Cost::One, |_, args| part(args, |url| text(url.port()))),
    Declared("url|getEscapedPath() string", Cost::One, |_, args| {
        part(args, |url| text(&*url.path))
    }),
    Declared("url|getQuery() map<string, list<string>>", Cost::One, |_, args| {
        part(args, |url| {
            let mut values: BTreeMap<String, Vec<Value<'_>>> = BTreeMap::new();
            for pair in url.query.split('&').filter(|pair| !pair.is_empty()) {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                // A pair that cannot be read is left out.
                if let (Some(key), Some(value)) = (unescaped(key), unescaped(value)) {
                    values.entry(key).or_default().push(Value::string(value));
                }
            }
            Ok(Value::map(values.into_iter().map(|(key, values)| (key, Value::list(values)))))
        })
    }),
];

fn part<'a>(args: &[Value<'a>], of: fn(&Url) -> Out<'static>) -> Out<'a> {
    match args {
        [Value::Extension(Extension::Url(url))] => of(url),
        _ => no_overload(),
    }
}

fn unescaped(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    escapes(&spaced)?;
    percent_decode_str(&spaced).decode_utf8().ok().map(|text| text.into_owned())
}

/// Whether every `%` is followed by two hexadecimal digits.
fn escapes(text: &str) -> Option<()> {
    let whole = text.split('%').skip(1).all(|after| {
        after.len() >= 2 && after.bytes().take(2).all(|digit| digit.is_ascii_hexdigit())
    });
    whole.then_some(())
}

#[derive(Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct Url {
    pub(super) text: String,
    scheme: String,
    /// With the port, without user and password.
    host: String,
    path: String,
    query: String,
}

impl Url {
    /// The error is worded as Go does.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.chars().any(|c| c.is_control()) {
            return Err("net/url: invalid control character in URL".into());
        }
        if text.is_empty() {
            return Err("empty url".into());
        }
        let (scheme, rest) = scheme(text)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if scheme.is_empty() && !rest.starts_with('/') {
            return Err("invalid URI for request".into());
        }
        if !scheme.is_empty() && !rest.starts_with('/') {
            return Err("invalid URI for request".into());
        }
        let authority =
            rest.strip_prefix("//").filter(|_| !scheme.is_empty() || !rest.starts_with("///"));
        let (host, path) = match authority {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        check_host(host)?;
        if escapes(path).is_none() {
            return Err("invalid URL escape".into());
        }
        let encode = |c: char| match c {
            c if c.is_ascii_alphanumeric() || "-_.~/%$&+,:;=@!'()*[]".contains(c) => c.to_string(),
            c => {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02X}")).collect()
            }
        };
        Ok(Self {
            text: text.to_owned(),
            scheme: scheme.to_ascii_lowercase(),
            host: host.to_owned(),
            path: path.chars().map(encode).collect(),
            query: query.to_owned(),
        })
    }

    /// Where the host's name ends.
    fn split(&self) -> (&str, &str) {
        let behind = self.host.rfind(']').map_or(0, |bracket| bracket + 1);
        match self.host[behind..].rfind(':') {
            Some(colon) => (&self.host[..behind + colon], &self.host[behind + colon + 1..]),
            None => (&self.host, ""),
        }
    }

    fn hostname(&self) -> &str {
        let name = self.split().0;
        name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name)
    }

    fn port(&self) -> &str {
        self.split().1
    }
}

/// The scheme, and what stands behind its colon.
fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err("missing protocol scheme".into()),
            ':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn check_host(host: &str) -> Result<(), String> {
    let port = if let Some(inner) = host.strip_prefix('[') {
        let (_, behind) = inner.split_once(']').ok_or("missing ']' in host")?;
        if behind.is_empty() { None } else { Some(behind) }
    } else {
        if let Some(bad) = host
            .chars()
            .find(|c| matches!(c, ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
        {
            return Err(format!("invalid character {bad:?} in host name").replace('\'', "\""));
        }
        host.rfind(':').map(|colon| &host[colon..])
    };
    match port.map(|port| (port, port.strip_prefix(':'))) {
        None => Ok(()),
        Some((_, Some(digits))) if digits.bytes().all(|digit| digit.is_ascii_digit()) => Ok(()),
        Some((port, _)) => Err(format!("invalid port {port:?} after host")),
    }
}
