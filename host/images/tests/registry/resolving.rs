//! From an image to a file.

use coracle_api::module::{Form, READY_MADE_NAMESPACE};
use coracle_images::{Digest, ResolveError, provide, resolve};

use crate::cluster::{COMMAND, Cluster, wasm};

#[tokio::test]
async fn a_pods_own_module_comes_before_a_ready_made_one() {
    let cluster = Cluster::new();
    let client = cluster.modules.client();
    let ready = wasm(r#"(module (func (export "_start")) (func (export "ready")))"#);
    provide(&client, &cluster.images, "pause", &ready).await.unwrap();

    let image = "registry.k8s.io/pause:3.9";
    let resolved = resolve(&cluster.images, &client, "default", image).await.unwrap();
    assert_eq!(resolved.digest, Digest::of(&ready));
    assert_eq!(resolved.form, Form::CoreCommand);
    assert_eq!(resolved.image_id, format!("{READY_MADE_NAMESPACE}/pause@{}", resolved.digest));
    assert!(resolved.alias.unwrap().contains(image));

    let resolved = resolve(&cluster.images, &client, "default", "pause").await.unwrap();
    assert_eq!((resolved.digest, resolved.alias), (Digest::of(&ready), None));
    assert_eq!(std::fs::read(resolved.path).unwrap(), ready);

    cluster.upload("default/pause", wasm(COMMAND)).await;
    let own = Digest::of(&wasm(COMMAND));
    for image in ["pause", "pause:latest", "default/pause", &format!("pause@{own}")] {
        let resolved = resolve(&cluster.images, &client, "default", image).await.unwrap();
        assert_eq!(resolved.digest, own, "{image}");
        assert_eq!(resolved.image_id, format!("default/pause@{own}"));
    }
    // Another namespace still gets the ready-made one.
    let resolved = resolve(&cluster.images, &client, "team", "pause").await.unwrap();
    assert_eq!(resolved.digest, Digest::of(&ready));
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_is() {
    let cluster = Cluster::new();
    let client = cluster.modules.client();
    cluster.upload("default/hello:v1", wasm(COMMAND)).await;
    cluster.upload("default/hello:v2", wasm(COMMAND)).await;
    let error =
        async |image: &str| resolve(&cluster.images, &client, "default", image).await.unwrap_err();
    for (image, text) in [
        ("hello", "no tag \"latest\"; it has v2, v1"),
        ("hello:v3", "no tag \"v3\"; it has v2, v1"),
        ("other", "no module \"other\" in namespace \"default\""),
        ("example.com/hello:v1", "other registries (example.com) are not pulled"),
        ("team/hello:v1", "not those of \"team\""),
    ] {
        let error = error(image).await;
        assert!(matches!(error, ResolveError::NotFound(_)), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }
    assert!(matches!(error("Hello").await, ResolveError::Invalid(_)));
    std::fs::remove_file(
        resolve(&cluster.images, &client, "default", "hello:v1").await.unwrap().path,
    )
    .unwrap();
    assert!(matches!(error("hello:v1").await, ResolveError::Store(_)));
}

#[tokio::test]
async fn providing_what_is_there_writes_nothing() {
    let cluster = Cluster::new();
    let client = cluster.modules.client();
    provide(&client, &cluster.images, "pause", &wasm(COMMAND)).await.unwrap();
    let writes = cluster.modules.writes();
    provide(&client, &cluster.images, "pause", &wasm(COMMAND)).await.unwrap();
    assert_eq!(cluster.modules.writes(), writes);
    let newer = wasm(r#"(module (func (export "_start")) (func (export "newer")))"#);
    provide(&client, &cluster.images, "pause", &newer).await.unwrap();
    let tags = cluster.modules.get(READY_MADE_NAMESPACE, "pause").unwrap().spec.tags;
    assert_eq!((tags.len(), &tags[0].digest), (1, &Digest::of(&newer).to_string()));
    assert!(provide(&client, &cluster.images, "bad", b"(module)").await.is_err());
}

/// A core module that becomes a component: what runs is not what was uploaded.
#[tokio::test]
async fn a_converted_module_runs_in_its_converted_form() {
    let cluster = Cluster::new();
    let client = cluster.modules.client();
    let core = handler();
    assert_eq!(cluster.upload("default/web", core.clone()).await.status, 201);
    let resolved = resolve(&cluster.images, &client, "default", "web").await.unwrap();
    assert_eq!(resolved.form, Form::HttpHandler);
    assert_ne!(resolved.digest, Digest::of(&core));
    assert_eq!(resolved.image_id, format!("default/web@{}", Digest::of(&core)));
    let component = std::fs::read(&resolved.path).unwrap();
    assert_eq!(Digest::of(&component), resolved.digest);

    // A component is run as it came.
    assert_eq!(cluster.upload("default/web:component", component).await.status, 201);
    let same = resolve(&cluster.images, &client, "default", "web:component").await.unwrap();
    assert_eq!(same.digest, resolved.digest);

    // What was made is made again when it is gone.
    std::fs::remove_file(&resolved.path).unwrap();
    let again = resolve(&cluster.images, &client, "default", "web").await.unwrap();
    assert_eq!(again.path, resolved.path);
    assert!(again.path.exists());
}

fn handler() -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    let wit = "package wasi:http@0.2.3;
        interface incoming-handler { handle: func(); }
        world proxy { export incoming-handler; }";
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut core = wasm(
        r#"(module (memory (export "memory") 1)
            (func (export "wasi:http/incoming-handler@0.2.3#handle")))"#,
    );
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut core, &resolve, world, encoding).unwrap();
    core
}
