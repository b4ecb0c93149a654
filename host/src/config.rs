//! What a cluster is told at its start.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use coracle_apiserver::RequestHeader;

use crate::authentication::AuthenticationOptions;

/// The options of `coracle up`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Config {
    /// Where the cluster keeps everything; made if it is missing.
    #[arg(long, env = "CORACLE_DATA_DIR", default_value = "coracle-data")]
    pub(crate) data_dir: PathBuf,

    /// The port of the API server and the dashboard; 0 takes a free one.
    #[arg(long, env = "CORACLE_PORT", default_value_t = 6443)]
    pub(crate) port: u16,

    /// The host address that the API server and NodePorts listen on.
    #[arg(long, env = "CORACLE_LISTEN", default_value = "127.0.0.1")]
    pub(crate) listen: IpAddr,

    /// How many nodes share this machine.
    #[arg(long, env = "CORACLE_NODES", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) nodes: u16,

    /// How many pods a node takes at most.
    #[arg(long, env = "CORACLE_PODS_PER_NODE", default_value_t = 220)]
    pub(crate) pods_per_node: u32,

    /// Keep the cluster's state in memory only; it is gone when the program ends.
    #[arg(long)]
    pub(crate) ephemeral: bool,

    /// A file of bearer tokens: lines of token, user, uid and, in quotes, groups.
    #[arg(long, env = "CORACLE_TOKEN_AUTH_FILE")]
    pub(crate) token_auth_file: Option<PathBuf>,

    /// What of requests is written into the audit log: a file with an audit.k8s.io/v1 Policy.
    #[arg(long, env = "CORACLE_AUDIT_POLICY_FILE", requires = "audit_log_path")]
    pub(crate) audit_policy_file: Option<PathBuf>,

    /// The audit log, one JSON line an event.
    #[arg(long, env = "CORACLE_AUDIT_LOG_PATH", requires = "audit_policy_file")]
    pub(crate) audit_log_path: Option<PathBuf>,

    /// Megabytes after which a new audit log is begun.
    #[arg(long, env = "CORACLE_AUDIT_LOG_MAXSIZE", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub(crate) audit_log_maxsize: u64,

    /// Older audit logs that are kept.
    #[arg(long, env = "CORACLE_AUDIT_LOG_MAXBACKUP", default_value_t = 10)]
    pub(crate) audit_log_maxbackup: usize,

    #[command(flatten)]
    pub(crate) authentication: AuthenticationOptions,

    #[command(flatten)]
    pub(crate) request_header: RequestHeaderOptions,

    /// Let workloads reach addresses outside the cluster.
    #[arg(long)]
    pub(crate) allow_egress: bool,
}

/// Proxies in front of the API server, whose word counts for who calls.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RequestHeaderOptions {
    /// Who vouches for such proxies beside the cluster itself: a file of PEM certificates.
    #[arg(long = "requestheader-client-ca-file", env = "CORACLE_REQUESTHEADER_CLIENT_CA_FILE")]
    client_ca_file: Option<PathBuf>,

    /// Common names of such proxies' certificates.
    #[arg(
        long = "requestheader-allowed-names",
        value_delimiter = ',',
        default_value = "front-proxy-client"
    )]
    allowed_names: Vec<String>,

    /// Headers in which they name the user.
    #[arg(
        long = "requestheader-username-headers",
        value_delimiter = ',',
        default_value = "X-Remote-User"
    )]
    username_headers: Vec<String>,

    /// Headers with the user's uid.
    #[arg(
        long = "requestheader-uid-headers",
        value_delimiter = ',',
        default_value = "X-Remote-Uid"
    )]
    uid_headers: Vec<String>,

    /// Headers with the user's groups.
    #[arg(
        long = "requestheader-group-headers",
        value_delimiter = ',',
        default_value = "X-Remote-Group"
    )]
    group_headers: Vec<String>,

    /// What the names of headers begin with that say more of the user.
    #[arg(
        long = "requestheader-extra-headers-prefix",
        value_delimiter = ',',
        default_value = "X-Remote-Extra-"
    )]
    extra_headers_prefix: Vec<String>,
}

impl RequestHeaderOptions {
    /// Which proxies the API server believes; `own` is the cluster's authority for them.
    pub(crate) fn read(&self, own: &str) -> Result<RequestHeader> {
        let mut authorities = own.to_owned();
        if let Some(path) = &self.client_ca_file {
            let text = std::fs::read_to_string(path);
            authorities +=
                &text.with_context(|| format!("reading the certificates of {}", path.display()))?;
        }
        Ok(RequestHeader {
            authorities,
            allowed_names: self.allowed_names.clone(),
            username_headers: self.username_headers.clone(),
            uid_headers: self.uid_headers.clone(),
            group_headers: self.group_headers.clone(),
            extra_prefixes: self.extra_headers_prefix.clone(),
        })
    }
}
