//! The test suites of programs that know Kubernetes, unmodified, against the real program: `make
//! suites` fetches them into `target/suites`. What fails must stand, with its reason, in
//! `expected-failures.toml`; what stands there must fail.

mod expected;
mod helm;
mod kube_client;
mod python;
mod schemathesis;
