#[test]
fn dump() {
    for name in ["echo-server", "echo-client"] {
        let bytes = std::fs::read(format!("{}/../../target/modules/{name}.wasm", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let made = coracle_images::recognise(bytes.into()).unwrap();
        std::fs::write(format!("/tmp/net-{name}.wasm"), &made.wasm).unwrap();
    }
}
