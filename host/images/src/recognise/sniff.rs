//! The first bytes of a file.

use super::Refused;

/// Beginnings of files that people take for modules.
const KNOWN: &[(&[u8], &str)] = &[
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file: unpack it first"),
    (b"\xfd7zXZ\x00", "an xz file: unpack it first"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"PK\x03\x04", "a zip file: unpack it first"),
    (b"\x7fELF", "an ELF file: a native program, or WebAssembly already compiled; send the .wasm"),
    (b"MZ", "a Windows program"),
    (b"\xfe\xed\xfa", "a macOS program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"\xca\xfe\xba\xbe", "a macOS program or a Java class"),
    (b"!<arch>", "a static library"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"#!", "a script"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
];

/// Refuses what does not begin as WebAssembly does.
pub(super) fn wasm(bytes: &[u8]) -> Result<(), Refused> {
    if let Some(rest) = bytes.strip_prefix(b"\0asm") {
        return match rest.first_chunk::<4>() {
            Some([1, 0, 0, 0] | [0x0d, 0, 1, 0]) => Ok(()),
            Some(version) => Err(Refused::UnknownVersion(*version)),
            None => Err(Refused::Invalid("it is cut off after its first bytes".to_owned())),
        };
    }
    Err(Refused::NotWasm(what(bytes)))
}

fn what(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "an empty file".to_owned();
    }
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return (*what).to_owned();
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return "a tar file: unpack it first".to_owned();
    }
    let head = &bytes[..bytes.len().min(512)];
    // The cut may lie within a character.
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() && bytes.len() > 512 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return beginning(head),
    };
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if ["(module", "(component", ";;", "(;"].iter().any(|start| text.starts_with(start)) {
        return "WebAssembly text: compile it with wat2wasm or wasm-tools first".to_owned();
    }
    let lower = text.get(..text.len().min(64)).unwrap_or(text).to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        return "an HTML page: perhaps the answer to a failed download".to_owned();
    }
    if text.chars().any(|character| character.is_control() && !character.is_whitespace()) {
        return beginning(head);
    }
    match text.chars().next() {
        Some('{' | '[') => "JSON".to_owned(),
        _ => "text".to_owned(),
    }
}

fn beginning(head: &[u8]) -> String {
    format!("a file that begins with the bytes {:02x?}", &head[..head.len().min(8)])
}
