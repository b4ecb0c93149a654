//! The pod network: `nc`, `nslookup`, `wget`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use coracle_guest::http::Outgoing;
use coracle_guest::net::{self, TcpStream};

use super::time;
use crate::call::{Call, Failure, Outcome, Output};

/// How often an answer may send `wget` on.
const REDIRECTS_AT_MOST: usize = 5;

struct Fetch {
    quiet: bool,
    spider: bool,
    shows_headers: bool,
    into: Option<String>,
    timeout: Option<Duration>,
    headers: Vec<(String, String)>,
    body: Option<String>,
    url: String,
}

impl Fetch {
    fn of(call: &Call<'_>) -> Result<Self, Failure> {
        let mut fetch = Self {
            quiet: false,
            spider: false,
            shows_headers: false,
            into: None,
            timeout: None,
            headers: Vec::new(),
            body: None,
            url: String::new(),
        };
        let mut arguments = call.arguments.iter().skip(1);
        while let Some(argument) = arguments.next() {
            let (name, given) = match argument.strip_prefix("--") {
                Some(long) => match long.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (long.to_owned(), None),
                },
                None if argument.len() > 1 && argument.starts_with('-') => {
                    // Of letters written together, the last may take a value.
                    let letters = argument.get(1..).unwrap_or_default();
                    let flags: String =
                        letters.chars().take_while(|letter| "qS".contains(*letter)).collect();
                    fetch.quiet |= flags.contains('q');
                    fetch.shows_headers |= flags.contains('S');
                    let rest = letters.get(flags.len()..).unwrap_or_default();
                    let Some(letter) = rest.chars().next() else { continue };
                    let value = rest.get(letter.len_utf8()..).filter(|value| !value.is_empty());
                    (letter.to_string(), value.map(str::to_owned))
                }
                None => {
                    fetch.url = argument.clone();
                    continue;
                }
            };
            let mut value = || {
                let value = given.clone().or_else(|| arguments.next().cloned());
                value.ok_or_else(|| Failure::new(2, format!("option {name} needs a value")))
            };
            match name.as_str() {
                "quiet" | "no-verbose" => fetch.quiet = true,
                "server-response" => fetch.shows_headers = true,
                "spider" => fetch.spider = true,
                "O" | "output-document" => fetch.into = Some(value()?),
                "T" | "timeout" => {
                    let text = value()?;
                    let invalid = || Failure::new(2, format!("invalid number '{text}'"));
                    fetch.timeout = Some(time::length(&text).ok_or_else(invalid)?);
                }
                "t" | "tries" => drop(value()?),
                "header" => {
                    let text = value()?;
                    let (name, value) = text
                        .split_once(':')
                        .ok_or_else(|| Failure::new(2, format!("invalid header '{text}'")))?;
                    fetch.headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
                "post-data" => fetch.body = Some(value()?),
                _ => return Err(Failure::of_option(argument)),
            }
        }
        if fetch.url.is_empty() {
            return Err(Failure::new(2, "usage: wget [-qS] [-O FILE] [-T SECONDS] [--spider] URL"));
        }
        if !fetch.url.contains("://") {
            fetch.url = format!("http://{}", fetch.url);
        }
        Ok(fetch)
    }

    /// Where the answer goes, if nothing else is said: the last part of the path.
    fn file(&self) -> String {
        let path = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let name = path.split_once('/').and_then(|(_, path)| path.rsplit('/').next());
        name.filter(|name| !name.is_empty()).unwrap_or("index.html").to_owned()
    }
}

pub(super) fn wget(call: &mut Call<'_>) -> Outcome {
    let fetch = Fetch::of(call)?;
    let mut url = fetch.url.clone();
    for _ in 0..=REDIRECTS_AT_MOST {
        if !fetch.quiet {
            call.io.complain(&format!("Connecting to {url}"));
        }
        let method = match (&fetch.body, fetch.spider) {
            (Some(_), _) => "POST",
            (None, true) => "HEAD",
            (None, false) => "GET",
        };
        let mut request = Outgoing::new(method, &url).with_header("user-agent", "Wget");
        for (name, value) in &fetch.headers {
            request = request.with_header(name, value.as_str());
        }
        if let Some(body) = &fetch.body {
            request = request
                .with_header("content-type", "application/x-www-form-urlencoded")
                .with_body(body.as_str());
        }
        if let Some(timeout) = fetch.timeout {
            request = request.with_timeout(timeout);
        }
        let mut answer = request
            .send()
            .map_err(|error| Failure::new(1, format!("can't connect to {url}: {error}")))?;
        let status = answer.status();
        if fetch.shows_headers {
            call.io.complain(&format!("  HTTP/1.1 {status}"));
            for (name, value) in answer.headers() {
                call.io.complain(&format!("  {name}: {}", String::from_utf8_lossy(value)));
            }
        }
        match (status, answer.header("location").map(str::to_owned)) {
            (301 | 302 | 303 | 307 | 308, Some(location)) => {
                url = onwards(&url, &location);
                continue;
            }
            (200..=299, _) => {}
            _ => return Err(Failure::new(1, format!("server returned error: HTTP/1.1 {status}"))),
        }
        if fetch.spider {
            return Ok(0);
        }
        let name = fetch.into.clone().unwrap_or_else(|| fetch.file());
        let mut into = match name.as_str() {
            "-" => call.io.output.clone(),
            "/dev/null" => Output::Nothing,
            name => {
                let file = File::create(call.path(name));
                Output::File(std::rc::Rc::new(
                    file.map_err(|error| Failure::of_file(name, &error))?,
                ))
            }
        };
        io::copy(answer.body(), &mut into).map_err(|error| Failure::of_file(&name, &error))?;
        if !fetch.quiet && name != "-" {
            call.io.complain(&format!("'{name}' saved"));
        }
        return Ok(0);
    }
    Err(Failure::new(1, "too many redirections"))
}

/// Where `location` leads from `url`.
fn onwards(url: &str, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split('/').next().unwrap_or_default();
    if location.starts_with('/') {
        return format!("{scheme}://{host}{location}");
    }
    let path = rest.split('?').next().unwrap_or_default();
    let directory = path.rsplit_once('/').map_or(host, |(directory, _)| directory);
    format!("{scheme}://{directory}/{location}")
}

pub(super) fn nslookup(call: &mut Call<'_>) -> Outcome {
    let [_, name] = call.arguments.as_slice() else {
        return Err(Failure::new(2, "usage: nslookup NAME"));
    };
    let name = name.clone();
    let addresses = net::lookup(&name)
        .map_err(|error| Failure::new(1, format!("can't resolve '{name}': {error}")))?;
    writeln!(call.io.output, "Name:\t{name}")?;
    for address in addresses {
        writeln!(call.io.output, "Address: {address}")?;
    }
    Ok(0)
}

/// `nc [-z] [-v] [-w SECONDS] HOST PORT`: sends its input, then prints what comes back.
pub(super) fn nc(call: &mut Call<'_>) -> Outcome {
    let options = call.options("zv", "w")?;
    let [host, port] = options.rest.as_slice() else {
        return Err(Failure::new(2, "usage: nc [-z] HOST PORT"));
    };
    let (to, verbose) = (format!("{host}:{port}"), options.has('v'));
    let mut stream = match TcpStream::connect(&to) {
        Ok(stream) => stream,
        Err(error) => return Err(Failure::new(1, format!("{to}: {error}"))),
    };
    if verbose {
        call.io.complain(&format!("{to} open"));
    }
    if options.has('z') {
        return Ok(0);
    }
    let mut input = call.io.input.clone();
    io::copy(&mut input, &mut stream)?;
    stream.flush()?;
    stream.shutdown(Shutdown::Write)?;
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(0);
        }
        call.io.output.write_all(buffer.get(..length).unwrap_or_default())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_relative_to_where_they_come_from() {
        for (url, location, expected) in [
            ("http://a/b/c", "http://x/", "http://x/"),
            ("http://a/b/c", "/x", "http://a/x"),
            ("http://a/b/c?q", "x", "http://a/b/x"),
            ("http://a", "x", "http://a/x"),
        ] {
            assert_eq!(onwards(url, location), expected);
        }
    }
}
