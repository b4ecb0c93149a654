//! Many guests at once.

use coracle_sandbox::{ExitReason, StartError};

use crate::cluster::Cluster;
use crate::wat::{SLEEP, command};

#[tokio::test]
async fn a_thousand_guests_live_side_by_side() {
    let cluster = Cluster::sized(1000);
    let module = cluster.module(&command(SLEEP)).await;
    let mut instances = Vec::new();
    for _ in 0..1000 {
        let (spec, _) = cluster.spec(module.clone());
        instances.push(cluster.start(spec).await);
    }
    assert_eq!(cluster.engine.usage().running, 1000);

    let (spec, _) = cluster.spec(module.clone());
    let error = cluster.engine.start(spec).await.unwrap_err();
    assert!(matches!(error, StartError::Capacity(_)), "{error}");

    for instance in &instances {
        instance.kill();
    }
    for instance in &instances {
        assert_eq!(instance.wait().await.reason, ExitReason::Stopped);
    }
    assert_eq!(cluster.engine.usage().running, 0);
    let (spec, _) = cluster.spec(module);
    cluster.start(spec).await;
}
