//! A file of tokens: lines of token, user, uid, and optionally groups in quotes
//! (`k8s.io/apiserver/pkg/authentication/token/tokenfile`).

use super::{Identity, StaticToken};

/// A token file that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the token file: {what}")]
pub struct TokenFileError {
    line: usize,
    what: &'static str,
}

impl StaticToken {
    /// Reads the text of a token file.
    pub fn read_file(text: &str) -> Result<Vec<Self>, TokenFileError> {
        let mut tokens = vec![];
        for (at, line) in text.lines().enumerate() {
            let fault = |what| TokenFileError { line: at + 1, what };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fields = fields(line).ok_or(fault("a quoted field does not end"))?;
            let [token, name, uid, rest @ ..] = fields.as_slice() else {
                return Err(fault("it must have at least 3 columns (token, user name, user uid)"));
            };
            if token.is_empty() {
                return Err(fault("the token is empty"));
            }
            let groups = rest.first().map_or("", String::as_str);
            let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty());
            let identity = Identity {
                name: name.clone(),
                uid: uid.clone(),
                groups: groups.map(str::to_owned).collect(),
                extra: vec![],
            };
            tokens.push(Self { token: token.clone(), identity });
        }
        Ok(tokens)
    }
}

/// The fields of a line of comma-separated values; quotes hold commas and doubled quotes.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let at_start = fields.last().is_some_and(String::is_empty);
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                fields.last_mut()?.push('"');
            }
            '"' if quoted || at_start => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            ' ' if !quoted && at_start => {}
            other => fields.last_mut()?.push(other),
        }
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_tokens() {
        let text = "t1,jane,1\n# no token\n\nt2, joe,2,\"devs,ops\"\nt3,\"a \"\"b\"\"\",3,devs\n";
        let tokens = StaticToken::read_file(text).unwrap();
        let seen: Vec<_> = tokens
            .iter()
            .map(|t| (&*t.token, &*t.identity.name, &*t.identity.uid, t.identity.groups.join("+")))
            .collect();
        assert_eq!(
            seen,
            [
                ("t1", "jane", "1", String::new()),
                ("t2", "joe", "2", "devs+ops".into()),
                ("t3", "a \"b\"", "3", "devs".into()),
            ]
        );
        let fault = |text| StaticToken::read_file(text).unwrap_err().to_string();
        assert!(fault("a,b").starts_with("line 1 of the token file: it must have"));
        assert!(fault("x,y,z\n,b,c").starts_with("line 2 of the token file: the token is empty"));
        assert!(fault("\"a,b,c").contains("does not end"));
    }
}
