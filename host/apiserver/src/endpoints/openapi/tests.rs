use http::StatusCode;

use super::*;

fn documents() -> Documents {
    Documents::new(&coracle_kinds::table(), &[], &[], None).unwrap()
}

fn json(document: &Document) -> Value {
    serde_json::from_slice(&document.bytes).unwrap()
}

/// Every `$ref` of a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get("$ref") {
                found.insert(reference.clone());
            }
            map.values().for_each(|value| references(value, found));
        }
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let documents = documents();
    for document in
        documents.v3.values().map(|version| &version.document).chain([documents.v2().unwrap()])
    {
        let document = json(document);
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 10);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }
}

#[test]
fn patches_know_field_validation_and_merge_keys() {
    let documents = documents();
    let apps = json(&documents.v3["apis/apps/v1"].document);
    let patch = &apps["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let parameters = patch["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|parameter| parameter["name"] == "fieldValidation"));
    assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Deployment");
    assert_eq!(patch["x-kubernetes-action"], "patch");
    let accepted = patch["requestBody"]["content"].as_object().unwrap();
    assert!(accepted.contains_key("application/strategic-merge-patch+json"));
    let schemas = &apps["components"]["schemas"];
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(containers["x-kubernetes-list-type"], "map");
    let deployment = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(deployment["x-kubernetes-group-version-kind"][0]["group"], "apps");
    assert!(deployment["properties"]["spec"]["allOf"][0]["$ref"].is_string());
}

#[test]
fn v2_speaks_v2() {
    let v2 = json(documents().v2().unwrap());
    assert_eq!(v2["swagger"], "2.0");
    let pod = &v2["definitions"]["io.k8s.api.core.v1.Pod"];
    assert_eq!(pod["properties"]["spec"]["$ref"], "#/definitions/io.k8s.api.core.v1.PodSpec");
    assert!(v2["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/status"]["put"].is_object());
    let text = v2.to_string();
    assert!(!text.contains("\"allOf\":[") && !text.contains("#/components"));
}

#[test]
fn own_kinds_are_described() {
    let documents = documents();
    let own = json(&documents.v3["apis/coracle.dev/v1"].document);
    let module = &own["components"]["schemas"]["dev.coracle.v1.Module"];
    assert_eq!(module["x-kubernetes-group-version-kind"][0]["kind"], "Module");
    let patch =
        &own["paths"]["/apis/coracle.dev/v1/namespaces/{namespace}/modules/{name}"]["patch"];
    let accepted = patch["requestBody"]["content"].as_object().unwrap();
    assert!(!accepted.contains_key("application/strategic-merge-patch+json"));
    assert!(accepted.contains_key("application/apply-patch+yaml"));
}

#[test]
fn answers() {
    let documents = documents();
    let mut headers = HeaderMap::new();
    let index = documents.answer(&["openapi", "v3"], None, &headers).unwrap();
    assert_eq!(index.status(), StatusCode::OK);
    let core = &documents.v3["api/v1"].document;
    let path = &["openapi", "v3", "api", "v1"];
    let kept = documents.answer(path, Some(&core.hash), &headers).unwrap();
    assert_eq!(kept.headers()[header::CACHE_CONTROL], FOR_GOOD);
    let etag = kept.headers()[header::ETAG].clone();
    headers.insert(header::IF_NONE_MATCH, etag);
    let unchanged = documents.answer(path, None, &headers).unwrap();
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    assert!(documents.answer(&["openapi", "v3", "apis", "x"], None, &headers).is_err());
    let protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    headers.insert(header::ACCEPT, HeaderValue::from_static(protobuf));
    assert!(documents.answer(&["openapi", "v3"], None, &headers).is_err());
}

#[test]
fn the_second_version_has_a_protobuf_form() {
    let documents = documents();
    let document = json(documents.v2().unwrap());
    let (made, unknown) = binary::write(&document);
    assert_eq!(unknown, Vec::<String>::new());
    assert!(made.len() < documents.v2().unwrap().bytes.len());
    // The names of the definitions, in their place: field 9, pairs in its field 1, names in theirs.
    let mut names = vec![];
    for definitions in fields(&made, 9) {
        for pair in fields(definitions, 1) {
            names.extend(fields(pair, 1).map(|name| String::from_utf8(name.to_vec()).unwrap()));
        }
    }
    let expected: Vec<_> = document["definitions"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, expected);
    let mut headers = HeaderMap::new();
    let accept = HeaderValue::from_static(BINARY_BEFORE);
    headers.insert(header::ACCEPT, accept);
    let answer = documents.answer(&["openapi", "v2"], None, &headers).unwrap();
    assert_eq!(answer.headers()[header::CONTENT_TYPE], BINARY);
    assert!(documents.answer(&["openapi", "v3"], None, &headers).is_err());
}

/// The messages in a field of a message.
fn fields(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    let mut reader = crate::protobuf::wire::Reader::new(message);
    std::iter::from_fn(move || reader.next().unwrap())
        .filter(move |(found, _)| *found == number)
        .map(|(_, wire)| wire.bytes().unwrap())
}

#[test]
fn questions_are_explained_as_well() {
    let table = crate::registry::Registry::new(coracle_kinds::table()).table();
    let documents = Documents::new(table.kinds(), table.questions(), &[], None).unwrap();
    let version = &documents.v3["apis/authorization.k8s.io/v1"];
    let document: Value = serde_json::from_slice(&version.document.bytes).unwrap();
    let path = "/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews";
    let post = &document["paths"][path]["post"];
    assert_eq!(post["operationId"], "createAuthorizationV1NamespacedLocalSubjectAccessReview");
    let name = "io.k8s.api.authorization.v1.LocalSubjectAccessReview";
    assert_eq!(
        document["components"]["schemas"][name]["x-kubernetes-group-version-kind"][0]["kind"],
        "LocalSubjectAccessReview"
    );
}
