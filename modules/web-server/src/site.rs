//! Which file a path means, and what kind of file it is: pure.

use std::path::Path;

/// The kind of pages.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// The relative path of the file that a request's path means; none if it leads out of the site or
/// is no path.
pub(crate) fn relative(path: &str) -> Option<String> {
    let decoded = decode(path.strip_prefix('/')?)?;
    let mut parts = Vec::new();
    for part in decoded.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part if part.contains('\0') => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Without `%xx`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = rest.get(2..)?;
    }
    String::from_utf8(bytes).ok()
}

/// What a file is, by the end of its name.
pub(crate) fn content_type(file: &Path) -> &'static str {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "html" | "htm" => HTML,
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "conf" | "log" | "md" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "xml" => "text/xml; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_site() {
        for (path, file) in [
            ("/", Some("")),
            ("/index.html", Some("index.html")),
            ("//a///b/", Some("a/b")),
            ("/a/../b", Some("b")),
            ("/a%20b", Some("a b")),
            ("/%C3%A9", Some("é")),
            ("/..", None),
            ("/a/../../b", None),
            ("/%2e%2e/secret", None),
            ("/a%", None),
            ("/a%4", None),
            ("/a%zz", None),
            ("/%00", None),
            ("/%ff", None),
            ("*", None),
        ] {
            assert_eq!(relative(path).as_deref(), file, "{path}");
        }
    }

    #[test]
    fn files_are_known_by_their_ending() {
        for (file, kind) in [
            ("index.html", HTML),
            ("a/b.CSS", "text/css; charset=utf-8"),
            ("x.tar.gz", "application/octet-stream"),
            ("README", "application/octet-stream"),
        ] {
            assert_eq!(content_type(Path::new(file)), kind, "{file}");
        }
    }
}
