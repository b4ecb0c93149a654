//! `web-server [DIRECTORY]`: serves the files of DIRECTORY, or else of the first directory that is
//! mounted where well-known web servers look for their files, or else a page of its own.

mod site;

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use coracle_guest::http::{Request, Response};

#[cfg(target_family = "wasm")]
coracle_guest::http_handler!(answer);

/// Where nginx and Apache have their pages, and where pages may lie for this server.
const ROOTS: &[&str] = &["/usr/share/nginx/html", "/usr/local/apache2/htdocs", "/srv"];

/// What is served where no directory is mounted.
const WELCOME: &str = "<!DOCTYPE html>
<html>
<head><title>It works</title></head>
<body>
<h1>It works</h1>
<p>This is the web server of a Coracle cluster. Mount a volume at <code>/usr/share/nginx/html</code>
and it serves what is in it.</p>
</body>
</html>
";

/// What nginx is told to do, and this server does anyway.
const IN_FOREGROUND: &[&str] = &["-g", "daemon off;"];

#[cfg_attr(not(target_family = "wasm"), expect(dead_code, reason = "only the host calls it"))]
fn answer(request: Request) -> Response {
    let (method, path) = (request.method().to_owned(), request.path().to_owned());
    let (status, response) = match respond(&method, &path) {
        Ok(answered) => answered,
        Err(error) => {
            eprintln!("{path}: {error}");
            page(500)
        }
    };
    println!("\"{method} {path}\" {status}");
    response
}

fn respond(method: &str, path: &str) -> io::Result<(u16, Response)> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = match arguments.as_slice() {
        [] => None,
        given if given == IN_FOREGROUND => None,
        [directory] if !directory.starts_with('-') => Some(PathBuf::from(directory)),
        other => {
            let usage = format!("usage: web-server [DIRECTORY]; what is {other:?}?");
            return Err(io::Error::new(ErrorKind::InvalidInput, usage));
        }
    };
    if !matches!(method, "GET" | "HEAD") {
        let (status, response) = page(405);
        return Ok((status, response.with_header("allow", "GET, HEAD")));
    }
    let Some(relative) = site::relative(path) else { return Ok(page(400)) };
    let root = root.or_else(|| ROOTS.iter().map(PathBuf::from).find(|root| root.is_dir()));
    match root {
        Some(root) => served(&root, &relative, path),
        None if matches!(relative.as_str(), "" | "index.html") => {
            Ok((200, Response::new(200).with_header("content-type", site::HTML).with_body(WELCOME)))
        }
        None => Ok(page(404)),
    }
}

/// The file at `relative` below `root`, or the index of the directory there.
fn served(root: &Path, relative: &str, asked: &str) -> io::Result<(u16, Response)> {
    let mut place = root.join(relative);
    let found = match fs::metadata(&place) {
        Ok(found) => found,
        Err(error) => return missing(error),
    };
    if found.is_dir() {
        if !asked.ends_with('/') {
            let (status, response) = page(301);
            return Ok((status, response.with_header("location", format!("{asked}/"))));
        }
        place.push("index.html");
        if !place.is_file() {
            return Ok(page(403));
        }
    }
    let mut file = match File::open(&place) {
        Ok(file) => file,
        Err(error) => return missing(error),
    };
    let length = file.metadata()?.len();
    let kind = site::content_type(&place);
    let response = Response::new(200)
        .with_header("content-type", kind)
        .with_header("content-length", length.to_string())
        .written_by(move |body| io::copy(&mut file, &mut { body }).map(drop));
    Ok((200, response))
}

fn missing(error: io::Error) -> io::Result<(u16, Response)> {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(page(404)),
        // A link that leads out of what is mounted counts as this too.
        ErrorKind::PermissionDenied => Ok(page(403)),
        _ => Err(error),
    }
}

/// A page that says no more than its status.
fn page(status: u16) -> (u16, Response) {
    let title = match status {
        301 => "301 Moved Permanently",
        400 => "400 Bad Request",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Method Not Allowed",
        _ => "500 Internal Server Error",
    };
    let html = format!(
        "<html>\n<head><title>{title}</title></head>\n<body><h1>{title}</h1></body>\n</html>\n"
    );
    (status, Response::new(status).with_header("content-type", site::HTML).with_body(html))
}
