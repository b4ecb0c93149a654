//! A real cluster driven from outside, by the clients that people use. Each test starts a cluster
//! of its own.

mod access;
mod aggregation;
mod api;
mod apply;
mod bad_input;
mod crd;
mod credentials;
mod guests;
mod images;
mod jobs;
mod kubectl;
mod lifecycle;
mod limits;
mod modules;
mod objects;
mod operator;
mod protobuf;
mod rollouts;
mod sets;
mod toolbox;
mod walk;
mod workloads;
