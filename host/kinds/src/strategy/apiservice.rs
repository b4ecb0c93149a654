//! APIService: who serves which version of which group.

use coracle_api::cause::Cause;
use coracle_api::clock;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::{
    APIService, APIServiceCondition,
};
use serde_json::{Value, json};

use super::table::{AGE, NAME, age, column, name};
use crate::validation;
use crate::{Column, Names, Part, Rules, Strategy, seconds};

const AVAILABLE: &str = "Available";
const HTTPS: i32 = 443;

impl Strategy for APIService {
    const NAMES: Names = Names {
        group: "apiregistration.k8s.io",
        version: "v1",
        kind: "APIService",
        plural: "apiservices",
        singular: "apiservice",
        short: &[],
        categories: &["api-extensions"],
        namespaced: false,
        status: true,
    };
    const RULES: Rules = Rules { unconditional_update: false, ..Rules::USUAL };
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Service", "string", "The service that answers; Local for this server."),
        column("Available", "string", "Whether it answers."),
        AGE,
    ];
    const BYTES: &'static [&'static [&'static str]] = &[&["spec", "caBundle"]];

    fn default_fields(&mut self) {
        let service = self.spec.as_mut().and_then(|spec| spec.service.as_mut());
        if let Some(service) = service {
            service.port.get_or_insert(HTTPS);
        }
    }

    fn prepare_create(&mut self) {
        let status = self.status.insert(Default::default());
        // What this server serves itself is there at once.
        if self.spec.as_ref().is_none_or(|spec| spec.service.is_none()) {
            status.conditions = Some(vec![APIServiceCondition {
                type_: AVAILABLE.into(),
                status: "True".into(),
                last_transition_time: Some(Time(seconds(clock::now()))),
                reason: Some("Local".into()),
                message: Some("Local APIServices are always available".into()),
            }]);
        }
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        if part == Part::Main {
            self.status = old.status.clone();
            return;
        }
        self.spec = old.spec.clone();
        let (own, old) = (&mut self.metadata, &old.metadata);
        own.labels.clone_from(&old.labels);
        own.annotations.clone_from(&old.annotations);
        own.finalizers.clone_from(&old.finalizers);
        own.owner_references.clone_from(&old.owner_references);
    }

    fn validate(&self) -> Vec<Cause> {
        validation::api_service(self)
    }

    fn validate_update(&self, _old: &Self, part: Part) -> Vec<Cause> {
        if part == Part::Main { vec![] } else { validation::api_service_status(self) }
    }

    fn validate_name(name: &str) -> Vec<String> {
        validation::path_segment(name)
    }

    fn row(&self) -> Vec<Value> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let service = self.spec.as_ref().and_then(|spec| spec.service.as_ref());
        let service = service.map(|own| format!("{}/{}", text(&own.namespace), text(&own.name)));
        let conditions = self.status.as_ref().and_then(|status| status.conditions.as_deref());
        let available = conditions.unwrap_or_default().iter().find(|own| own.type_ == AVAILABLE);
        let available = match available {
            None => "Unknown".to_owned(),
            Some(condition) if condition.status == "True" => "True".to_owned(),
            Some(condition) => format!("{} ({})", condition.status, text(&condition.reason)),
        };
        vec![
            name(self),
            json!(service.unwrap_or_else(|| "Local".into())),
            json!(available),
            age(self),
        ]
    }
}
