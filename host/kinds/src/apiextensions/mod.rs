//! What is pure about CustomResourceDefinitions: whether their groups are approved, and the rules
//! of their schemas. Follows `k8s.io/apiextensions-apiserver`.

pub mod approval;
pub mod rules;
