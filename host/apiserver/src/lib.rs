//! From HTTP to the store: the API server.
//!
//! A request passes the filters of [`chain`], finds its kind in the table of `coracle-kinds`, and
//! runs one of the verbs in [`endpoints`], which are written once over `dyn Kind`; what a verb does to
//! objects and store stands in [`registry`]. This room alone touches the store; it imports `api`,
//! `kinds`, `schema`, `cel` and `store`, and nothing else of the house.

mod admission;
mod aggregator;
mod apiextensions;
mod audit;
mod authn;
mod authz;
mod bootstrap;
mod chain;
mod client;
mod config;
mod endpoints;
mod error;
mod flow;
mod metrics;
mod patch;
mod protobuf;
mod registry;
mod request;
mod server;
mod timeouts;
mod upstream;
mod warnings;
mod webhook;

#[cfg(test)]
mod tests;

pub use audit::{Audit, Policy as AuditPolicy, PolicyError as AuditPolicyError, Sink as AuditSink};
pub use authn::{
    AuthenticationConfiguration, ConfigurationError, Identity, KeyRejected, OidcOptions,
    PeerCertificate, ProxyCertificate, RequestHeader, ServiceAccountKey, StaticToken,
    TokenFileError,
};
pub use client::client;
pub use config::{
    Components, Config, Dialer, Duplex, Kubelets, Limits, NoKubelets, Running,
    ServiceAccountIssuer, Sockets, Unreachable,
};
pub use error::{ApiError, Cause, CauseReason, Reason};
pub use server::ApiServer;
pub use upstream::{ClientCertificate, Unusable};
