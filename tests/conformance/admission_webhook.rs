//! Admission webhooks: what they refuse, what they change, and what becomes of a request when one
//! of them does not answer.

use anyhow::{Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};

use crate::crd::{define, definition, group, named, object, thing, things, version};
use crate::hook::{Hook, allow, deny, patch};
use crate::world::{World, all, items, pod};

const GROUP: &str = "admissionregistration.k8s.io/v1";
const VALIDATING: (&str, &str) =
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations");
const MUTATING: (&str, &str) = ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations");

/// A webhook for operations on a resource in the test's namespace.
fn webhook(
    world: &World,
    client: Value,
    (group, resource): (&str, &str),
    operations: &[&str],
) -> Value {
    json!({
        "name": format!("{}.example.com", resource.replace('/', "-")),
        "clientConfig": client,
        "rules": [{"operations": operations, "apiGroups": [group], "apiVersions": ["*"],
            "resources": [resource]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 10,
    })
}

/// Makes a configuration of those webhooks; its path.
async fn configure(
    world: &World,
    (kind, plural): (&str, &str),
    name: &str,
    hooks: Value,
) -> Result<String> {
    let path = all(GROUP, plural);
    let name = world.unique(name);
    let body = json!({"apiVersion": GROUP, "kind": kind,
        "metadata": {"name": name, "labels": {"test": world.namespace}}, "webhooks": hooks});
    world.post(&path, &body).await?;
    Ok(format!("{path}/{name}"))
}

fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// Tries until creating `body` ends as `wanted`; it is created dry. A new configuration takes effect soon.
async fn settles(
    world: &World,
    path: &str,
    body: &Value,
    wanted: impl Fn(u16, &Value) -> bool,
) -> Result<Value> {
    let mut last = Value::Null;
    for _ in 0..100 {
        let dry = format!("{path}?dryRun=All");
        let answer = world.call(Method::POST, &dry, "application/json", body.to_string()).await?;
        last = answer.json()?;
        if wanted(answer.code, &last) {
            return Ok(last);
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    bail!("{path}: {last}")
}

async fn denied(world: &World, path: &str, body: &Value, message: &str) -> Result<()> {
    let refusal = settles(world, path, body, |code, _| code >= 400).await?;
    let text = refusal["message"].as_str().unwrap_or_default();
    ensure!(text.contains("denied the request") && text.contains(message), "{refusal}");
    Ok(())
}

#[tokio::test]
async fn admission_webhook_discovery_document() -> Result<()> {
    let world = World::new().await?;
    crate::lifecycle::discovered(&world, GROUP, &[VALIDATING.1, MUTATING.1]).await
}

#[tokio::test]
async fn admission_webhook_deny_create() -> Result<()> {
    let world = World::new().await?;
    let hook = Hook::serve(|_, request| {
        if request["object"]["data"]["bad"] == "yes" { deny("the map is bad") } else { allow() }
    })
    .await?;
    let operations = ["CREATE", "UPDATE"];
    let mut one = webhook(&world, hook.client("/maps"), ("", "configmaps"), &operations);
    one["failurePolicy"] = "Fail".into();
    configure(&world, VALIDATING, "deny", json!([one])).await?;
    let path = world.path("v1", "configmaps");
    let bad = map("bad", json!({"bad": "yes"}));
    denied(&world, &path, &bad, "the map is bad").await?;
    let message = world.refused(Method::POST, &path, &bad, (403, "")).await;
    ensure!(message.is_err(), "a webhook's plain refusal has no reason of its own");
    world.post(&path, &map("good", json!({}))).await?;
    // Neither an update nor a patch comes past it.
    for kind in [Method::PUT, Method::PATCH] {
        let mut body = world.get(&format!("{path}/good")).await?;
        body["data"] = json!({"bad": "yes"});
        let media = if kind == Method::PUT { "application/json" } else { crate::world::MERGE };
        let answer = world.call(kind, &format!("{path}/good"), media, body.to_string()).await?;
        ensure!(answer.text.contains("denied the request: the map is bad"), "{answer:?}");
    }
    ensure!(hook.seen().iter().all(|one| one["namespace"] == world.namespace.as_str()));
    ensure!(hook.seen().iter().any(|one| one["dryRun"] == true && one["operation"] == "CREATE"));
    Ok(())
}

#[tokio::test]
#[ignore = "see not-yet.toml"]
async fn admission_webhook_deny_attach() -> Result<()> {
    let world = World::new().await?;
    let hook = Hook::serve(|_, _| deny("attaching to pods is not allowed")).await?;
    let attach = webhook(&world, hook.client("/attach"), ("", "pods/attach"), &["CONNECT"]);
    configure(&world, VALIDATING, "attach", json!([attach])).await?;
    world.post(&world.path("v1", "pods"), &pod("pod", json!({}))).await?;
    let path = world.path("v1", "pods/pod");
    world.until(&path, |pod| pod["status"]["phase"] == "Running").await?;
    for _ in 0..50 {
        let attach = format!("{path}/attach?container=c&stdin=true&stdout=true");
        let answer = world.call(Method::POST, &attach, "application/json", "").await?;
        if answer.text.contains("attaching to pods is not allowed") {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    bail!("the webhook was not asked: {:?}", hook.seen())
}

/// A webhook that nobody serves refuses everything, if its policy is to fail.
#[tokio::test]
async fn admission_webhook_fail_closed() -> Result<()> {
    let world = World::new().await?;
    let nobody = json!({"url": "https://127.0.0.1:1/nobody"});
    let mut one = webhook(&world, nobody, ("", "configmaps"), &["CREATE"]);
    one["failurePolicy"] = "Fail".into();
    configure(&world, VALIDATING, "closed", json!([one])).await?;
    let path = world.path("v1", "configmaps");
    let refusal = settles(&world, &path, &map("map", json!({})), |code, _| code == 500).await?;
    ensure!(refusal["reason"] == "InternalError", "{refusal}");
    let message = refusal["message"].as_str().unwrap_or_default();
    ensure!(message.contains("failed calling webhook \"configmaps.example.com\""), "{message}");
    Ok(())
}

#[tokio::test]
async fn admission_webhook_honor_timeout() -> Result<()> {
    let world = World::new().await?;
    let hook = Hook::serve(|_, _| allow()).await?;
    let path = world.path("v1", "configmaps");
    let body = map("map", json!({}));
    for (number, timeout, policy, passes) in
        [(0, 1, "Fail", false), (1, 1, "Ignore", true), (2, 10, "Fail", true)]
    {
        let mut slow = webhook(&world, hook.client("/slow"), ("", "configmaps"), &["CREATE"]);
        slow["timeoutSeconds"] = timeout.into();
        slow["failurePolicy"] = policy.into();
        let before = hook.seen().len();
        let made = configure(&world, VALIDATING, &format!("slow{number}"), json!([slow])).await?;
        if passes {
            for _ in 0..20 {
                let dry = format!("{path}?dryRun=All");
                world.post(&dry, &body).await?;
                if hook.seen().len() > before {
                    break;
                }
            }
        } else {
            let refusal = settles(&world, &path, &body, |code, _| code >= 400).await?;
            let message = refusal["message"].as_str().unwrap_or_default();
            ensure!(message.contains("failed calling webhook"), "{message}");
        }
        world.delete(&made).await?;
        settles(&world, &path, &body, |code, _| code == 201).await?;
    }
    Ok(())
}

/// Each of two webhooks adds what the one before it made possible.
#[tokio::test]
async fn admission_webhook_ordered_mutation() -> Result<()> {
    let world = World::new().await?;
    let hook = Hook::serve(|path, request| {
        let data = &request["object"]["data"];
        match path {
            "/first" if data["start"] == "yes" => {
                patch(&json!([{"op": "add", "path": "/data/stage-1", "value": "yes"}]))
            }
            "/second" if data["stage-1"] == "yes" => {
                patch(&json!([{"op": "add", "path": "/data/stage-2", "value": "yes"}]))
            }
            _ => allow(),
        }
    })
    .await?;
    let mut first = webhook(&world, hook.client("/first"), ("", "configmaps"), &["CREATE"]);
    first["name"] = "first.example.com".into();
    let mut second = webhook(&world, hook.client("/second"), ("", "configmaps"), &["CREATE"]);
    second["name"] = "second.example.com".into();
    configure(&world, MUTATING, "mutate", json!([first, second])).await?;
    let path = world.path("v1", "configmaps");
    let body = map("map", json!({"start": "yes"}));
    settles(&world, &path, &body, |_, one| one["data"]["stage-2"] == "yes").await?;
    let made = world.post(&path, &body).await?;
    ensure!(made["data"] == json!({"start": "yes", "stage-1": "yes", "stage-2": "yes"}), "{made}");
    Ok(())
}

/// What a webhook leaves out is defaulted after it.
#[tokio::test]
async fn admission_webhook_mutation_with_defaulting() -> Result<()> {
    let world = World::new().await?;
    let hook = Hook::serve(|_, _| {
        let init = json!({"name": "webhook-added-init", "image": "cpu-burner", "args": ["0"]});
        patch(&json!([{"op": "add", "path": "/spec/initContainers", "value": [init]}]))
    })
    .await?;
    let one = webhook(&world, hook.client("/pods"), ("", "pods"), &["CREATE"]);
    configure(&world, MUTATING, "pods", json!([one])).await?;
    let path = world.path("v1", "pods");
    let added = |pod: &Value| pod["spec"]["initContainers"][0]["name"] == "webhook-added-init";
    let pod = settles(&world, &path, &pod("pod", json!({})), |_, pod| added(pod)).await?;
    let init = &pod["spec"]["initContainers"][0];
    ensure!(init["terminationMessagePolicy"] == "File", "{init}");
    ensure!(init["imagePullPolicy"] == "Always", "{init}");
    Ok(())
}

#[tokio::test]
async fn admission_webhook_deny_custom_resource_create_and_delete() -> Result<()> {
    let world = World::new().await?;
    define(&world, definition(&world, json!({"data": {"type": "string"}}))).await?;
    let hook = Hook::serve(|_, request| {
        let either = [&request["object"]["data"], &request["oldObject"]["data"]];
        if either.contains(&&json!("bad")) { deny("the thing is bad") } else { allow() }
    })
    .await?;
    let path = things(&world);
    world.post(&path, &thing(&world, "old", json!({"data": "bad"}))).await?;
    let operations = ["CREATE", "UPDATE", "DELETE"];
    let one = webhook(&world, hook.client("/things"), (&group(&world), "things"), &operations);
    configure(&world, VALIDATING, "things", json!([one])).await?;
    denied(&world, &path, &thing(&world, "new", json!({"data": "bad"})), "the thing is bad")
        .await?;
    let answer = world.call(Method::DELETE, &format!("{path}/old"), "application/json", "").await?;
    ensure!(answer.text.contains("the thing is bad"), "{answer:?}");
    world.merge(&format!("{path}/old"), json!({"data": "good"})).await.err();
    let good = world.post(&path, &thing(&world, "good", json!({"data": "good"}))).await?;
    ensure!(good["data"] == "good", "{good}");
    world.delete(&format!("{path}/good")).await?;
    Ok(())
}

#[tokio::test]
async fn admission_webhook_deny_custom_resource_definition() -> Result<()> {
    let world = World::new().await?;
    let hook = Hook::serve(|_, _| deny("definitions with this label are not allowed")).await?;
    let definitions = ("apiextensions.k8s.io", "customresourcedefinitions");
    let mut one = webhook(&world, hook.client("/crds"), definitions, &["CREATE"]);
    one["objectSelector"] = json!({"matchLabels": {"denied": world.namespace}});
    one.as_object_mut().map(|one| one.remove("namespaceSelector"));
    configure(&world, VALIDATING, "crds", json!([one])).await?;
    let mut crd = definition(&world, json!({}));
    crd["metadata"]["labels"] = json!({"denied": world.namespace});
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    denied(&world, path, &crd, "definitions with this label are not allowed").await
}

/// A mutating webhook for things that adds a field, as a configuration that has taken effect.
async fn mutated_things(world: &World, field: &str) -> Result<()> {
    let operations = json!([{"op": "add", "path": format!("/data/{field}"), "value": "yes"}]);
    let hook = Hook::serve(move |_, _| patch(&operations)).await?;
    let one =
        webhook(world, hook.client("/things"), (&group(world), "things"), &["CREATE", "UPDATE"]);
    configure(world, MUTATING, "things", json!([one])).await?;
    let body = thing(world, "any", json!({"data": {"start": "yes"}}));
    for _ in 0..100 {
        world.post(&format!("{}?dryRun=All", things(world)), &body).await?;
        if !hook.seen().is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    std::mem::forget(hook);
    Ok(())
}

fn open() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

#[tokio::test]
async fn admission_webhook_mutate_custom_resource() -> Result<()> {
    let world = World::new().await?;
    define(&world, definition(&world, json!({"data": open()}))).await?;
    mutated_things(&world, "added").await?;
    let body = thing(&world, "one", json!({"data": {"start": "yes"}}));
    let made = world.post(&things(&world), &body).await?;
    ensure!(made["data"] == json!({"start": "yes", "added": "yes"}), "{made}");
    Ok(())
}

#[tokio::test]
async fn admission_webhook_mutate_custom_resource_with_pruning() -> Result<()> {
    let world = World::new().await?;
    let text = json!({"type": "string"});
    let data = object(json!({"start": text, "known": text}));
    define(&world, definition(&world, json!({"data": data}))).await?;
    mutated_things(&world, "unknown").await?;
    let body = thing(&world, "one", json!({"data": {"start": "yes"}}));
    let made = world.post(&things(&world), &body).await?;
    ensure!(made["data"] == json!({"start": "yes"}), "{made}");
    Ok(())
}

#[tokio::test]
async fn admission_webhook_mutate_custom_resource_with_different_stored_version() -> Result<()> {
    let world = World::new().await?;
    let group = group(&world);
    let schema = object(json!({"data": open()}));
    let versions = json!([version("v1", true, schema.clone()), version("v2", false, schema)]);
    define(&world, named(&group, "Thing", versions)).await?;
    mutated_things(&world, "added").await?;
    let body = thing(&world, "one", json!({"data": {"start": "yes"}}));
    world.post(&things(&world), &body).await?;
    let crd = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.{group}");
    world
        .update(&crd, |crd| {
            crd["spec"]["versions"][0]["storage"] = false.into();
            crd["spec"]["versions"][1]["storage"] = true.into();
        })
        .await?;
    let one = format!("{}/one", things(&world));
    let patched = world.merge(&one, json!({"data": {"later": "yes"}})).await?;
    ensure!(
        patched["data"] == json!({"start": "yes", "added": "yes", "later": "yes"}),
        "{patched}"
    );
    let other = world.path(&format!("{group}/v2"), "things/one");
    ensure!(world.get(&other).await?["data"] == patched["data"]);
    Ok(())
}

/// No webhook is asked about the configurations of webhooks.
#[tokio::test]
async fn admission_webhook_admission_control_not_allowed_on_webhook_configuration_objects()
-> Result<()> {
    let world = World::new().await?;
    let hook = Hook::serve(|_, _| deny("never")).await?;
    let mut one = webhook(
        &world,
        hook.client("/"),
        ("admissionregistration.k8s.io", "*"),
        &["CREATE", "DELETE"],
    );
    one["name"] = "self.example.com".into();
    one["objectSelector"] = json!({"matchLabels": {"test": world.namespace}});
    one.as_object_mut().map(|one| one.remove("namespaceSelector"));
    configure(&world, VALIDATING, "self", json!([one])).await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let nothing = webhook(&world, hook.client("/"), ("", "nothings"), &["CREATE"]);
    for kind in [VALIDATING, MUTATING] {
        let path = configure(&world, kind, "other", json!([nothing])).await?;
        world.delete(&path).await?;
    }
    ensure!(hook.seen().is_empty(), "{:?}", hook.seen());
    Ok(())
}

/// Whether a webhook of the configuration is asked about maps that are made.
async fn update_and_patch(
    kind: (&str, &str),
    answer: Value,
    changed: fn(u16, &Value) -> bool,
) -> Result<()> {
    let world = World::new().await?;
    let hook = Hook::serve(move |_, _| answer.clone()).await?;
    let one = webhook(&world, hook.client("/maps"), ("", "configmaps"), &["CREATE"]);
    let path = configure(&world, kind, "changing", json!([one])).await?;
    let maps = world.path("v1", "configmaps");
    let body = map("map", json!({}));
    settles(&world, &maps, &body, changed).await?;
    world
        .update(&path, |one| one["webhooks"][0]["rules"][0]["operations"] = json!(["UPDATE"]))
        .await?;
    settles(&world, &maps, &body, |code, one| !changed(code, one)).await?;
    let operations =
        json!([{"op": "replace", "path": "/webhooks/0/rules/0/operations", "value": ["CREATE"]}]);
    world.patch(&path, crate::world::JSON, operations).await?;
    settles(&world, &maps, &body, changed).await?;
    Ok(())
}

#[tokio::test]
async fn admission_webhook_update_validating_webhook() -> Result<()> {
    update_and_patch(VALIDATING, deny("no"), |code, _| code >= 400).await
}

fn adding() -> Value {
    patch(&json!([{"op": "add", "path": "/data", "value": {"mutated": "yes"}}]))
}

#[tokio::test]
async fn admission_webhook_update_mutating_webhook() -> Result<()> {
    update_and_patch(MUTATING, adding(), |_, one| one["data"]["mutated"] == "yes").await
}

/// Listed, and deleted together: then they do nothing more.
async fn collection(
    kind: (&str, &str),
    answer: Value,
    changed: fn(u16, &Value) -> bool,
) -> Result<()> {
    let world = World::new().await?;
    let hook = Hook::serve(move |_, _| answer.clone()).await?;
    for number in 0..3 {
        let one = webhook(&world, hook.client("/maps"), ("", "configmaps"), &["CREATE"]);
        configure(&world, kind, &format!("list{number}"), json!([one])).await?;
    }
    let selected = format!("{}?labelSelector=test%3D{}", all(GROUP, kind.1), world.namespace);
    ensure!(items(&world.get(&selected).await?).len() == 3);
    let maps = world.path("v1", "configmaps");
    let body = map("map", json!({}));
    settles(&world, &maps, &body, changed).await?;
    world.delete(&selected).await?;
    settles(&world, &maps, &body, |code, one| !changed(code, one)).await?;
    Ok(())
}

#[tokio::test]
async fn admission_webhook_list_validating_webhooks() -> Result<()> {
    collection(VALIDATING, deny("no"), |code, _| code >= 400).await
}

#[tokio::test]
async fn admission_webhook_list_mutating_webhooks() -> Result<()> {
    collection(MUTATING, adding(), |_, one| one["data"]["mutated"] == "yes").await
}

/// Conditions are kept as they are given, and may be changed.
async fn conditions(kind: (&str, &str)) -> Result<()> {
    let world = World::new().await?;
    let nobody = json!({"url": "https://127.0.0.1:1/nobody"});
    let mut one = webhook(&world, nobody, ("", "nothings"), &["CREATE"]);
    let conditions = json!([{"name": "first", "expression": "object.metadata.namespace == 'x'"}]);
    one["matchConditions"] = conditions.clone();
    let path = configure(&world, kind, "conditions", json!([one])).await?;
    ensure!(world.get(&path).await?["webhooks"][0]["matchConditions"] == conditions);
    let changed = json!([
        {"name": "first", "expression": "object.metadata.namespace == 'y'"},
        {"name": "second", "expression": "request.operation == 'CREATE'"},
    ]);
    world.update(&path, |one| one["webhooks"][0]["matchConditions"] = changed.clone()).await?;
    ensure!(world.get(&path).await?["webhooks"][0]["matchConditions"] == changed);
    Ok(())
}

#[tokio::test]
async fn mutating_admission_webhook_create_and_update_mutating_webhook_configuration_with_matchconditions()
-> Result<()> {
    conditions(MUTATING).await
}

#[tokio::test]
async fn validating_admission_webhook_create_and_update_validating_webhook_configuration_with_matchconditions()
-> Result<()> {
    conditions(VALIDATING).await
}

/// A condition that is no expression is refused with what is wrong with it.
async fn invalid_condition((kind, plural): (&str, &str)) -> Result<()> {
    let world = World::new().await?;
    let nobody = json!({"url": "https://127.0.0.1:1/nobody"});
    let mut one = webhook(&world, nobody, ("", "nothings"), &["CREATE"]);
    one["matchConditions"] = json!([{"name": "bad", "expression": "... [] bad expression"}]);
    let body = json!({"apiVersion": GROUP, "kind": kind,
        "metadata": {"name": world.unique("bad")}, "webhooks": [one]});
    let refused = (422, "Invalid");
    let message = world.refused(Method::POST, &all(GROUP, plural), &body, refused).await?;
    ensure!(message.contains("webhooks[0].matchConditions[0].expression"), "{message}");
    ensure!(message.contains("compilation failed"), "{message}");
    Ok(())
}

#[tokio::test]
async fn mutating_admission_webhook_reject_mutating_webhook_configurations_with_invalid_matchconditions()
-> Result<()> {
    invalid_condition(MUTATING).await
}

#[tokio::test]
async fn validing_admission_webhook_reject_validating_webhook_configurations_with_invalid_matchconditions()
-> Result<()> {
    invalid_condition(VALIDATING).await
}

#[tokio::test]
async fn mutating_admission_webhook_mutating_webhook_excluding_object_with_specific_name()
-> Result<()> {
    let world = World::new().await?;
    let answer = adding();
    let hook = Hook::serve(move |_, _| answer.clone()).await?;
    let mut one = webhook(&world, hook.client("/maps"), ("", "configmaps"), &["CREATE"]);
    one["matchConditions"] =
        json!([{"name": "skip", "expression": "object.metadata.name != 'skip-me'"}]);
    configure(&world, MUTATING, "skip", json!([one])).await?;
    let path = world.path("v1", "configmaps");
    let mutated = |_: u16, one: &Value| one["data"]["mutated"] == "yes";
    settles(&world, &path, &map("not-me", json!({})), mutated).await?;
    let skipped = world.post(&path, &map("skip-me", json!({"a": "b"}))).await?;
    ensure!(skipped["data"] == json!({"a": "b"}), "{skipped}");
    Ok(())
}
