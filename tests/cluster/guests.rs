//! Guests for single purposes, as text: core commands of WASI preview 1.

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

/// Prints a line and ends with `code`.
pub(crate) fn ending_with(code: u8) -> String {
    command(&format!("(call $hello) (call $proc_exit (i32.const {code}))"))
}

/// Prints a line and traps.
pub(crate) fn trapping() -> String {
    command("(call $hello) (unreachable)")
}

/// Prints a line and then loops for ever.
pub(crate) fn spinning() -> String {
    command("(call $hello) (loop $again (br $again))")
}

/// Prints lines for ever.
pub(crate) fn printing() -> String {
    command("(loop $again (call $hello) (br $again))")
}

/// Prints its environment, a variable a line.
pub(crate) fn environment() -> String {
    command(
        "(local $at i32)
         (drop (call $environ_sizes_get (i32.const 16) (i32.const 20)))
         (drop (call $environ_get (i32.const 4096) (i32.const 16384)))
         (local.set $at (i32.const 16384))
         (loop $next
           (if (i32.eqz (i32.load8_u (local.get $at)))
             (then (i32.store8 (local.get $at) (i32.const 10))))
           (local.set $at (i32.add (local.get $at) (i32.const 1)))
           (br_if $next (i32.lt_u (local.get $at)
             (i32.add (i32.const 16384) (i32.load (i32.const 20))))))
         (call $print (i32.const 16384) (i32.load (i32.const 20)))",
    )
}

/// Prints `file.txt` of its first mount; ends with 1 if there is none.
pub(crate) fn reading() -> String {
    command(
        "(if (call $path_open (i32.const 3) (i32.const 1) (i32.const 1040) (i32.const 8)
               (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 16))
           (then (call $proc_exit (i32.const 1))))
         (i32.store (i32.const 0) (i32.const 4096))
         (i32.store (i32.const 4) (i32.const 4000))
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

/// Imports what no cluster has.
pub(crate) fn foreign() -> &'static str {
    r#"(module
  (import "env" "launch" (func (param i32)))
  (import "wasi_snapshot_preview1" "fd_fly" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")))"#
}
