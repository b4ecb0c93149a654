//! Guests, as text.

/// A core command whose `_start` is `body`; it can print, sleep and exit.
pub(crate) fn command(body: &str) -> String {
    format!(
        r#"(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get"
    (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get"
    (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get"
    (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "hello\n")
  (data (i32.const 1040) "file.txt")
  ;; Prints length bytes at address to fd.
  (func $print (param $fd i32) (param $address i32) (param $length i32) (result i32)
    (i32.store (i32.const 0) (local.get $address))
    (i32.store (i32.const 4) (local.get $length))
    (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  (func $hello (drop (call $print (i32.const 1) (i32.const 1024) (i32.const 6))))
  ;; Sleeps: one clock subscription at 64, relative, monotonic.
  (func $sleep (param $nanos i64)
    (i64.store (i32.const 64) (i64.const 0))
    (i32.store8 (i32.const 72) (i32.const 0))
    (i32.store (i32.const 80) (i32.const 1))
    (i64.store (i32.const 88) (local.get $nanos))
    (i64.store (i32.const 96) (i64.const 1))
    (i32.store16 (i32.const 104) (i32.const 0))
    (drop (call $poll_oneoff (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 192))))
  (func (export "_start") {body}))"#
    )
}

/// Never ends.
pub(crate) const SPIN: &str = "(loop $l (br $l))";

/// Sleeps for an hour.
pub(crate) const SLEEP: &str = "(call $sleep (i64.const 3600000000000))";

/// A component that waits until it is asked to end, and then returns.
pub(crate) const PAUSE: &str = r#"(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "coracle:guest/shutdown@0.1.0" (instance $shutdown
    (alias outer 1 $pollable (type $p))
    (export "pollable" (type (eq $p)))
    (export "requested" (func (result bool)))
    (export "subscribe" (func (result (own $p))))))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $requested (canon lower (func $shutdown "requested")))
  (core func $subscribe (canon lower (func $shutdown "subscribe")))
  (core module $m
    (import "" "block" (func $block (param i32)))
    (import "" "requested" (func $requested (result i32)))
    (import "" "subscribe" (func $subscribe (result i32)))
    (func (export "run") (result i32)
      ;; Asked before it began: fails.
      (if (call $requested) (then (return (i32.const 1))))
      (call $block (call $subscribe))
      (i32.eqz (call $requested))))
  (core instance $i (instantiate $m (with "" (instance
    (export "block" (func $block))
    (export "requested" (func $requested))
    (export "subscribe" (func $subscribe))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))"#;

/// A command component that hears of stops but never listens.
pub(crate) const DEAF: &str = r#"(component
  (import "coracle:guest/shutdown@0.1.0" (instance $shutdown
    (export "requested" (func (result bool)))))
  (core func $requested (canon lower (func $shutdown "requested")))
  (core module $m
    (import "" "requested" (func $requested (result i32)))
    (func (export "run") (result i32) (loop $l (br $l)) (call $requested)))
  (core instance $i (instantiate $m (with "" (instance
    (export "requested" (func $requested))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $exported)))"#;

/// A command component whose `run` is `body`.
pub(crate) fn component(body: &str) -> String {
    format!(
        r#"(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "run") (result i32) {body}))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $exported (export "run" (func $run)))
  (export "wasi:cli/run@0.2.3" (instance $exported)))"#
    )
}

/// An HTTP handler. `body` runs for each request, with `$request` (the resource), `$out` (where the
/// answer goes), `$count` (how many requests this instance has seen, this one included) at hand;
/// `$answer` sends an empty response with a status.
pub(crate) fn handler(body: &str) -> String {
    format!(
        r#"(component
  (import "wasi:http/types@0.2.0" (instance $http
    (export "fields" (type $fields (sub resource)))
    (export "incoming-request" (type $incoming-request (sub resource)))
    (export "outgoing-response" (type $outgoing-response (sub resource)))
    (export "response-outparam" (type $response-outparam (sub resource)))
    (type $u16o (option u16))
    (type $u32o (option u32))
    (type $u64o (option u64))
    (type $stringo (option string))
    (type $u8o (option u8))
    (type $dns' (record (field "rcode" $stringo) (field "info-code" $u16o)))
    (export "DNS-error-payload" (type $dns (eq $dns')))
    (type $tls' (record (field "alert-id" $u8o) (field "alert-message" $stringo)))
    (export "TLS-alert-received-payload" (type $tls (eq $tls')))
    (type $size' (record (field "field-name" $stringo) (field "field-size" $u32o)))
    (export "field-size-payload" (type $size (eq $size')))
    (type $sizeo (option $size))
    (type $code' (variant
      (case "DNS-timeout") (case "DNS-error" $dns) (case "destination-not-found")
      (case "destination-unavailable") (case "destination-IP-prohibited")
      (case "destination-IP-unroutable") (case "connection-refused")
      (case "connection-terminated") (case "connection-timeout")
      (case "connection-read-timeout") (case "connection-write-timeout")
      (case "connection-limit-reached") (case "TLS-protocol-error")
      (case "TLS-certificate-error") (case "TLS-alert-received" $tls)
      (case "HTTP-request-denied") (case "HTTP-request-length-required")
      (case "HTTP-request-body-size" $u64o) (case "HTTP-request-method-invalid")
      (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long")
      (case "HTTP-request-header-section-size" $u32o) (case "HTTP-request-header-size" $sizeo)
      (case "HTTP-request-trailer-section-size" $u32o) (case "HTTP-request-trailer-size" $size)
      (case "HTTP-response-incomplete") (case "HTTP-response-header-section-size" $u32o)
      (case "HTTP-response-header-size" $size) (case "HTTP-response-body-size" $u64o)
      (case "HTTP-response-trailer-section-size" $u32o)
      (case "HTTP-response-trailer-size" $size)
      (case "HTTP-response-transfer-coding" $stringo)
      (case "HTTP-response-content-coding" $stringo) (case "HTTP-response-timeout")
      (case "HTTP-upgrade-failed") (case "HTTP-protocol-error") (case "loop-detected")
      (case "configuration-error") (case "internal-error" $stringo)))
    (export "error-code" (type $code (eq $code')))
    (export "[constructor]fields" (func (result (own $fields))))
    (export "[constructor]outgoing-response"
      (func (param "headers" (own $fields)) (result (own $outgoing-response))))
    (export "[method]outgoing-response.set-status-code"
      (func (param "self" (borrow $outgoing-response)) (param "status-code" u16)
        (result (result))))
    (export "[static]response-outparam.set"
      (func (param "param" (own $response-outparam))
        (param "response" (result (own $outgoing-response) (error $code)))))))
  (alias export $http "incoming-request" (type $incoming-request))
  (alias export $http "response-outparam" (type $response-outparam))
  (core module $libc (memory (export "memory") 1))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (core func $fields (canon lower (func $http "[constructor]fields")))
  (core func $response (canon lower (func $http "[constructor]outgoing-response")))
  (core func $status (canon lower
    (func $http "[method]outgoing-response.set-status-code")))
  (core func $set (canon lower (func $http "[static]response-outparam.set")
    (memory $memory)))
  (core module $m
    (import "" "memory" (memory 1))
    (import "" "fields" (func $fields (result i32)))
    (import "" "response" (func $response (param i32) (result i32)))
    (import "" "status" (func $status (param i32 i32) (result i32)))
    (import "" "set" (func $set (param i32 i32 i32 i32 i64 i32 i32 i32 i32)))
    (global $count (mut i32) (i32.const 0))
    (func $answer (param $out i32) (param $code i32)
      (local $response i32)
      (local.set $response (call $response (call $fields)))
      (drop (call $status (local.get $response) (local.get $code)))
      (call $set (local.get $out) (i32.const 0) (local.get $response)
        (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (func (export "handle") (param $request i32) (param $out i32)
      (local $count i32)
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (local.set $count (global.get $count))
      {body}))
  (core instance $i (instantiate $m (with "" (instance
    (export "memory" (memory $memory))
    (export "fields" (func $fields))
    (export "response" (func $response))
    (export "status" (func $status))
    (export "set" (func $set))))))
  (func $handle (param "request" (own $incoming-request)) (param "response-out" (own $response-outparam))
    (canon lift (core func $i "handle")))
  (component $shim
    (import "request-type" (type $request (sub resource)))
    (import "out-type" (type $out (sub resource)))
    (import "handle" (func $handle (param "request" (own $request))
      (param "response-out" (own $out))))
    (export $request' "incoming-request" (type $request))
    (export $out' "response-outparam" (type $out))
    (export "handle" (func $handle) (func (param "request" (own $request'))
      (param "response-out" (own $out')))))
  (instance $exported (instantiate $shim
    (with "request-type" (type $incoming-request))
    (with "out-type" (type $response-outparam))
    (with "handle" (func $handle))))
  (export "wasi:http/incoming-handler@0.2.0" (instance $exported)))"#
    )
}
