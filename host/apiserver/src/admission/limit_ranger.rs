//! Pods and claims stay inside their namespace's LimitRanges; what they leave open is filled in
//! from them (`plugin/pkg/admission/limitranger`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use async_trait::async_trait;
use coracle_api::pods;
use coracle_api::quantity::Quantity;
use k8s_openapi::api::core::v1::{
    Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod, PodSpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::{Attributes, Operation, Plugin, in_namespace};
use crate::error::{ApiError, Result};
use crate::registry::Object;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Text>;

pub(super) struct LimitRanger;

#[async_trait]
impl Plugin for LimitRanger {
    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        let creates = attributes.operation == Operation::Create;
        let names = attributes.write.kind.names();
        match (&*names.group, &*names.plural, attributes.write.subresource) {
            ("", "pods", "") => creates,
            ("", "pods", "resize") => attributes.operation == Operation::Update,
            ("", "persistentvolumeclaims", "") => attributes.operation != Operation::Delete,
            _ => false,
        }
    }

    async fn admit(
        &self,
        attributes: &Attributes<'_>,
        object: &mut dyn Object,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(pod) = object.downcast_mut::<Pod>() else { return Ok(()) };
        for limits in in_namespace::<LimitRange>(attributes.write, "", "limitranges").await? {
            complete(pod, &items(&limits, "Container").collect::<Vec<_>>());
        }
        Ok(())
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<()> {
        let Some(object) = object else { return Ok(()) };
        if object.meta().deletion_timestamp.is_some() {
            return Ok(());
        }
        for limits in in_namespace::<LimitRange>(attributes.write, "", "limitranges").await? {
            let faults = if let Some(pod) = object.downcast_ref::<Pod>() {
                pod.spec.as_ref().map(|spec| pod_faults(spec, &limits))
            } else {
                object.downcast_ref::<PersistentVolumeClaim>().map(|c| claim_faults(c, &limits))
            };
            let faults = faults.unwrap_or_default();
            let why = match &faults[..] {
                [] => continue,
                [fault] => fault.clone(),
                faults => format!("[{}]", faults.join(", ")),
            };
            let names = attributes.write.kind.names();
            return Err(ApiError::forbidden(&names.group, &names.plural, attributes.name, &why));
        }
        Ok(())
    }
}

fn items<'a>(limits: &'a LimitRange, r#type: &'a str) -> impl Iterator<Item = &'a LimitRangeItem> {
    let all = limits.spec.iter().flat_map(|spec| &spec.limits);
    all.filter(move |item| item.type_ == r#type)
}

/// Gives containers the requests and limits that they leave out, and notes what was given.
fn complete(pod: &mut Pod, items: &[&LimitRangeItem]) {
    let given = |of: fn(&LimitRangeItem) -> Option<&Amounts>| -> Amounts {
        items
            .iter()
            .filter_map(|item| of(item))
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    let requests = given(|item| item.default_request.as_ref());
    let limits = given(|item| item.default.as_ref());
    let mut notes = vec![];
    let Some(spec) = &mut pod.spec else { return };
    let regular = spec.containers.iter_mut().map(|container| ("container", container));
    let init = spec.init_containers.iter_mut().flatten();
    for (word, container) in regular.chain(init.map(|container| ("init container", container))) {
        let name = container.name.clone();
        let resources = container.resources.get_or_insert_default();
        for (own, defaults, what) in [
            (&mut resources.requests, &requests, "request"),
            (&mut resources.limits, &limits, "limit"),
        ] {
            let own = own.get_or_insert_default();
            let set: Vec<_> =
                defaults.keys().filter(|key| !own.contains_key(*key)).cloned().collect();
            own.extend(set.iter().map(|key| (key.clone(), defaults[key].clone())));
            if !set.is_empty() {
                notes.push(format!("{} {what} for {word} {name}", set.join(", ")));
            }
        }
        resources.requests.take_if(|amounts| amounts.is_empty());
        resources.limits.take_if(|amounts| amounts.is_empty());
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(ANNOTATION.into(), note);
    }
}

fn pod_faults(spec: &PodSpec, limits: &LimitRange) -> Vec<String> {
    let mut faults = vec![];
    for item in items(limits, "Container") {
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            constrain(item, &requests(container), &limits_of(container), &mut faults);
        }
    }
    for item in items(limits, "Pod") {
        constrain(item, &pods::requests(spec), &pods::limits(spec), &mut faults);
    }
    faults
}

fn claim_faults(claim: &PersistentVolumeClaim, limits: &LimitRange) -> Vec<String> {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = read(resources.and_then(|resources| resources.requests.as_ref()));
    let mut faults = vec![];
    for item in items(limits, "PersistentVolumeClaim") {
        for (name, bound) in read(item.min.as_ref()) {
            minimum(item, &name, bound, &requests, &BTreeMap::new(), &mut faults);
        }
        for (name, bound) in read(item.max.as_ref()) {
            let head = format!("maximum {name} usage per {} is {bound}", item.type_);
            match requests.get(&name) {
                None => faults.push(format!("{head}.  No request is specified")),
                Some(request) if *request > bound => {
                    faults.push(format!("{head}, but request is {request}"));
                }
                Some(_) => {}
            }
        }
    }
    faults
}

type Read = BTreeMap<String, Quantity>;

fn requests(container: &Container) -> Read {
    read(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
}

fn limits_of(container: &Container) -> Read {
    read(container.resources.as_ref().and_then(|resources| resources.limits.as_ref()))
}

/// Amounts that parse; those that do not are refused by validation.
fn read(amounts: Option<&Amounts>) -> Read {
    let amounts = amounts.into_iter().flatten();
    amounts
        .filter_map(|(name, text)| Some((name.clone(), Quantity::try_from(text).ok()?)))
        .collect()
}

fn constrain(item: &LimitRangeItem, requests: &Read, limits: &Read, faults: &mut Vec<String>) {
    for (name, bound) in read(item.min.as_ref()) {
        minimum(item, &name, bound, requests, limits, faults);
    }
    for (name, bound) in read(item.max.as_ref()) {
        let head = format!("maximum {name} usage per {} is {bound}", item.type_);
        match (limits.get(&name), requests.get(&name)) {
            (None, _) => faults.push(format!("{head}.  No limit is specified")),
            (Some(limit), _) if *limit > bound => {
                faults.push(format!("{head}, but limit is {limit}"));
            }
            (_, Some(request)) if *request > bound => {
                faults.push(format!("{head}, but request is {request}"));
            }
            _ => {}
        }
    }
    for (name, bound) in read(item.max_limit_request_ratio.as_ref()) {
        ratio(item, &name, bound, requests.get(&name), limits.get(&name), faults);
    }
}

fn minimum(
    item: &LimitRangeItem,
    name: &str,
    bound: Quantity,
    requests: &Read,
    limits: &Read,
    faults: &mut Vec<String>,
) {
    let head = format!("minimum {name} usage per {} is {bound}", item.type_);
    match (requests.get(name), limits.get(name)) {
        (None, _) => faults.push(format!("{head}.  No request is specified")),
        (Some(request), _) if *request < bound => {
            faults.push(format!("{head}, but request is {request}"));
        }
        (_, Some(limit)) if *limit < bound => {
            faults.push(format!("{head}, but limit is {limit}"));
        }
        _ => {}
    }
}

fn ratio(
    item: &LimitRangeItem,
    name: &str,
    bound: Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
    faults: &mut Vec<String>,
) {
    let mut fault =
        format!("{name} max limit to request ratio per {} is {bound}, but ", item.type_);
    let some = |amount: Option<&Quantity>| amount.copied().filter(|amount| !amount.is_zero());
    let Some(request) = some(request) else {
        fault.push_str("no request is specified or request is 0");
        return faults.push(fault);
    };
    let Some(limit) = some(limit) else {
        fault.push_str("no limit is specified or limit is 0");
        return faults.push(fault);
    };
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    let given = limit.milli_value() as f64 / request.milli_value() as f64;
    #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
    let allowed = bound.milli_value() as f64 / 1000.0;
    if given > allowed {
        let _ = write!(fault, "provided ratio is {given:.6}");
        faults.push(fault);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(resources: Value) -> Pod {
        let spec = json!({ "spec": { "containers": [{ "name": "c", "resources": resources }] } });
        serde_json::from_value(spec).unwrap()
    }

    fn range(item: Value) -> LimitRange {
        serde_json::from_value(json!({ "spec": { "limits": [item] } })).unwrap()
    }

    #[test]
    fn gaps_are_filled() {
        let range = range(json!({
            "type": "Container",
            "default": { "cpu": "2", "memory": "1Gi" },
            "defaultRequest": { "cpu": "1" },
        }));
        let mut pod = pod(json!({ "limits": { "memory": "2Gi" } }));
        complete(&mut pod, &items(&range, "Container").collect::<Vec<_>>());
        let resources = serde_json::to_value(&pod.spec.unwrap().containers[0].resources).unwrap();
        let expected =
            json!({ "limits": { "cpu": "2", "memory": "2Gi" }, "requests": { "cpu": "1" } });
        assert_eq!(resources, expected);
        assert_eq!(
            pod.metadata.annotations.unwrap()[ANNOTATION],
            "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
        );
    }

    #[test]
    fn bounds_hold() {
        let cases = [
            (
                json!({ "min": { "cpu": "1" } }),
                json!({}),
                "minimum cpu usage per Container is 1.  No request is specified",
            ),
            (
                json!({ "min": { "cpu": "1" } }),
                json!({ "requests": { "cpu": "500m" } }),
                "minimum cpu usage per Container is 1, but request is 500m",
            ),
            (
                json!({ "max": { "memory": "1Gi" } }),
                json!({ "limits": { "memory": "2Gi" } }),
                "maximum memory usage per Container is 1Gi, but limit is 2Gi",
            ),
            (
                json!({ "max": { "memory": "1Gi" } }),
                json!({}),
                "maximum memory usage per Container is 1Gi.  No limit is specified",
            ),
            (
                json!({ "maxLimitRequestRatio": { "cpu": "2" } }),
                json!({ "limits": { "cpu": "3" }, "requests": { "cpu": "1" } }),
                "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
            ),
            (
                json!({ "maxLimitRequestRatio": { "cpu": "2" } }),
                json!({ "limits": { "cpu": "3" } }),
                "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
            ),
        ];
        for (mut item, resources, expected) in cases {
            item["type"] = json!("Container");
            let faults = pod_faults(pod(resources).spec.as_ref().unwrap(), &range(item));
            assert_eq!(faults, [expected]);
        }
        let fits = json!({ "type": "Pod", "max": { "cpu": "1" } });
        let faults = pod_faults(
            pod(json!({ "limits": { "cpu": "1" } })).spec.as_ref().unwrap(),
            &range(fits),
        );
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn claims_are_measured_by_what_they_request() {
        let range = range(
            json!({ "type": "PersistentVolumeClaim", "max": { "storage": "2Gi" }, "min": { "storage": "1Gi" } }),
        );
        let claim = |size: &str| -> PersistentVolumeClaim {
            serde_json::from_value(
                json!({ "spec": { "resources": { "requests": { "storage": size } } } }),
            )
            .unwrap()
        };
        assert_eq!(
            claim_faults(&claim("3Gi"), &range),
            ["maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"]
        );
        assert_eq!(
            claim_faults(&claim("1Mi"), &range),
            ["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"]
        );
        assert_eq!(claim_faults(&claim("1Gi"), &range), [""; 0]);
    }
}
