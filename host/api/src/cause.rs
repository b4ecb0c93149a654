//! Faults in fields of objects, with Kubernetes' paths and sentences.

/// `field.ErrorType` of `k8s.io/apimachinery/pkg/util/validation/field`, as `Status` causes spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are Kubernetes' own")]
pub enum CauseReason {
    FieldValueRequired,
    FieldValueInvalid,
    FieldValueNotSupported,
    FieldValueDuplicate,
    FieldValueForbidden,
    FieldValueNotFound,
    FieldValueTooLong,
    FieldValueTooMany,
    FieldValueTypeInvalid,
    DisruptionBudget,
    /// The field cannot even be read: Kubernetes refuses such a body before it looks for faults.
    Malformed,
    NamespaceTerminating,
    ResourceVersionTooLarge,
    FieldManagerConflict,
    /// None; not written.
    Unknown,
}

/// One fault in one field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What is wrong with it.
    pub reason: CauseReason,
    /// Its path, as in `spec.containers[0].name`.
    pub field: String,
    /// The explanation without the path, as in `Required value: must not be empty`.
    pub message: String,
}

impl Cause {
    /// A fault explained in whole.
    pub fn new(reason: CauseReason, field: impl Into<String>, message: String) -> Self {
        Self { reason, field: field.into(), message }
    }

    fn explained(head: String, detail: &str) -> String {
        if detail.is_empty() { head } else { format!("{head}: {detail}") }
    }

    /// The field must be given.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = Self::explained("Required value".into(), detail);
        Self::new(CauseReason::FieldValueRequired, field, message)
    }

    /// The field's `value` breaks a rule. Strings are quoted, as Kubernetes does.
    pub fn invalid(
        field: impl Into<String>,
        value: impl Into<serde_json::Value>,
        detail: &str,
    ) -> Self {
        let message = Self::explained(format!("Invalid value: {}", value.into()), detail);
        Self::new(CauseReason::FieldValueInvalid, field, message)
    }

    /// The field as a whole breaks a rule; what it holds is not repeated.
    pub fn wrong(field: impl Into<String>, detail: &str) -> Self {
        let message = Self::explained("Invalid value".into(), detail);
        Self::new(CauseReason::FieldValueInvalid, field, message)
    }

    /// The field's text is no value of its type at all, in the words of whoever read it.
    pub fn malformed(field: impl Into<String>, why: &dyn std::fmt::Display) -> Self {
        Self::new(CauseReason::Malformed, field, why.to_string())
    }

    /// The field's `value` is none of those it may have.
    pub fn not_supported(field: impl Into<String>, value: &str, valid: &[&str]) -> Self {
        let valid: Vec<_> = valid.iter().map(|v| format!("{v:?}")).collect();
        let message =
            format!("Unsupported value: {value:?}: supported values: {}", valid.join(", "));
        Self::new(CauseReason::FieldValueNotSupported, field, message)
    }

    /// The field repeats a `value` that must be unique.
    pub fn duplicate(field: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        let message = format!("Duplicate value: {}", value.into());
        Self::new(CauseReason::FieldValueDuplicate, field, message)
    }

    /// The field must not be given, or not here.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        let message = Self::explained("Forbidden".into(), detail);
        Self::new(CauseReason::FieldValueForbidden, field, message)
    }

    /// The field names something that is not there.
    pub fn not_found(field: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        let message = format!("Not found: {}", value.into());
        Self::new(CauseReason::FieldValueNotFound, field, message)
    }

    /// The field is longer than `max` bytes.
    pub fn too_long(field: impl Into<String>, max: usize) -> Self {
        let message = format!("Too long: may not be more than {max} bytes");
        Self::new(CauseReason::FieldValueTooLong, field, message)
    }

    /// The field has more than `max` items.
    pub fn too_many(field: impl Into<String>, actual: usize, max: usize) -> Self {
        let message = format!("Too many: {actual}: must have at most {max} items");
        Self::new(CauseReason::FieldValueTooMany, field, message)
    }
}
