//! Label selectors.

use coracle_api::cause::Cause;
use coracle_api::meta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::all;
use super::meta::labels;

pub(super) fn label_selector(selector: &LabelSelector, path: &str) -> Vec<Cause> {
    let mut faults = labels(selector.match_labels.as_ref(), &format!("{path}.matchLabels"));
    for (at, requirement) in selector.match_expressions.iter().flatten().enumerate() {
        let path = format!("{path}.matchExpressions[{at}]");
        let values = requirement.values.as_deref().unwrap_or_default();
        let of_values = format!("{path}.values");
        match requirement.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                faults.push(Cause::required(of_values, detail));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                faults.push(Cause::forbidden(of_values, detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                let path = format!("{path}.operator");
                faults.push(Cause::invalid(path, other, "not a valid selector operator"));
            }
        }
        let key = requirement.key.as_str();
        faults.extend(all(&format!("{path}.key"), key, meta::qualified_name(key)));
        for (at, value) in values.iter().enumerate() {
            let path = format!("{path}.values[{at}]");
            faults.extend(all(&path, value, meta::label_value(value)));
        }
    }
    faults
}

/// Whether a selector asks for nothing.
pub(super) fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty())
        && selector.match_expressions.as_ref().is_none_or(Vec::is_empty)
}
