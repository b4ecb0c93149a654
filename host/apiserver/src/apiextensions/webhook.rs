//! Conversion by a webhook: `ConversionReview`.

use async_trait::async_trait;
use bytes::Bytes;
use coracle_api::dice;
use coracle_kinds::validation;
use coracle_kinds::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The way to a webhook.
#[async_trait]
pub(super) trait Ask: Send + Sync {
    /// Sends a review; the answer, or why there is none.
    async fn ask(&self, review: Value) -> Result<Bytes, String>;
}

/// A webhook that converts.
pub(super) struct Webhook {
    /// Whether it understands `v1`; the older form differs in its name alone.
    version: &'static str,
    way: Box<dyn Ask>,
}

/// What matters of a review's answer.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Review {
    api_version: String,
    kind: String,
    response: Option<Response>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    uid: String,
    converted_objects: Vec<Value>,
    result: Outcome,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome {
    status: String,
    message: String,
}

fn text<'a>(object: &'a Map<String, Value>, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

impl Webhook {
    pub(super) fn new(versions: &[String], way: Box<dyn Ask>) -> Self {
        let v1 = versions.iter().find(|version| matches!(version.as_str(), "v1" | "v1beta1"));
        let version = if v1.is_some_and(|version| version == "v1beta1") { "v1beta1" } else { "v1" };
        Self { version, way }
    }

    /// Converts those of `objects` that are not of `version` already.
    pub(super) async fn convert(
        &self,
        objects: &mut [Map<String, Value>],
        version: &str,
    ) -> Result<()> {
        let others = |object: &&mut Map<String, Value>| text(object, "apiVersion") != version;
        let sent: Vec<Value> =
            objects.iter_mut().filter(others).map(|object| Value::Object(object.clone())).collect();
        let Some(first) = sent.first() else { return Ok(()) };
        let kind = |field: &str| first.get(field).and_then(Value::as_str).unwrap_or_default();
        let what = format!("{}, Kind={}", kind("apiVersion"), kind("kind"));
        let failed = |why: String| {
            let message = format!("conversion webhook for {what} {why}");
            Error::Conversion(message)
        };
        let count = sent.len();
        let answered = self.review(sent, version).await;
        let converted = answered.map_err(|why| failed(format!("failed: {why}")))?;
        if converted.len() != count {
            let got = converted.len();
            return Err(failed(format!("returned {got} objects, expected {count}")));
        }
        for (at, (old, new)) in objects.iter_mut().filter(others).zip(converted).enumerate() {
            let accepted = accept(old, new, version);
            *old = accepted.map_err(|why| {
                failed(format!("returned invalid converted object at index {at}: {why}"))
            })?;
        }
        Ok(())
    }

    async fn review(&self, objects: Vec<Value>, version: &str) -> Result<Vec<Value>, String> {
        let uid = dice::uuid();
        let own = format!("apiextensions.k8s.io/{}", self.version);
        let review = json!({
            "apiVersion": own,
            "kind": "ConversionReview",
            "request": { "uid": uid, "desiredAPIVersion": version, "objects": objects },
        });
        let answer = self.way.ask(review).await?;
        let review: Review =
            serde_json::from_slice(&answer).map_err(|error| format!("json: {error}"))?;
        if review.api_version != own || review.kind != "ConversionReview" {
            return Err(format!(
                "expected webhook response of {own}, Kind=ConversionReview, got {}, Kind={}",
                review.api_version, review.kind
            ));
        }
        let Some(response) = review.response else { return Err("no response provided".into()) };
        if response.uid != uid {
            return Err(format!("expected response.uid={uid:?}, got {:?}", response.uid));
        }
        match (response.result.status.as_str(), response.result.message) {
            ("Success", _) => Ok(response.converted_objects),
            (_, message) if !message.is_empty() => Err(message),
            (status, _) => Err(format!("response.result.status was '{status}', not 'Success'")),
        }
    }
}

/// A converted object, if it is still the same one: of its metadata only labels and annotations
/// may have changed.
fn accept(
    old: &Map<String, Value>,
    new: Value,
    version: &str,
) -> Result<Map<String, Value>, String> {
    let Value::Object(mut new) = new else { return Err("it is no object".into()) };
    let (kind, found) = (text(old, "kind"), text(&new, "kind"));
    if text(&new, "apiVersion") != version {
        let found = text(&new, "apiVersion");
        return Err(format!("invalid groupVersion (expected {version}, received {found})"));
    }
    if kind != found {
        return Err(format!("invalid kind (expected {kind}, received {found})"));
    }
    let empty = Map::new();
    let before = old.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    let Some(Value::Object(after)) = new.get("metadata") else {
        return Err("missing metadata in converted object".into());
    };
    for (field, name) in [("name", "name"), ("namespace", "namespace"), ("uid", "UID")] {
        let (before, after) = (text(before, field), text(after, field));
        if before != after {
            return Err(format!("must have the same {name}: {before} != {after}"));
        }
    }
    let mut metadata = before.clone();
    for field in ["labels", "annotations"] {
        match after.get(field) {
            None | Some(Value::Null) => drop(metadata.remove(field)),
            Some(given) => {
                let map = serde_json::from_value(given.clone())
                    .map_err(|error| format!("invalid metadata.{field}: {error}"))?;
                let path = format!("metadata.{field}");
                let faults = match field {
                    "labels" => validation::labels(Some(&map), &path),
                    _ => validation::annotations(Some(&map), &path),
                };
                if let Some(fault) = faults.first() {
                    return Err(format!("{}: {}", fault.field, fault.message));
                }
                metadata.insert(field.into(), given.clone());
            }
        }
    }
    new.insert("metadata".into(), metadata.into());
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with what it makes of the request.
    struct Fake(fn(Value) -> Value);

    #[async_trait]
    impl Ask for Fake {
        async fn ask(&self, review: Value) -> Result<Bytes, String> {
            let uid = review["request"]["uid"].clone();
            let mut answer = json!({"apiVersion": review["apiVersion"], "kind": review["kind"],
                "response": {"uid": uid, "result": {"status": "Success"}}});
            answer["response"]["convertedObjects"] = (self.0)(review["request"].clone());
            Ok(answer.to_string().into())
        }
    }

    async fn convert(answer: fn(Value) -> Value) -> Result<Vec<Map<String, Value>>> {
        let webhook = Webhook::new(&["v1".into()], Box::new(Fake(answer)));
        let object = |version: &str| -> Map<String, Value> {
            serde_json::from_value(json!({"apiVersion": version, "kind": "K",
                "metadata": {"name": "n", "uid": "u", "resourceVersion": "5"}, "a": version}))
            .unwrap()
        };
        let mut objects = vec![object("x/v1"), object("x/v2"), object("x/v1")];
        webhook.convert(&mut objects, "x/v2").await?;
        Ok(objects)
    }

    #[tokio::test]
    async fn only_what_differs_is_sent() {
        let objects = convert(|request| {
            let mut objects = request["objects"].clone();
            assert_eq!(objects.as_array().unwrap().len(), 2);
            for object in objects.as_array_mut().unwrap() {
                object["apiVersion"] = request["desiredAPIVersion"].clone();
                object["metadata"]["labels"] = json!({"l": "1"});
                object["metadata"]["resourceVersion"] = json!("9");
                object["b"] = json!(true);
            }
            objects
        })
        .await
        .unwrap();
        let shown = json!(objects);
        assert_eq!(
            shown[0]["metadata"],
            json!({"name": "n", "uid": "u", "resourceVersion": "5", "labels": {"l": "1"}})
        );
        assert_eq!(
            (&shown[0]["b"], &shown[1]["b"], &shown[2]["b"]),
            (&json!(true), &Value::Null, &json!(true))
        );
    }

    #[tokio::test]
    async fn wrong_answers_are_refused() {
        let renamed = |request: Value| {
            let mut objects = request["objects"].clone();
            for object in objects.as_array_mut().unwrap() {
                object["apiVersion"] = request["desiredAPIVersion"].clone();
                object["metadata"]["name"] = json!("m");
            }
            objects
        };
        for (answer, expected) in [
            ((|_| json!([])) as fn(Value) -> Value, "returned 0 objects, expected 2"),
            (
                |request| request["objects"].clone(),
                "returned invalid converted object at index 0: invalid groupVersion (expected x/v2, received x/v1)",
            ),
            (
                renamed,
                "returned invalid converted object at index 0: must have the same name: n != m",
            ),
        ] {
            let error = convert(answer).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("conversion webhook for x/v1, Kind=K {expected}")
            );
        }
    }
}
