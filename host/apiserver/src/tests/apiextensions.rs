//! Kinds that are defined at run time.

use axum::body::Body;
use http::{Method, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::Server;
use super::webhooks::Webhook;

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

/// A definition of widgets with one version, whose `spec` has this schema.
fn widgets(spec: Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": spec,
                    "status": {"type": "object", "properties": {
                        "replicas": {"type": "integer"}, "selector": {"type": "string"}}},
                }}},
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                    "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}],
                "selectableFields": [{"jsonPath": ".spec.color"}],
            }],
        },
    })
}

fn spec() -> Value {
    json!({"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1},
        "color": {"type": "string", "default": "red"},
        "replicas": {"type": "integer"},
    }})
}

fn widget(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec})
}

async fn with_widgets() -> Server {
    let server = Server::new().await;
    server.post(CRDS, widgets(spec())).await.is(201);
    server
}

fn condition(crd: &Value, name: &str) -> Value {
    let conditions = crd["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|c| c["type"] == name).unwrap_or_default()
}

#[tokio::test]
async fn a_defined_kind_is_served_at_once() {
    let server = with_widgets().await;
    let crd = server.get(&format!("{CRDS}/widgets.example.com")).await.is(200);
    assert_eq!(condition(&crd, "Established")["status"], "True", "{crd}");
    assert_eq!(condition(&crd, "NamesAccepted")["reason"], "NoConflicts");
    assert_eq!(crd["status"]["acceptedNames"]["listKind"], "WidgetList");
    assert_eq!(crd["status"]["storedVersions"], json!(["v1"]));
    assert_eq!(crd["spec"]["names"]["singular"], "widget");
    assert_eq!(crd["spec"]["conversion"]["strategy"], "None");

    let created = server.post(WIDGETS, widget("a", json!({"size": 2, "odd": 1}))).await.is(201);
    assert_eq!(created["spec"], json!({"size": 2, "color": "red"}));
    assert_eq!(created["metadata"]["generation"], 1);
    let list = server.get(WIDGETS).await.is(200);
    assert_eq!(
        (&list["kind"], &list["items"][0]["metadata"]["name"]),
        (&json!("WidgetList"), &json!("a"))
    );
    let resources = server.get("/apis/example.com/v1").await.is(200);
    let names: Vec<_> = resources["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["widgets", "widgets/scale", "widgets/status"]);
    assert_eq!(resources["resources"][0]["shortNames"], json!(["wd"]));
    let groups = server.get("/apis").await.is(200).to_string();
    assert!(groups.contains("example.com/v1"));
    let openapi = server.get("/openapi/v3/apis/example.com/v1").await.is(200);
    let schema = &openapi["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(schema["properties"]["spec"]["properties"]["size"]["minimum"], 1.0, "{schema}");
    assert!(
        openapi["components"]["schemas"]["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]
            .is_object()
    );
    let v2 = server.get("/openapi/v2").await.is(200);
    assert!(v2["definitions"]["com.example.v1.Widget"].is_object());
}

#[tokio::test]
async fn objects_obey_their_schema() {
    let server = with_widgets().await;
    let refused = server.post(WIDGETS, widget("a", json!({"size": 0}))).await.fails(422, "Invalid");
    assert_eq!(
        refused,
        "Widget.example.com \"a\" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1"
    );
    let refused = server.post(WIDGETS, widget("a", json!({}))).await.fails(422, "Invalid");
    assert!(refused.ends_with("spec.size: Required value"), "{refused}");
    let strict = format!("{WIDGETS}?fieldValidation=Strict");
    let odd = widget("a", json!({"size": 1, "odd": {"deep": 1}}));
    let refused = server.post(&strict, odd.clone()).await.fails(400, "BadRequest");
    assert!(refused.ends_with("strict decoding error: unknown field \"spec.odd\""), "{refused}");
    let warned = server.post(WIDGETS, odd).await;
    assert_eq!(warned.headers[header::WARNING], "299 - \"unknown field \\\"spec.odd\\\"\"");
    let mut other = widget("b", json!({"size": 1}));
    other["kind"] = json!("Gadget");
    let refused = server.post(WIDGETS, other.clone()).await.fails(422, "Invalid");
    assert_eq!(
        refused,
        "Gadget.example.com \"b\" is invalid: kind: Invalid value: \"Gadget\": must be Widget"
    );
    other["kind"] = json!("Widget");
    other["apiVersion"] = json!("example.com/v2");
    let refused = server.post(WIDGETS, other).await.fails(400, "BadRequest");
    assert_eq!(
        refused,
        "the API version in the data (example.com/v2) does not match the expected API version (example.com/v1)"
    );
}

#[tokio::test]
async fn status_and_scale_are_subresources() {
    let server = with_widgets().await;
    let mut body = widget("a", json!({"size": 1, "replicas": 2}));
    body["status"] = json!({"replicas": 9});
    let mut object = server.post(WIDGETS, body).await.is(201);
    assert_eq!(object["status"], Value::Null);
    let path = format!("{WIDGETS}/a");
    object["spec"]["size"] = json!(5);
    object["status"] = json!({"replicas": 1, "selector": "app=a"});
    object["metadata"]["labels"] = json!({"x": "y"});
    let status = server.put(&format!("{path}/status"), &object).await.is(200);
    assert_eq!((&status["spec"]["size"], &status["status"]["replicas"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&status["metadata"]["generation"], &status["metadata"]["labels"]),
        (&json!(1), &Value::Null)
    );
    let patched = server
        .patch(&path, "merge-patch", json!({"spec": {"size": 3}, "status": null}))
        .await
        .is(200);
    assert_eq!(
        (&patched["status"]["replicas"], &patched["metadata"]["generation"]),
        (&json!(1), &json!(2))
    );
    let labelled = server
        .patch(&path, "merge-patch", json!({"metadata": {"labels": {"a": "b"}}}))
        .await
        .is(200);
    assert_eq!(labelled["metadata"]["generation"], 2);
    let scale = server.get(&format!("{path}/scale")).await.is(200);
    assert_eq!(scale["spec"]["replicas"], 2);
    assert_eq!(scale["status"], json!({"replicas": 1, "selector": "app=a"}));
    server
        .patch(&format!("{path}/scale"), "merge-patch", json!({"spec": {"replicas": 7}}))
        .await
        .is(200);
    assert_eq!(server.get(&path).await.is(200)["spec"]["replicas"], 7);
    let refused = server.patch(&path, "strategic-merge-patch", json!({"spec": {}})).await;
    refused.fails(415, "UnsupportedMediaType");
    let mut unversioned = server.get(&path).await.is(200);
    unversioned["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let refused = server.put(&path, &unversioned).await.fails(422, "Invalid");
    assert!(
        refused.contains(
            "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
        )
    );
    let negative = json!({"spec": {"replicas": -1}});
    let refused = server.patch(&path, "merge-patch", negative).await.fails(422, "Invalid");
    assert!(
        refused.ends_with(".spec.replicas: Invalid value: -1: should be a non-negative integer"),
        "{refused}"
    );
}

#[tokio::test]
async fn columns_and_selectable_fields() {
    let server = with_widgets().await;
    for (name, color) in [("a", "red"), ("b", "blue")] {
        server.post(WIDGETS, widget(name, json!({"size": 4, "color": color}))).await.is(201);
    }
    let table =
        server.accept(WIDGETS, "application/json;as=Table;v=v1;g=meta.k8s.io").await.is(200);
    let columns: Vec<_> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(columns, ["Name", "Size", "Age"]);
    assert_eq!(table["rows"][0]["cells"][1], 4);
    assert_eq!(table["rows"][0]["cells"][2], "0s");
    let blue = server.get(&format!("{WIDGETS}?fieldSelector=spec.color%3Dblue")).await.is(200);
    assert_eq!(blue["items"].as_array().unwrap().len(), 1);
    assert_eq!(blue["items"][0]["metadata"]["name"], "b");
    let refused = server.get(&format!("{WIDGETS}?fieldSelector=spec.size%3D1")).await;
    assert_eq!(refused.fails(400, "BadRequest"), "field label not supported: spec.size");
    let partial = server
        .accept(WIDGETS, "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io")
        .await
        .is(200);
    assert_eq!(partial["items"][0]["spec"], Value::Null);
}

#[tokio::test]
async fn a_changed_definition_holds_for_old_objects_too() {
    let server = with_widgets().await;
    server.post(WIDGETS, widget("a", json!({"size": 1, "color": "blue"}))).await.is(201);
    let path = format!("{CRDS}/widgets.example.com");
    // A watch of the kind as it was ends; its follower begins anew.
    let watch = server.request(Method::GET, &format!("{WIDGETS}?watch=true"));
    let watch = server.router.clone().oneshot(watch.body(Body::empty()).unwrap()).await.unwrap();
    let watched =
        tokio::spawn(async move { watch.into_body().collect().await.unwrap().to_bytes() });
    let mut crd = server.get(&path).await.is(200);
    let properties = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let fields = crd.pointer_mut(properties).unwrap().as_object_mut().unwrap();
    fields.remove("color");
    fields.insert("shape".into(), json!({"type": "string", "default": "round"}));
    fields["size"]["maximum"] = json!(0.5);
    crd["spec"]["versions"][0]["selectableFields"] = json!([{"jsonPath": ".spec.shape"}]);
    let changed = server.put(&path, &crd).await.is(200);
    assert_eq!(changed["metadata"]["generation"], 2);
    let events = watched.await.unwrap();
    assert!(events.starts_with(b"{\"type\":\"ADDED\""), "{events:?}");
    let seen = server.get(&format!("{WIDGETS}/a")).await.is(200);
    assert_eq!(seen["spec"], json!({"size": 1, "shape": "round"}));
    let list = server.get(&format!("{WIDGETS}?fieldSelector=spec.shape%3Dround")).await.is(200);
    assert_eq!(list["items"][0]["spec"]["shape"], "round");
    // What was wrong before may stay wrong.
    let kept = json!({"metadata": {"labels": {"a": "b"}}});
    server.patch(&format!("{WIDGETS}/a"), "merge-patch", kept).await.is(200);
    let worse =
        server.patch(&format!("{WIDGETS}/a"), "merge-patch", json!({"spec": {"size": 2}})).await;
    worse.fails(422, "Invalid");
}

#[tokio::test]
async fn versions_differ_in_name() {
    let server = Server::new().await;
    let mut crd = widgets(spec());
    let old = crd["spec"]["versions"][0].clone();
    let mut new = old.clone();
    new["name"] = json!("v2");
    new["storage"] = json!(false);
    new["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["weight"] =
        json!({"type": "integer", "default": 5});
    crd["spec"]["versions"] = json!([old, new]);
    crd["spec"]["versions"][0]["deprecated"] = json!(true);
    server.post(CRDS, crd).await.is(201);
    let created = server.post(WIDGETS, widget("a", json!({"size": 1}))).await;
    assert_eq!(created.headers[header::WARNING], "299 - \"example.com/v1 Widget is deprecated\"");
    let seen = server.get("/apis/example.com/v2/namespaces/default/widgets/a").await.is(200);
    assert_eq!(
        (&seen["apiVersion"], &seen["spec"]["weight"]),
        (&json!("example.com/v2"), &json!(5))
    );
    let mut body = widget("b", json!({"size": 1, "weight": 7}));
    body["apiVersion"] = json!("example.com/v2");
    let created =
        server.post("/apis/example.com/v2/namespaces/default/widgets", body).await.is(201);
    assert_eq!(created["apiVersion"], "example.com/v2");
    // The stored version does not know the field.
    assert_eq!(server.get(&format!("{WIDGETS}/b")).await.is(200)["spec"]["weight"], Value::Null);
    let group = server.get("/apis/example.com").await.is(200);
    assert_eq!(group["preferredVersion"]["version"], "v2");
    let mut crd = server.get(&format!("{CRDS}/widgets.example.com")).await.is(200);
    crd["spec"]["versions"][0]["storage"] = json!(false);
    crd["spec"]["versions"][1]["storage"] = json!(true);
    let crd = server.put(&format!("{CRDS}/widgets.example.com"), &crd).await.is(200);
    assert_eq!(crd["status"]["storedVersions"], json!(["v1", "v2"]));
    let list = server.get("/apis/example.com/v2/namespaces/default/widgets").await.is(200);
    assert!(
        list["items"].as_array().unwrap().iter().all(|item| item["apiVersion"] == "example.com/v2"),
        "{list}"
    );
    let mut gone = server.get(&format!("{CRDS}/widgets.example.com")).await.is(200);
    gone["spec"]["versions"].as_array_mut().unwrap().remove(0);
    let refused =
        server.put(&format!("{CRDS}/widgets.example.com"), &gone).await.fails(422, "Invalid");
    assert!(refused.contains("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage version"), "{refused}");
}

#[tokio::test]
async fn a_definition_goes_with_its_objects() {
    let server = with_widgets().await;
    server.post(WIDGETS, widget("a", json!({"size": 1}))).await.is(201);
    let mut held = widget("b", json!({"size": 1}));
    held["metadata"]["finalizers"] = json!(["example"]);
    let created = server.post(WIDGETS, held).await;
    created.is(201);
    assert!(
        created.headers[header::WARNING]
            .to_str()
            .unwrap()
            .contains("prefer a domain-qualified finalizer name")
    );
    let path = format!("{CRDS}/widgets.example.com");
    let deleted = server.delete(&path).await.is(200);
    assert_eq!(
        deleted["metadata"]["finalizers"],
        json!(["customresourcecleanup.apiextensions.k8s.io"])
    );
    let crd = server.get(&path).await.is(200);
    assert_eq!(condition(&crd, "Terminating")["reason"], "InstanceDeletionInProgress");
    let list = server.get(WIDGETS).await.is(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let refused = server.post(WIDGETS, widget("c", json!({"size": 1}))).await;
    assert_eq!(
        refused.fails(405, "MethodNotAllowed"),
        "create not allowed while custom resource definition is terminating"
    );
    server
        .patch(&format!("{WIDGETS}/b"), "merge-patch", json!({"metadata": {"finalizers": null}}))
        .await
        .is(200);
    tokio::time::pause();
    let run = server.api.clone();
    let run = tokio::spawn(async move { run.run().await });
    for _ in 0..100 {
        if server.get(&path).await.status == 404 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    run.abort();
    assert_eq!(server.get(&path).await.status, 404);
    assert_eq!(server.get(WIDGETS).await.status, 404);
    assert!(!server.get("/apis").await.is(200).to_string().contains("example.com/v1"));
}

#[tokio::test]
async fn names_are_given_once() {
    let server = with_widgets().await;
    let mut other = widgets(spec());
    other["metadata"]["name"] = json!("gadgets.example.com");
    other["spec"]["names"] = json!({"plural": "gadgets", "kind": "Gadget", "singular": "widget"});
    server.post(CRDS, other).await.is(201);
    let path = format!("{CRDS}/gadgets.example.com");
    let crd = server.get(&path).await.is(200);
    let accepted = condition(&crd, "NamesAccepted");
    assert_eq!(accepted["status"], "False");
    assert_eq!(
        (&accepted["reason"], &accepted["message"]),
        (&json!("SingularConflict"), &json!("\"widget\" is already in use"))
    );
    assert_eq!(condition(&crd, "Established")["reason"], "NotAccepted");
    assert_eq!(server.get("/apis/example.com/v1/gadgets").await.status, 404);
    server.delete(&format!("{CRDS}/widgets.example.com")).await.is(200);
    let crd = server.get(&path).await.is(200);
    assert_eq!(condition(&crd, "Established")["status"], "True");
    assert_eq!(server.get("/apis/example.com/v1/gadgets").await.status, 200);
}

#[tokio::test]
async fn definitions_are_checked() {
    let server = Server::new().await;
    let refused = |change: fn(&mut Value)| {
        let mut crd = widgets(spec());
        change(&mut crd);
        let server = &server;
        async move {
            let message = server.post(CRDS, crd).await.fails(422, "Invalid");
            message.split_once(" is invalid: ").unwrap().1.to_owned()
        }
    };
    assert_eq!(
        refused(|crd| crd["metadata"]["name"] = json!("x.example.com")).await,
        "metadata.name: Invalid value: \"x.example.com\": must be spec.names.plural+\".\"+spec.group"
    );
    assert_eq!(
        refused(|crd| crd["spec"]["scope"] = json!("Galaxy")).await,
        "spec.scope: Unsupported value: \"Galaxy\": supported values: \"Cluster\", \"Namespaced\""
    );
    let message = refused(|crd| crd["spec"]["versions"][0]["storage"] = json!(false)).await;
    assert!(
        message.contains("must have exactly one version marked as storage version"),
        "{message}"
    );
    assert_eq!(
        refused(|crd| crd["spec"]["versions"][0]["schema"] = Value::Null).await,
        "[spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required, spec.selectableFields: Invalid value: \"\": selectableFields may only be set when version.schema.openAPIV3Schema is not included]"
    );
    assert_eq!(
        refused(|crd| crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["x"] = json!({})).await,
        "spec.validation.openAPIV3Schema.properties[spec].properties[x].type: Required value: must not be empty for specified object fields"
    );
    assert_eq!(
        refused(|crd| crd["spec"]["versions"][0]["subresources"]["scale"]["specReplicasPath"] =
            json!(".replicas"))
        .await,
        "spec.subresources.scale.specReplicasPath: Invalid value: \".replicas\": should be a json path under .spec"
    );
    assert_eq!(
        refused(
            |crd| crd["spec"]["versions"][0]["additionalPrinterColumns"][0]["type"] = json!("text")
        )
        .await,
        "spec.additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of boolean,date,integer,number,string"
    );
    let message = refused(|crd| crd["spec"]["preserveUnknownFields"] = json!(true)).await;
    assert!(message.contains("cannot set to true"), "{message}");
    assert_eq!(
        refused(|crd| crd["spec"]["conversion"] = json!({"strategy": "Webhook"})).await,
        "[spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook, spec.conversion.conversionReviewVersions: Required value]"
    );
    let message = refused(|crd| {
        crd["spec"]["group"] = json!("x.k8s.io");
        crd["metadata"]["name"] = json!("widgets.x.k8s.io");
    })
    .await;
    assert!(message.starts_with("metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation"), "{message}");
    server.post(CRDS, widgets(spec())).await.is(201);
    let path = format!("{CRDS}/widgets.example.com");
    let change = json!({"spec": {"scope": "Cluster", "names": {"kind": "Other"}}});
    let message = server.patch(&path, "merge-patch", change).await.fails(422, "Invalid");
    assert!(
        message.contains("spec.scope: Invalid value: \"Cluster\": field is immutable"),
        "{message}"
    );
    assert!(
        message.contains("spec.names.kind: Invalid value: \"Other\": field is immutable"),
        "{message}"
    );
}

/// `hostPort` of v1 is `host` and `port` of v2.
fn convert(request: &Value) -> Value {
    let wanted = request["desiredAPIVersion"].as_str().unwrap();
    let mut objects = request["objects"].as_array().unwrap().clone();
    for object in &mut objects {
        if object["spec"]["refuse"] == true {
            return json!({"result": {"status": "Failure", "message": "not this one"}});
        }
        object["apiVersion"] = json!(wanted);
        let spec = object["spec"].as_object_mut().unwrap();
        if wanted.ends_with("v2") {
            let both = spec.remove("hostPort").unwrap();
            let (host, port) = both.as_str().unwrap().split_once(':').unwrap();
            spec.insert("host".into(), json!(host));
            spec.insert("port".into(), json!(port.parse::<u16>().unwrap()));
        } else {
            let (host, port) = (spec.remove("host").unwrap(), spec.remove("port").unwrap());
            spec.insert("hostPort".into(), json!(format!("{}:{port}", host.as_str().unwrap())));
        }
    }
    json!({"convertedObjects": objects, "result": {"status": "Success"}})
}

#[tokio::test]
async fn a_webhook_converts() {
    let hook = Webhook::new(convert).await;
    let server = Server::new().await;
    let mut crd = widgets(json!({}));
    let version = |name: &str, fields: Value| {
        let mut fields = fields;
        fields["refuse"] = json!({"type": "boolean"});
        json!({"name": name, "served": true, "storage": name == "v1",
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": fields}}}}})
    };
    let text = json!({"type": "string"});
    crd["spec"]["versions"] = json!([
        version("v1", json!({"hostPort": text})),
        version("v2", json!({"host": text, "port": {"type": "integer", "maximum": 9}})),
    ]);
    crd["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": hook.client_config()}});
    server.post(CRDS, crd).await.is(201);
    let new = "/apis/example.com/v2/namespaces/default/widgets";
    let body = |name: &str, spec: Value| {
        json!({"apiVersion": "example.com/v2", "kind": "Widget",
        "metadata": {"name": name, "labels": {"a": "b"}}, "spec": spec})
    };
    let created = server.post(new, body("a", json!({"host": "h", "port": 1}))).await.is(201);
    assert_eq!(created["spec"], json!({"host": "h", "port": 1}));
    assert_eq!(created["metadata"]["labels"], json!({"a": "b"}));
    let old = server.get(&format!("{WIDGETS}/a")).await.is(200);
    assert_eq!(old["spec"], json!({"hostPort": "h:1"}));
    server.post(WIDGETS, widget("b", json!({"hostPort": "g:2"}))).await.is(201);
    let list = server.get(new).await.is(200);
    let ports: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|i| i["spec"]["port"].clone()).collect();
    assert_eq!(ports, [1, 2]);
    let patched =
        server.patch(&format!("{new}/b"), "merge-patch", json!({"spec": {"port": 3}})).await;
    assert_eq!(patched.is(200)["spec"], json!({"host": "g", "port": 3}));
    // A version has its own rules.
    let refused = server.post(new, body("c", json!({"host": "h", "port": 10}))).await;
    let refused = refused.fails(422, "Invalid");
    assert!(refused.ends_with("spec.port in body should be less than or equal to 9"), "{refused}");
    let failed = server.post(new, body("c", json!({"host": "h", "port": 1, "refuse": true}))).await;
    let failed = failed.is(500);
    assert_eq!(
        failed["message"],
        "conversion webhook for example.com/v2, Kind=Widget failed: not this one"
    );
    // What was stored in the old version is brought into the new one when that is stored.
    let mut crd = server.get(&format!("{CRDS}/widgets.example.com")).await.is(200);
    crd["spec"]["versions"][0]["storage"] = json!(false);
    crd["spec"]["versions"][1]["storage"] = json!(true);
    server.put(&format!("{CRDS}/widgets.example.com"), &crd).await.is(200);
    assert_eq!(
        server.get(&format!("{new}/a")).await.is(200)["spec"],
        json!({"host": "h", "port": 1})
    );
    let patched = server
        .patch(&format!("{WIDGETS}/a"), "merge-patch", json!({"spec": {"hostPort": "z:5"}}))
        .await;
    assert_eq!(patched.is(200)["spec"], json!({"hostPort": "z:5"}));
    assert_eq!(
        server.get(&format!("{new}/a")).await.is(200)["spec"],
        json!({"host": "z", "port": 5})
    );
    server.delete(&format!("{new}/b")).await.is(200);
    assert!(!hook.asked().is_empty());
}

#[tokio::test]
async fn rules_in_cel_hold_for_objects() {
    let server = Server::new().await;
    let mut spec = spec();
    spec["x-kubernetes-validations"] = json!([
        {"rule": "!has(self.replicas) || self.replicas <= self.size", "messageExpression": "'at most ' + string(self.size)", "fieldPath": ".replicas"},
        {"rule": "self.size >= oldSelf.size", "message": "cannot shrink", "reason": "FieldValueForbidden"},
    ]);
    server.post(CRDS, widgets(spec.clone())).await.is(201);
    let refused = server
        .post(WIDGETS, widget("a", json!({"size": 1, "replicas": 2})))
        .await
        .fails(422, "Invalid");
    assert!(refused.ends_with("spec.replicas: Invalid value: at most 1"), "{refused}");
    server.post(WIDGETS, widget("a", json!({"size": 2}))).await.is(201);
    let refused =
        server.patch(&format!("{WIDGETS}/a"), "merge-patch", json!({"spec": {"size": 1}})).await;
    assert!(refused.fails(422, "Invalid").ends_with("spec: Forbidden: cannot shrink"));
    let refused =
        server.post(WIDGETS, widget("b", json!({"size": "x"}))).await.fails(422, "Invalid");
    assert!(
        refused.contains("some validation rules were not checked because the object was invalid"),
        "{refused}"
    );
    spec["x-kubernetes-validations"][0]["rule"] = json!("self.nothing");
    let refused = server.patch(&format!("{CRDS}/widgets.example.com"), "json-patch", json!([
        {"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec", "value": spec}])).await;
    let refused = refused.fails(422, "Invalid");
    assert!(refused.contains("spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Invalid value:"), "{refused}");
    assert!(refused.contains("undefined field 'nothing'"), "{refused}");
}
