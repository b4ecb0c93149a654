//! A real cluster driven from outside, by the clients that people use. Each test starts a cluster
//! of its own.

mod walk;
