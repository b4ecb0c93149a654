//! What a guest needs around it: an engine, a network, a place for what it prints.

use std::sync::Arc;

use bytes::Bytes;
use coracle_network::{Cidr, Config, Fabric, Identity, Interface};
use coracle_sandbox::{
    Engine, EngineConfig, Exit, HttpSpec, Instance, Limits, Module, Printed, Source, Spec, Stdio,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) struct Cluster {
    pub(crate) engine: Engine,
    pub(crate) fabric: Fabric,
    pub(crate) dir: TempDir,
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

pub(crate) fn engine(dir: &TempDir, instances: u32) -> Engine {
    let mut config = EngineConfig::new(dir.path().join("code"));
    config.max_instances = instances;
    Engine::new(config).unwrap()
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self::sized(64)
    }

    /// With `threads` for guests.
    pub(crate) fn threads(threads: usize) -> Self {
        let mut cluster = Self::sized(4);
        let mut config = EngineConfig::new(cluster.dir.path().join("code"));
        config.max_instances = 4;
        config.guest_threads = threads;
        cluster.engine = Engine::new(config).unwrap();
        cluster
    }

    pub(crate) fn sized(instances: u32) -> Self {
        let dir = TempDir::new().unwrap();
        Self { engine: engine(&dir, instances), fabric: Fabric::new(Config::default()), dir }
    }

    pub(crate) fn interface(&self) -> Interface {
        let identity = Identity { name: "guest".to_owned(), ..Identity::default() };
        self.fabric.attach(identity, Cidr::v4([10, 244, 0, 0], 16)).unwrap()
    }

    pub(crate) async fn module(&self, text: &str) -> Arc<Module> {
        let bytes = ::wat::parse_str(text).unwrap();
        self.engine.load(&digest(&bytes), Source::Bytes(Bytes::from(bytes))).await.unwrap()
    }

    /// A spec for `module` and what it prints, collected.
    pub(crate) fn spec(&self, module: Arc<Module>) -> (Spec, Prints) {
        let (output, taken) = mpsc::channel(64);
        let spec = Spec {
            module,
            name: "guest".to_owned(),
            args: vec!["guest".to_owned()],
            env: Vec::new(),
            mounts: Vec::new(),
            output,
            interface: self.interface(),
            http: HttpSpec::default(),
            limits: Limits::default(),
        };
        (spec, Prints(tokio::spawn(collect(taken))))
    }

    pub(crate) async fn start(&self, spec: Spec) -> Instance {
        self.engine.start(spec).await.unwrap()
    }

    /// Runs the core module or component `text` to its end.
    pub(crate) async fn run(&self, text: &str) -> (Exit, String, String) {
        self.run_with(text, |_| {}).await
    }

    pub(crate) async fn run_with(
        &self,
        text: &str,
        change: impl FnOnce(&mut Spec),
    ) -> (Exit, String, String) {
        let (mut spec, prints) = self.spec(self.module(text).await);
        change(&mut spec);
        let exit = self.start(spec).await.wait().await;
        let (out, err) = prints.texts().await;
        (exit, out, err)
    }
}

async fn collect(mut taken: mpsc::Receiver<Printed>) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(Printed { stream, bytes }) = taken.recv().await {
        match stream {
            Stdio::Stdout => out.extend_from_slice(&bytes),
            Stdio::Stderr => err.extend_from_slice(&bytes),
        }
    }
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// What a guest prints until its end.
pub(crate) struct Prints(JoinHandle<(String, String)>);

impl Prints {
    pub(crate) async fn texts(self) -> (String, String) {
        self.0.await.unwrap()
    }
}
