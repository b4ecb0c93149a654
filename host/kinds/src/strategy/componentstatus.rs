//! ComponentStatus: how the parts of the control plane are, told when somebody asks.

use k8s_openapi::api::core::v1::ComponentStatus;
use serde_json::{Value, json};

use super::table::{NAME, column, name};
use crate::{Column, Names, Rules, Strategy};

impl Strategy for ComponentStatus {
    const NAMES: Names = Names {
        group: "",
        version: "v1",
        kind: "ComponentStatus",
        plural: "componentstatuses",
        singular: "componentstatus",
        short: &["cs"],
        categories: &[],
        namespaced: false,
        status: false,
    };
    const RULES: Rules = Rules { observed: true, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Status", "string", "Whether the component is healthy."),
        column("Message", "string", "What the component says of itself."),
        column("Error", "string", "Why it could not be asked."),
    ];
    const DEPRECATION: Option<&'static str> = Some("v1 ComponentStatus is deprecated in v1.19+");

    fn row(&self) -> Vec<Value> {
        let mut conditions = self.conditions.iter().flatten();
        let healthy = conditions.find(|condition| condition.type_ == "Healthy");
        let status = match healthy.map(|condition| condition.status.as_str()) {
            Some("True") => "Healthy",
            Some("False") => "Unhealthy",
            _ => "Unknown",
        };
        let message = healthy.and_then(|condition| condition.message.as_deref());
        let error = healthy.and_then(|condition| condition.error.as_deref());
        vec![
            name(self),
            json!(status),
            json!(message.unwrap_or_default()),
            json!(error.unwrap_or_default()),
        ]
    }
}
