//! For people who write a Coracle workload in Rust: what a pod can do beside what `std` already
//! gives a WASI program (arguments, environment, files, printing, clocks, randomness).
//!
//! * [`http`]: answer requests on the pod's address (`http_handler!`) and send requests;
//! * [`net`]: TCP on the pod network, by address or by a service's DNS name;
//! * [`shutdown`]: learn that the pod is asked to end, in time to end well;
//! * [`wait`]: sleep, and wait for several things at once;
//! * [`exit()`]: end with any exit code.
//!
//! A module built with it for the target `wasm32-wasip1` is uploaded as it is; the cluster makes a
//! component of it.
//!
//! ```no_run
//! use coracle_guest::http::{Request, Response};
//!
//! coracle_guest::http_handler!(answer); // in the lib.rs of a crate of type "cdylib"
//!
//! fn answer(request: Request) -> Response {
//!     match request.path() {
//!         "/" => Response::text(200, "hello\n"),
//!         _ => Response::text(404, "no such page\n"),
//!     }
//! }
//! ```
//!
//! This crate may import nothing but `wit-bindgen`: what it costs is paid by every workload.

#[doc(hidden)]
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::restriction, reason = "generated code")]
pub mod bindings {
    wit_bindgen::generate!({
        world: "guest",
        path: "wit/sdk",
        generate_all,
        pub_export_macro: true,
        export_macro_name: "export_guest",
        default_bindings_module: "coracle_guest::bindings",
    });
}

mod exit;
pub mod http;
pub mod net;
pub mod shutdown;
mod stream;
pub mod wait;

pub use exit::exit;
