//! Lifecycle hooks: GETting something from the container, or sleeping.

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use crate::{Node, dial};

/// How long a hook's request may take if nothing else bounds it.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a hook to its end; what failed is said in the error.
pub(super) async fn run(
    node: &Node,
    container: &Container,
    handler: &LifecycleHandler,
    address: IpAddr,
) -> Result<(), String> {
    if let Some(sleep) = &handler.sleep {
        tokio::time::sleep(super::seconds_of(sleep.seconds)).await;
    }
    if let Some(action) = &handler.http_get {
        let to = dial::target(address, action.host.as_deref(), container, &action.port);
        let to = to.map_err(|error| error.to_string())?;
        let agent = format!("kube-lifecycle/{}", node.minor_version());
        let answer = dial::get(&node.fabric, to, action, &agent, false);
        let answer = tokio::time::timeout(TIMEOUT, answer).await;
        let answer = answer.map_err(|_| "the request timed out".to_owned())?;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status.as_u16() >= 400 {
            return Err(format!("the answer is {}: {}", answer.status, answer.body));
        }
    }
    Ok(())
}
