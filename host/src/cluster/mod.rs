//! A whole cluster put together: store, API server, controllers, scheduler, nodes, and the order
//! in which they start and end.

mod dialer;
mod kubelets;
mod secret_tokens;
mod share;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use coracle_api::dice;
use coracle_apiserver::{
    ApiServer, ClientCertificate, Components, Identity, ServiceAccountIssuer, ServiceAccountKey,
    StaticToken,
};
use coracle_controllers::Authority;
use coracle_images::Images;
use coracle_network::{Egress, Fabric, nodeport, services};
use coracle_node::Agent;
use coracle_sandbox::{Engine, EngineConfig};
use coracle_store::{MemoryStore, RedbStore, Store};
use k8s_openapi::api::core::v1::Node;
use kube::Client;
use kube::api::Api;
use kube::runtime::wait::await_condition;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::bootstrap::{self, ApiServerAddress};
use crate::config::Config;
use crate::pki::Pki;
use crate::{audit, dashboard, files, kubeconfig, modules, serve, timeouts};
use dialer::PodNetwork;
use kubelets::InProcess;
use secret_tokens::SecretTokens;

/// The first address of the service range is the API server's.
const API_SERVICE: [u8; 4] = [10, 96, 0, 1];
/// The API server's own place on the pod network, in the last node range, which no node is given.
const API_ENDPOINT: [u8; 4] = [10, 244, 255, 254];
/// The port that it has there.
const API_ENDPOINT_PORT: u16 = 6443;

/// A running cluster.
pub(crate) struct Cluster {
    config: Config,
    address: SocketAddr,
    token: String,
    store: Arc<dyn Store>,
    server: ApiServer,
    /// In the order of their end; see [`Cluster::stop`].
    control: Part,
    nodes: Part,
    listeners: Part,
}

/// Tasks that end together.
struct Part {
    stop: CancellationToken,
    tasks: Vec<(&'static str, JoinHandle<()>)>,
}

impl Part {
    fn new() -> Self {
        Self { stop: CancellationToken::new(), tasks: vec![] }
    }

    /// Runs `task` until it ends of its own accord or [`Part::end`] cuts it short.
    fn until_stopped(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let stop = self.stop.clone();
        self.graceful(name, async move {
            tokio::select! { () = stop.cancelled() => {} () = task => {} }
        });
    }

    /// Runs `task`, which watches this part's token itself.
    fn graceful(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push((name, tokio::spawn(task)));
    }

    async fn end(self, grace: Duration) {
        self.stop.cancel();
        let all = async {
            for (name, task) in self.tasks {
                if let Err(error) = task.await {
                    tracing::error!(task = name, %error, "a task of the cluster broke");
                }
            }
        };
        if tokio::time::timeout(grace, all).await.is_err() {
            tracing::warn!(?grace, "tasks did not end in time and are cut");
        }
    }
}

impl Cluster {
    /// Starts a cluster; it is ready when this returns.
    pub(crate) async fn start(config: Config) -> Result<Self> {
        files::private_directory(&config.data_dir)?;
        let listener =
            TcpListener::bind((config.listen, config.port)).await.with_context(|| {
                format!(
                    "listening on {}:{}: choose another with --port or --listen",
                    config.listen, config.port
                )
            })?;
        let address = listener.local_addr()?;
        let store = open_store(&config).await?;
        let token = open_token(&config.data_dir)?;
        let pki = Pki::open(&config.data_dir.join("pki"), &[config.listen], API_SERVICE.into())?;
        let request_header = config.request_header.read(&pki.front_proxy_ca)?;
        let acceptor = serve::acceptor(&pki, &request_header.authorities)?;
        let url = format!("https://{}", reachable(address));
        kubeconfig::write(&config.data_dir.join("admin.kubeconfig"), &url, &pki)?;

        let mut network = coracle_network::Config::default();
        if config.allow_egress {
            network.egress = Egress::Allowed;
        }
        let fabric = Fabric::new(network);
        let images = Images::open(&config.data_dir.join("images"))?;
        let engine = Engine::new(EngineConfig::new(config.data_dir.join("compiled")))?;

        let metrics = Arc::new(Mutex::new(Registry::default()));
        let kubelets = Arc::new(InProcess::default());
        // The image routes act as their callers, through the server that they are a part of.
        let router: Arc<OnceLock<Router>> = Arc::default();
        let callers = router.clone();
        let extra =
            dashboard::router().merge(coracle_images::router(images.clone(), move |extensions| {
                let identity = extensions.get::<Arc<Identity>>().map(|held| Identity::clone(held));
                let router = callers.get().cloned().unwrap_or_default();
                coracle_apiserver::client(router, identity.unwrap_or_default(), "default")
            }));
        let mut tokens = vec![StaticToken {
            token: token.clone(),
            identity: Identity::new("kubernetes-admin", &["system:masters"]),
        }];
        tokens.extend(read_tokens(&config)?);
        let (audit, audit_log) = audit::begin(&config).await?.unzip();
        let components = Components::default();
        let server = ApiServer::new(
            coracle_apiserver::Config {
                build: env!("CARGO_PKG_VERSION").into(),
                tokens,
                service_accounts: ServiceAccountIssuer {
                    key: Some(ServiceAccountKey::read(&pki.service_account_key)?),
                    keys_url: format!("https://{}/openid/v1/jwks", reachable(address)),
                    ..ServiceAccountIssuer::default()
                },
                client_authorities: pki.ca.clone(),
                authentication: config.authentication.read()?,
                request_header,
                proxy_client: Some(ClientCertificate::read(
                    &pki.front_proxy.certificate,
                    &pki.front_proxy.key,
                )?),
                kubelets: kubelets.clone(),
                dialer: Arc::new(PodNetwork(fabric.clone())),
                extra,
                metrics: metrics.clone(),
                audit,
                components: components.clone(),
                ..Default::default()
            },
            store.clone(),
        );
        let routes = router.get_or_init(|| server.router()).clone();
        let client = |name: &str| {
            coracle_apiserver::client(routes.clone(), Identity::component(name), "default")
        };

        let mut listeners = Part::new();
        if let Some(writes) = audit_log {
            listeners.until_stopped("audit log", writes);
        }
        let stop = listeners.stop.clone();
        let accepting =
            serve::run(listener, acceptor.clone(), routes.clone(), stop.cancelled_owned());
        listeners.graceful("API server listener", accepting);
        let inside = fabric.attach_at(
            coracle_network::Identity {
                namespace: "kube-system".into(),
                name: "kube-apiserver".into(),
                ..Default::default()
            },
            API_ENDPOINT.into(),
        )?;
        let accepting = serve::run(
            inside.listen(API_ENDPOINT_PORT)?,
            acceptor,
            routes.clone(),
            listeners.stop.clone().cancelled_owned(),
        );
        listeners.graceful("API server listener for pods", async move {
            accepting.await;
            // The address is the server's for as long as it listens.
            drop(inside);
        });

        let address_of_api = ApiServerAddress {
            service: API_SERVICE.into(),
            endpoint: API_ENDPOINT.into(),
            port: API_ENDPOINT_PORT,
            info: kubeconfig::public(&url, &pki)?,
        };
        let own = coracle_apiserver::client(
            routes.clone(),
            Identity::master("system:apiserver"),
            "default",
        );
        server.bootstrap().await.context("making the objects that every cluster has")?;
        bootstrap::run(&own, &address_of_api).await?;

        let mut control = Part::new();
        let first_objects = bootstrap::watch_over(own.clone(), address_of_api);
        control.until_stopped("first objects", first_objects);
        let running = server.clone();
        control.until_stopped("API server chores", async move { running.run().await });
        let options = coracle_controllers::Options {
            root_ca: pki.ca.clone(),
            authority: Some(Arc::new(Authority::read(&pki.ca, &pki.ca_key)?)),
            tokens: Some(Arc::new(SecretTokens::new(&pki.service_account_key)?)),
            node_cidr_mask: share::cidr_mask(config.pods_per_node),
            ..Default::default()
        };
        let scheduling = coracle_scheduler::Options::default();
        {
            let mut registry = metrics.lock().unwrap_or_else(PoisonError::into_inner);
            options.metrics.register(&mut registry);
            scheduling.metrics.register(&mut registry);
        }
        let controllers = {
            let routes = routes.clone();
            let clients = move |name: &str| {
                coracle_apiserver::client(routes.clone(), Identity::component(name), "default")
            };
            let stop = control.stop.clone().cancelled_owned();
            async move {
                if let Err(error) = coracle_controllers::run(clients, options, stop).await {
                    tracing::error!(%error, "the controllers ended");
                }
            }
        };
        control.graceful("controllers", components.controllers.during(controllers));
        let scheduler = coracle_scheduler::run(
            client("system:kube-scheduler"),
            scheduling,
            control.stop.clone().cancelled_owned(),
        );
        control.graceful(
            "scheduler",
            components.scheduler.during(async move {
                if let Err(error) = scheduler.await {
                    tracing::error!(%error, "the scheduler ended");
                }
            }),
        );
        let proxy = client("system:kube-proxy");
        control.until_stopped("services", services::run(proxy, fabric.clone()));
        let report = |failure: nodeport::Failure| {
            tracing::warn!(?failure, "a node port cannot be opened and is retried");
        };
        let ports = nodeport::serve(fabric.clone(), vec![config.listen], report);
        control.until_stopped("node ports", ports);
        let collector = collect_images(client("system:coracle:images"), images.clone());
        control.until_stopped("image collection", collector);

        let mut nodes = Part::new();
        let mut names = vec![];
        for number in 0..config.nodes {
            let name = format!("node-{number}");
            let agent = Agent::new(
                share::node(&config, &name)?,
                client(&format!("system:node:{name}")),
                engine.clone(),
                fabric.clone(),
                images.clone(),
            );
            kubelets.insert(&name, agent.router());
            let stop = nodes.stop.clone().cancelled_owned();
            nodes.graceful("node", async move {
                if let Err(error) = agent.run(stop).await {
                    tracing::error!(%error, "a node agent ended");
                }
            });
            names.push(name);
        }

        for (name, bytes) in modules::ready_made() {
            coracle_images::provide(&own, &images, &name, &bytes)
                .await
                .with_context(|| format!("registering the ready-made module {name}"))?;
        }
        let api: Api<Node> = Api::all(own);
        for name in &names {
            tokio::time::timeout(
                timeouts::NODE_READY,
                await_condition(api.clone(), name, is_ready),
            )
            .await
            .with_context(|| format!("{name} did not get ready"))??;
        }
        Ok(Self { config, address, token, store, server, control, nodes, listeners })
    }

    /// Ends the cluster in order: no more control, pods drained, watches ended, listeners closed,
    /// store closed.
    pub(crate) async fn stop(self) -> Result<()> {
        self.control.end(timeouts::CONTROL_STOP).await;
        self.nodes.end(timeouts::POD_DRAIN).await;
        self.server.begin_shutdown();
        self.listeners.end(timeouts::CONNECTION_DRAIN * 2).await;
        self.store.close().await.context("closing the store")?;
        Ok(())
    }

    /// How many nodes there are.
    pub(crate) fn nodes(&self) -> u16 {
        self.config.nodes
    }

    /// Where the API server and the dashboard are.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", reachable(self.address))
    }

    /// The admin's bearer token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The file that holds it.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.absolute("admin.token")
    }

    /// The admin's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.absolute("admin.kubeconfig")
    }

    /// The authority's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.absolute("pki/ca.crt")
    }

    fn absolute(&self, path: &str) -> PathBuf {
        let path = self.config.data_dir.join(path);
        std::path::absolute(&path).unwrap_or(path)
    }
}

async fn open_store(config: &Config) -> Result<Arc<dyn Store>> {
    if config.ephemeral {
        return Ok(Arc::new(MemoryStore::new()));
    }
    let path = config.data_dir.join("state.redb");
    let opened = tokio::task::spawn_blocking(move || RedbStore::open(&path)).await?;
    let store = opened.with_context(|| {
        let directory = config.data_dir.display();
        format!("opening the cluster's state in {directory}: is another cluster using it?")
    })?;
    Ok(Arc::new(store))
}

/// The tokens of the file that the configuration names.
fn read_tokens(config: &Config) -> Result<Vec<StaticToken>> {
    let Some(path) = &config.token_auth_file else { return Ok(vec![]) };
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("reading the token file {}", path.display()))?;
    Ok(StaticToken::read_file(&text)?)
}

/// The admin's token, made on first start.
fn open_token(directory: &Path) -> Result<String> {
    let path = directory.join("admin.token");
    if let Some(token) = files::read_if_present(&path)? {
        return Ok(token.trim().to_owned());
    }
    let token: String = dice::secret().iter().map(|byte| format!("{byte:02x}")).collect();
    files::write_private(&path, format!("{token}\n").as_bytes())?;
    Ok(token)
}

/// How a client on this machine reaches a listener at `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn is_ready(node: Option<&Node>) -> bool {
    let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}

/// Frees, now and then, what no Module refers to any more.
async fn collect_images(client: Client, images: Images) {
    loop {
        tokio::time::sleep(timeouts::IMAGE_COLLECTION).await;
        match coracle_images::collect(&client, &images, timeouts::IMAGE_GRACE).await {
            Ok(collected) if collected.blobs > 0 => tracing::info!(?collected, "images collected"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "images could not be collected"),
        }
    }
}
