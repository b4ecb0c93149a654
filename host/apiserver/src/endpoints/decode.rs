//! Bodies to objects of a kind, as strictly as the caller asks.

use serde::Deserialize;

use super::options::FieldValidation;
use crate::error::{ApiError, Reason, Result};
use crate::registry::{Decoded, Kind, Object};
use crate::warnings::Warnings;

/// A decoded and completed object in the version that is stored. Complaints become warnings or an
/// error.
pub(super) async fn decode(
    kind: &dyn Kind,
    json: &[u8],
    validation: FieldValidation,
    warnings: &Warnings,
) -> Result<Box<dyn Object>> {
    let Decoded { object, complaints } =
        kind.decode(json).map_err(|error| better(kind, json, error.into()))?;
    if !complaints.is_empty() {
        match validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => complaints.into_iter().for_each(|text| warnings.add(text)),
            FieldValidation::Strict => {
                let names = kind.names();
                let message = format!(
                    "{} in version {:?} cannot be handled as a {}: {}",
                    names.kind,
                    names.version,
                    names.kind,
                    strict(&complaints)
                );
                return Err(ApiError::bad_request(message));
            }
        }
    }
    complete(kind, object).await
}

/// A decoded object with its defaults, in the version that is stored.
pub(super) async fn complete(
    kind: &dyn Kind,
    mut object: Box<dyn Object>,
) -> Result<Box<dyn Object>> {
    kind.default(&mut *object);
    match kind.conversion() {
        None => Ok(object),
        Some(conversion) => Ok(conversion.to_hub(object).await?),
    }
}

pub(super) fn strict(complaints: &[String]) -> String {
    format!("strict decoding error: {}", complaints.join(", "))
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TypeMeta {
    api_version: String,
    kind: String,
}

/// Says what is really wrong with a body that is no JSON, or is of another kind.
fn better(kind: &dyn Kind, json: &[u8], error: ApiError) -> ApiError {
    if error.reason != Reason::BadRequest {
        return error;
    }
    let names = kind.names();
    let type_meta: TypeMeta = match serde_json::from_slice::<serde_json::Value>(json) {
        Err(error) if json.is_empty() || error.is_syntax() || error.is_eof() => {
            let message = format!("couldn't get version/kind; json parse error: {error}");
            return ApiError::bad_request(message);
        }
        Err(_) => return error,
        Ok(value) if !value.is_object() => {
            let message = "couldn't get version/kind; json parse error: it is not an object";
            return ApiError::bad_request(message);
        }
        Ok(value) => serde_json::from_value(value).unwrap_or_default(),
    };
    let version = names.api_version();
    let other_version = !type_meta.api_version.is_empty() && type_meta.api_version != version;
    let other_kind = !type_meta.kind.is_empty() && type_meta.kind != *names.kind;
    if other_version {
        let given = type_meta.api_version;
        let message = format!(
            "the API version in the data ({given}) does not match the expected API version \
             ({version})"
        );
        return ApiError::bad_request(message);
    }
    if other_kind {
        let message = format!(
            "{} in version {:?} cannot be handled as a {}: converting (v1.{}) to (v1.{}): \
             unknown conversion",
            type_meta.kind, names.version, names.kind, type_meta.kind, names.kind
        );
        return ApiError::bad_request(message);
    }
    error
}
