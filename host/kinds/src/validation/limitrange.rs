//! LimitRanges.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use coracle_api::cause::Cause;
use coracle_api::meta;
use coracle_api::quantity::Quantity;
use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::{all, resources};

type Amounts = BTreeMap<String, Text>;

/// The faults of a LimitRange.
pub(crate) fn limitrange(range: &LimitRange) -> Vec<Cause> {
    let mut faults = vec![];
    let mut types = HashSet::new();
    let items = range.spec.as_ref().map(|spec| spec.limits.as_slice()).unwrap_or_default();
    for (at, item) in items.iter().enumerate() {
        let path = format!("spec.limits[{at}]");
        let of_type = format!("{path}.type");
        faults.extend(all(&of_type, &item.type_, meta::qualified_name(&item.type_)));
        if !item.type_.contains('/')
            && !matches!(item.type_.as_str(), "Pod" | "Container" | "PersistentVolumeClaim")
        {
            let detail = "must be a standard limit type or fully qualified";
            faults.push(Cause::invalid(of_type.as_str(), item.type_.as_str(), detail));
        }
        if !types.insert(&item.type_) {
            faults.push(Cause::duplicate(of_type, item.type_.as_str()));
        }
        faults.extend(limits(item, &path));
    }
    faults
}

fn limits(item: &LimitRangeItem, path: &str) -> Vec<Cause> {
    let mut faults = vec![];
    let is_pod = item.type_ == "Pod";
    let lists = [
        ("max", &item.max, true),
        ("min", &item.min, true),
        ("default", &item.default, !is_pod),
        ("defaultRequest", &item.default_request, !is_pod),
    ];
    let mut names = BTreeSet::new();
    for (field, amounts, allowed) in lists {
        let empty = amounts.as_ref().is_none_or(BTreeMap::is_empty);
        if !allowed && !empty {
            let detail = "may not be specified when `type` is 'Pod'";
            faults.push(Cause::forbidden(format!("{path}.{field}"), detail));
            continue;
        }
        faults.extend(named(item, field, amounts.as_ref(), path));
        names.extend(amounts.iter().flatten().map(|(name, _)| name.as_str()));
    }
    let storage =
        |amounts: &Option<Amounts>| amounts.as_ref().is_some_and(|a| a.contains_key("storage"));
    if item.type_ == "PersistentVolumeClaim" && !storage(&item.min) && !storage(&item.max) {
        let detail =
            "either minimum or maximum storage value is required, but neither was provided";
        faults.push(Cause::required(format!("{path}.limits"), detail));
    }
    let ratios = item.max_limit_request_ratio.as_ref();
    faults.extend(named(item, "maxLimitRequestRatio", ratios, path));
    names.extend(ratios.into_iter().flatten().map(|(name, _)| name.as_str()));
    for name in names {
        faults.extend(fit(item, name, path));
    }
    faults
}

fn named(item: &LimitRangeItem, field: &str, amounts: Option<&Amounts>, path: &str) -> Vec<Cause> {
    let names = amounts.into_iter().flatten().map(|(name, _)| name);
    let faults = names.flat_map(|name| {
        let path = format!("{path}.{field}[{name}]");
        match item.type_.as_str() {
            "Pod" | "Container" => resources::container_resource(name, &path),
            _ => resources::resource_name(name, &path),
        }
    });
    faults.collect()
}

/// How the amounts of one resource stand to each other.
fn fit(item: &LimitRangeItem, name: &str, path: &str) -> Vec<Cause> {
    let text =
        |amounts: &'_ Option<Amounts>| amounts.as_ref().and_then(|all| all.get(name)).cloned();
    let parsed = |text: &Option<Text>| text.as_ref().and_then(|text| Quantity::try_from(text).ok());
    let is_pod = item.type_ == "Pod";
    let texts = [
        text(&item.min),
        text(&item.max),
        text(&item.default).filter(|_| !is_pod),
        text(&item.default_request).filter(|_| !is_pod),
    ];
    let [min, max, default, request] = [0, 1, 2, 3].map(|at: usize| parsed(&texts[at]));
    let mut faults = vec![];
    let shown = |at: usize| texts[at].clone().map(|text| text.0).unwrap_or_default();
    // Which is too large for which, at whose field that is told, and whose value is shown there.
    let pairs = [
        (0, 1, min, max, "min", 0, "min value", "max value"),
        (0, 3, min, request, "defaultRequest", 3, "min value", "default request value"),
        (3, 1, request, max, "defaultRequest", 3, "default request value", "max value"),
        (
            3,
            2,
            request,
            default,
            "defaultRequest",
            3,
            "default request value",
            "default limit value",
        ),
        (0, 2, min, default, "default", 0, "min value", "default value"),
        (2, 1, default, max, "default", 1, "default value", "max value"),
    ];
    for (low_at, high_at, low, high, field, shown_at, low_name, high_name) in pairs {
        if low.zip(high).is_some_and(|(low, high)| low > high) {
            let (low, high) = (shown(low_at), shown(high_at));
            let detail = format!("{low_name} {low} is greater than {high_name} {high}");
            faults.push(Cause::invalid(
                format!("{path}.{field}[{name}]"),
                shown(shown_at),
                &detail,
            ));
        }
    }
    if let Some(text) = text(&item.max_limit_request_ratio)
        && let Ok(ratio) = Quantity::try_from(&text)
    {
        let path = format!("{path}.maxLimitRequestRatio[{name}]");
        if ratio < Quantity::milli(1000) {
            let detail = format!("ratio {} is less than 1", text.0);
            faults.push(Cause::invalid(path.as_str(), text.0.as_str(), &detail));
        }
        if let (Some(min), Some(max)) = (min, max) {
            let most = max.milli_value() as f64 / min.milli_value() as f64;
            if ratio.milli_value() as f64 / 1000.0 > most {
                let detail = format!("ratio {} is greater than max/min = {most:.6}", text.0);
                faults.push(Cause::invalid(path, text.0.as_str(), &detail));
            }
        }
    }
    if resources::is_whole(name) && default.zip(request).is_some_and(|(a, b)| a != b) {
        let (default, request) = (shown(2), shown(3));
        let detail = format!(
            "default value {default} must equal to defaultRequest value {request} in {name}"
        );
        faults.push(Cause::invalid(
            format!("{path}.defaultRequest[{name}]"),
            request.as_str(),
            &detail,
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::tests::{lines, object};
    use super::*;
    use crate::Strategy;
    use serde_json::{Value, json};

    fn faults(limits: Value) -> Vec<String> {
        let mut it: LimitRange = object(json!({"spec": {"limits": limits}}));
        it.default_fields();
        lines(limitrange(&it))
    }

    #[test]
    fn ranges() {
        let container = |rest: Value| {
            let mut item = json!({"type": "Container"});
            json_patch::merge(&mut item, &rest);
            json!([item])
        };
        for (limits, expected) in [
            (
                container(
                    json!({"max": {"cpu": "2"}, "min": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}}),
                ),
                &[][..],
            ),
            (
                json!([{"type": "X", "max": {"cpu": "1"}}]),
                &[
                    "spec.limits[0].type: Invalid value: \"X\": must be a standard limit type or fully qualified",
                ],
            ),
            (
                json!([{"type": "Pod"}, {"type": "Pod", "default": {"cpu": "1"}}]),
                &[
                    "spec.limits[1].type: Duplicate value: \"Pod\"",
                    "spec.limits[1].default: Forbidden: may not be specified when `type` is 'Pod'",
                ],
            ),
            (
                json!([{"type": "PersistentVolumeClaim"}]),
                &[
                    "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
                ],
            ),
            (
                json!([{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]),
                &[
                    "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
                ],
            ),
            (
                container(
                    json!({"default": {"cpu": "3"}, "max": {"cpu": "2"}, "defaultRequest": {"cpu": "1"}}),
                ),
                &[
                    "spec.limits[0].default[cpu]: Invalid value: \"2\": default value 3 is greater than max value 2",
                ],
            ),
            (
                container(json!({"max": {"bogus": "2"}, "default": {}, "defaultRequest": {}})),
                &[
                    "spec.limits[0].max[bogus]: Invalid value: \"bogus\": must be a standard resource for containers",
                    "spec.limits[0].default[bogus]: Invalid value: \"bogus\": must be a standard resource for containers",
                    "spec.limits[0].defaultRequest[bogus]: Invalid value: \"bogus\": must be a standard resource for containers",
                ],
            ),
            (
                json!([{"type": "Pod", "maxLimitRequestRatio": {"cpu": "500m"}}]),
                &[
                    "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than 1",
                ],
            ),
            (
                json!([{"type": "Pod", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "3"}}]),
                &[
                    "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"3\": ratio 3 is greater than max/min = 2.000000",
                ],
            ),
        ] {
            assert_eq!(faults(limits.clone()), expected, "{limits}");
        }
    }
}
