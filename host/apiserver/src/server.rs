//! The server as a whole: what every request can reach, and the tasks that run beside requests.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use coracle_store::Store;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::aggregator::{self, Aggregator};
use crate::apiextensions::Definitions;
use crate::audit::Audit;
use crate::authn::{Authenticator, Identity, Issuers, ServiceAccounts};
use crate::authz::Authorizer;
use crate::bootstrap;
use crate::chain;
use crate::config::{Components, Config, Dialer, Kubelets, Limits};
use crate::endpoints::{OpenApi, not_found};
use crate::flow::Flow;
use crate::metrics::Metrics;
use crate::registry::{Allocators, Registry, sweep_events};
use crate::upstream::{Peer, Trust, Upstream};

/// The API server over a store. Cheap to clone.
#[derive(Clone)]
pub struct ApiServer(Arc<Server>);

/// What the filters and verbs share.
pub(crate) struct Server {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) registry: Registry,
    /// Kinds that are defined at run time.
    pub(crate) definitions: Definitions,
    /// Groups that other servers serve.
    pub(crate) aggregator: Aggregator,
    pub(crate) openapi: OpenApi,
    pub(crate) authenticator: Authenticator,
    /// Who vouches for client certificates, as extensions are told.
    pub(crate) client_authorities: String,
    pub(crate) authorizer: Authorizer,
    pub(crate) admission: Admission,
    pub(crate) allocators: Allocators,
    pub(crate) flow: Flow,
    pub(crate) metrics: Metrics,
    pub(crate) kubelets: Arc<dyn Kubelets>,
    pub(crate) dialer: Arc<dyn Dialer>,
    /// The way to whatever serves on the pod network, whoever vouches for it.
    pub(crate) pods: Result<Upstream, String>,
    pub(crate) extra: Router,
    pub(crate) limits: Limits,
    pub(crate) audit: Option<Audit>,
    pub(crate) build: String,
    pub(crate) components: Components,
    /// Set when the server is about to end: readiness is off, and every watch ends.
    pub(crate) ending: CancellationToken,
}

impl ApiServer {
    /// A server over `store`, ready at once.
    pub fn new(config: Config, store: Arc<dyn Store>) -> Self {
        let Config {
            build,
            tokens,
            service_accounts,
            client_authorities,
            authentication,
            request_header,
            proxy_client,
            kubelets,
            dialer,
            extra,
            metrics,
            limits,
            audit,
            components,
        } = config;
        let service_accounts = ServiceAccounts::new(service_accounts);
        let issuers = Issuers::new(authentication, &dialer);
        Self(Arc::new(Server {
            store,
            registry: Registry::new(coracle_kinds::table()),
            definitions: Definitions::default(),
            aggregator: Aggregator::new(dialer.clone(), proxy_client),
            openapi: OpenApi::default(),
            authenticator: Authenticator::new(tokens, service_accounts, issuers, request_header),
            client_authorities,
            authorizer: Authorizer::default(),
            admission: Admission::new(dialer.clone()),
            allocators: Allocators::default(),
            flow: Flow::new(&limits),
            metrics: Metrics::new(metrics),
            kubelets,
            pods: Upstream::new(&dialer, Peer::Pods, &Trust { anyone: true, ..Trust::default() }),
            dialer,
            extra: extra.fallback(|| async { (StatusCode::NOT_FOUND, not_found()) }),
            limits,
            audit,
            build,
            components,
            ending: CancellationToken::new(),
        }))
    }

    /// The whole server as one service: every path, behind every filter.
    pub fn router(&self) -> Router {
        let server = self.0.clone();
        Router::new().fallback_service(tower::service_fn(move |request: Request| {
            let answer = chain::serve(server.clone(), request);
            let answer: BoxFuture<'static, _> = Box::pin(answer.map(Ok::<_, Infallible>));
            answer
        }))
    }

    /// Makes the objects that every cluster has, where they are missing.
    pub async fn bootstrap(&self) -> Result<(), kube::Error> {
        bootstrap::run(&self.own_client(), &self.0.registry.table()).await
    }

    /// What the server itself does through its API.
    fn own_client(&self) -> kube::Client {
        crate::client(self.router(), Identity::master("system:apiserver"), "default")
    }

    /// Turns readiness off and ends every watch. Other requests are still served.
    pub fn begin_shutdown(&self) {
        self.0.ending.cancel();
    }

    /// Does what has to be done beside requests, until the server ends.
    pub async fn run(&self) {
        tokio::select! {
            () = self.0.ending.cancelled() => {}
            () = sweep_events(&self.0) => {}
            () = self.0.definitions.run(&self.0) => {}
            () = aggregator::run(&self.0, self.own_client()) => {}
        }
    }
}
