//! Guests, as text.

/// A core command whose `_start` is `body`.
fn command(body: &str) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get"
    (func $environ_get (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "hello\n")
  (data (i32.const 1040) "file.txt")
  (func $print (param $address i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $address))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $hello (call $print (i32.const 1024) (i32.const 6)))
  (func (export "_start") {body}))"#
    )
}

/// Prints a line and ends.
pub(crate) fn hello() -> String {
    command("(call $hello)")
}

/// Prints a line and ends with code 3.
pub(crate) fn failing() -> String {
    command("(call $hello) (call $proc_exit (i32.const 3))")
}

/// Prints a line and then never ends.
pub(crate) fn spinning() -> String {
    command("(call $hello) (loop $l (br $l))")
}

/// Takes memory until there is none.
pub(crate) fn hogging() -> String {
    command("(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))")
}

/// Prints its environment, each variable ended by a NUL.
pub(crate) fn environment() -> String {
    command(
        "(drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
         (drop (call $environ_get (i32.const 4096) (i32.const 16384)))
         (call $print (i32.const 16384) (i32.load (i32.const 20)))
         (call $print (i32.const 1029) (i32.const 1))",
    )
}

/// Prints `file.txt` of its first mount; ends with code 1 if there is none.
pub(crate) fn reading() -> String {
    command(
        "(if (call $path_open (i32.const 3) (i32.const 1) (i32.const 1040) (i32.const 8)
               (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 16))
           (then (call $proc_exit (i32.const 1))))
         (i32.store (i32.const 0) (i32.const 4096))
         (i32.store (i32.const 4) (i32.const 1000))
         (drop (call $fd_read (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 24)))
         (call $print (i32.const 4096) (i32.load (i32.const 24)))",
    )
}

/// Writes a line to `file.txt` of its first mount.
pub(crate) fn writing() -> String {
    command(
        "(if (call $path_open (i32.const 3) (i32.const 1) (i32.const 1040) (i32.const 8)
               (i32.const 1) (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 16))
           (then (call $proc_exit (i32.const 1))))
         (i32.store (i32.const 0) (i32.const 1024))
         (i32.store (i32.const 4) (i32.const 6))
         (drop (call $fd_write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 24)))",
    )
}

/// A component that waits until it is asked to end, and then returns.
pub(crate) fn pausing() -> String {
    r#"(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "coracle:guest/shutdown@0.1.0" (instance $shutdown
    (alias outer 1 $pollable (type $p))
    (export "pollable" (type (eq $p)))
    (export "subscribe" (func (result (own $p))))))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $subscribe (canon lower (func $shutdown "subscribe")))
  (core module $m
    (import "" "block" (func $block (param i32)))
    (import "" "subscribe" (func $subscribe (result i32)))
    (func (export "run") (result i32) (call $block (call $subscribe)) (i32.const 0)))
  (core instance $i (instantiate $m (with "" (instance
    (export "block" (func $block))
    (export "subscribe" (func $subscribe))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))"#
        .to_owned()
}
