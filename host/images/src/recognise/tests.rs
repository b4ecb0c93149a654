use wit_component::StringEncoding;
use wit_parser::Resolve;

use super::*;

const COMMAND: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")))"#;

fn wasm(text: &str) -> Bytes {
    wat::parse_str(text).unwrap().into()
}

fn refused(bytes: impl Into<Bytes>) -> Refused {
    recognise(bytes.into()).unwrap_err()
}

/// A core module that carries the world of this WIT, as language tools leave it.
fn with_world(core: &str, wit: &str) -> Bytes {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut core = wat::parse_str(core).unwrap();
    wit_component::embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)
        .unwrap();
    core.into()
}

/// A handler of HTTP without its arguments: recognising goes by names.
const HANDLER: &str = "package wasi:http@0.2.3;
    interface incoming-handler { handle: func(); }
    world proxy { export incoming-handler; }";

const HANDLER_CORE: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "wasi:http/incoming-handler@0.2.3#handle")))"#;

#[test]
fn a_plain_command_runs_as_it_is() {
    let bytes = wasm(COMMAND);
    let recognised = recognise(bytes.clone()).unwrap();
    assert_eq!(recognised.form, Form::CoreCommand);
    assert_eq!(recognised.wasm, bytes);
    assert!(!recognised.converted);
    assert_eq!(recognised.imports, ["wasi_snapshot_preview1.fd_write"]);
    assert_eq!(recognised.exports, ["_start", "memory"]);
}

#[test]
fn a_command_with_types_that_it_does_not_use_stays_plain() {
    let bytes = with_world(COMMAND, "package a:b; world w {}");
    let recognised = recognise(bytes).unwrap();
    assert_eq!(recognised.form, Form::CoreCommand);
    assert!(!recognised.converted);
}

#[test]
fn a_core_module_with_types_becomes_a_component() {
    let core = with_world(HANDLER_CORE, HANDLER);
    let recognised = recognise(core.clone()).unwrap();
    assert_eq!(recognised.form, Form::HttpHandler);
    assert!(recognised.converted);
    assert_eq!(recognised.exports, ["wasi:http/incoming-handler@0.2.3"]);
    assert!(recognised.imports.is_empty());
    // What was made is itself recognised, and left alone.
    let again = recognise(recognised.wasm.clone()).unwrap();
    assert_eq!(again.form, Form::HttpHandler);
    assert!(!again.converted);
    assert_eq!(again.wasm, recognised.wasm);
}

#[test]
fn preview1_of_a_component_is_adapted() {
    let core = r#"(module
        (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
        (import "wasi:io/poll@0.2.12" "poll-nothing" (func))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
        (func (export "_start")))"#;
    let wit = "package wasi:io@0.2.12;
        interface poll { poll-nothing: func(); }
        world w { import poll; }";
    let recognised = recognise(with_world(core, wit)).unwrap();
    assert_eq!(recognised.form, Form::Command);
    assert!(recognised.converted);
    assert!(recognised.imports.iter().any(|name| name.starts_with("wasi:random/random@0.2.")));
    assert!(recognised.exports.iter().any(|name| name.starts_with("wasi:cli/run@0.2.")));
}

#[test]
fn unknown_imports_are_named() {
    let core = r#"(module
        (import "env" "b" (func)) (import "env" "a" (func))
        (import "wasi_snapshot_preview1" "fd_write"
            (func (param i32 i32 i32 i32) (result i32)))
        (func (export "_start")))"#;
    let names = vec!["env.a".to_owned(), "env.b".to_owned()];
    let error = refused(wasm(core));
    assert_eq!(error, Refused::UnknownImports(names));
    assert!(error.to_string().ends_with("does not provide: env.a, env.b"));

    let component = r#"(component
        (import "wasi:nn/graph@0.2.0" (instance))
        (import "wasi:io/poll@0.2.0" (instance)))"#;
    let names = vec!["wasi:nn/graph@0.2.0".to_owned()];
    assert_eq!(refused(wasm(component)), Refused::UnknownImports(names));
}

#[test]
fn nested_modules_may_import_what_they_like() {
    let component = r#"(component
        (core module (import "env" "a" (func)) (func (export "_start")))
        (component (import "x:y/z" (instance))))"#;
    assert_eq!(refused(wasm(component)), Refused::NoEntryPoint(Vec::new()));
}

#[test]
fn without_an_entry_point_nothing_runs() {
    let library = r#"(module (func (export "add")))"#;
    assert_eq!(refused(wasm(library)), Refused::NoEntryPoint(vec!["add".to_owned()]));
    // A global of that name is no function.
    let global = r#"(module (global (export "_start") i32 (i32.const 0)))"#;
    assert!(matches!(refused(wasm(global)), Refused::NoEntryPoint(_)));
    // A pre-release has other types than the release.
    let core = HANDLER_CORE.replace("0.2.3", "0.2.0-rc-2023-11-10");
    let wit = HANDLER.replace("0.2.3", "0.2.0-rc-2023-11-10");
    assert!(matches!(refused(with_world(&core, &wit)), Refused::NoEntryPoint(_)));
}

#[test]
fn what_is_missing_for_a_component_is_said() {
    let core = r#"(module (memory (export "memory") 1))"#;
    let Refused::NotComponentizable(reason) = refused(with_world(core, HANDLER)) else {
        panic!("it is not refused for what it is");
    };
    assert!(reason.contains("incoming-handler"), "{reason}");
}

#[test]
fn other_files_are_called_by_their_name() {
    let seen = |bytes: &[u8]| refused(Bytes::copy_from_slice(bytes)).to_string();
    assert!(seen(b"").contains("an empty file"));
    assert!(seen(b"\x1f\x8b\x08\0").contains("a gzip file"));
    assert!(seen(b"\x7fELF\x02").contains("an ELF file"));
    assert!(seen(b"  (module)").contains("WebAssembly text"));
    assert!(seen(b"(component)").contains("wat2wasm"));
    assert!(seen(b"#!/bin/sh\n").contains("a script"));
    assert!(seen(b"<!DOCTYPE html><html>").contains("an HTML page"));
    assert!(seen(b"{\"a\": 1}").contains("JSON"));
    assert!(seen("grüße".as_bytes()).contains("text"));
    assert!(seen(b"\xff\xfe\x00").contains("begins with the bytes [ff, fe, 00]"));
    assert!(seen(b"\0as").contains("begins with the bytes"));
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(seen(&tar).contains("a tar file"));
    // A cut within a character is no reason to take text for something else.
    assert!(seen("a".repeat(511).as_bytes()).contains("text"));
    assert!(seen(format!("{}ü and more", "a".repeat(511)).as_bytes()).contains("text"));
}

#[test]
fn broken_modules_are_refused() {
    let good = wasm(COMMAND);
    for length in 8..good.len() {
        if let Ok(recognised) = recognise(good.slice(..length)) {
            panic!("{length} bytes of a module are recognised as {:?}", recognised.form);
        }
    }
    assert!(matches!(refused(&b"\0asm"[..]), Refused::Invalid(_)));
    assert_eq!(refused(&b"\0asm\x07\0\0\0"[..]), Refused::UnknownVersion([7, 0, 0, 0]));
}
