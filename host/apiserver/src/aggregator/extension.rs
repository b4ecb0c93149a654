//! One version of one group that another server serves: the ways to it, and what is known of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use k8s_openapi::api::admissionregistration::v1::ServiceReference;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use tokio::sync::Notify;

use super::proxy::speak_for;
use super::told::Told;
use crate::authn::{Identity, MASTERS};
use crate::server::Server;
use crate::upstream::{Peer, Trust, Upstream, service_url};

/// The condition that says whether requests are passed on.
pub(super) const AVAILABLE: &str = "Available";

pub(crate) struct Extension {
    /// Its APIService's name.
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(super) service: ServiceReference,
    ca_bundle: Vec<u8>,
    insecure: bool,
    /// What the APIService's condition says.
    available: AtomicBool,
    /// For requests, made when first needed.
    upstream: OnceLock<Result<Upstream, String>>,
    /// For looking whether anybody is there.
    probe: OnceLock<Result<Upstream, String>>,
    pub(crate) told: ArcSwap<Told>,
    /// Something has changed that it depends on.
    pub(super) touched: Notify,
}

/// A small answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Extension {
    /// `None` for an APIService that this server serves itself.
    pub(super) fn of(service: &APIService) -> Option<Self> {
        let spec = service.spec.as_ref()?;
        let reference = spec.service.as_ref()?;
        let conditions = service.status.as_ref().and_then(|status| status.conditions.as_ref());
        let mut conditions = conditions.into_iter().flatten();
        let available = conditions.any(|own| own.type_ == AVAILABLE && own.status == "True");
        Some(Self {
            name: service.metadata.name.clone()?,
            group: spec.group.clone().unwrap_or_default(),
            version: spec.version.clone().unwrap_or_default(),
            service: ServiceReference {
                namespace: reference.namespace.clone().unwrap_or_default(),
                name: reference.name.clone().unwrap_or_default(),
                path: None,
                port: reference.port,
            },
            ca_bundle: spec.ca_bundle.as_ref().map(|bundle| bundle.0.clone()).unwrap_or_default(),
            insecure: spec.insecure_skip_tls_verify == Some(true),
            available: AtomicBool::new(available),
            upstream: OnceLock::new(),
            probe: OnceLock::new(),
            told: ArcSwap::default(),
            touched: Notify::new(),
        })
    }

    /// Whether both are reached in the same way.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.service == other.service
            && self.ca_bundle == other.ca_bundle
            && self.insecure == other.insecure
    }

    pub(crate) fn is_available(&self) -> bool {
        self.available.load(Ordering::Relaxed)
    }

    pub(super) fn set_available(&self, available: bool) {
        self.available.store(available, Ordering::Relaxed);
    }

    /// `/apis/<group>/<version>`.
    pub(crate) fn root(&self) -> String {
        let Self { group, version, .. } = self;
        if group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{group}/{version}")
        }
    }

    /// The address of something that it serves.
    pub(super) fn url(&self, path_and_query: &str) -> String {
        service_url(&self.service, path_and_query)
    }

    pub(super) fn upstream(&self, server: &Server) -> Result<&Upstream, String> {
        let made = self.upstream.get_or_init(|| self.way(server, self.insecure));
        made.as_ref().map_err(Clone::clone)
    }

    fn way(&self, server: &Server, anyone: bool) -> Result<Upstream, String> {
        let aggregator = &server.aggregator;
        let shown = aggregator.certificate.as_ref();
        let trust = Trust { bundle: &self.ca_bundle, anyone, shown };
        Upstream::new(&aggregator.dialer, Peer::Service(self.service.clone()), &trust)
    }

    /// Whether anybody answers at `path` in time, whoever that may be.
    pub(super) async fn probe(
        &self,
        server: &Server,
        path: &str,
        limit: Duration,
    ) -> Result<StatusCode, String> {
        let made = self.probe.get_or_init(|| self.way(server, true));
        let upstream = made.as_ref().map_err(Clone::clone)?;
        let answer = upstream.send(server, self.question(path, &HeaderMap::new())?);
        Ok(in_time(limit, answer).await?.status())
    }

    /// What is answered at `path`, if it is all there in time and not larger than `size`.
    pub(super) async fn get(
        &self,
        server: &Server,
        path: &str,
        headers: &HeaderMap,
        (limit, size): (Duration, usize),
    ) -> Result<Answer, String> {
        let question = self.question(path, headers)?;
        let answered = async {
            let answer: Response<Incoming> = self.upstream(server)?.send(server, question).await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, size).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        in_time(limit, answered).await
    }

    /// A request of this server's own.
    fn question(&self, path: &str, headers: &HeaderMap) -> Result<Request<Body>, String> {
        let request = Request::get(self.url(path)).body(Body::empty());
        let mut request = request.map_err(|error| error.to_string())?;
        request.headers_mut().extend(headers.clone());
        speak_for(&Identity::new("system:kube-aggregator", &[MASTERS]), request.headers_mut());
        Ok(request)
    }
}

async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let answer = tokio::time::timeout(limit, answer).await;
    answer.unwrap_or_else(|_| Err("context deadline exceeded".into()))
}
