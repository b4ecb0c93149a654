//! FlowSchema and PriorityLevelConfiguration: which requests wait for which.

use coracle_api::cause::Cause;
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};
use serde_json::{Value, json};

use super::generation;
use super::table::{AGE, NAME, age, column, name, or_none};
use crate::validation;
use crate::{Column, Names, Part, Strategy};

/// What a limited level has that says nothing else.
const SHARES: i32 = 30;
const QUEUES: i32 = 64;
const HAND_SIZE: i32 = 8;
const QUEUE_LENGTH: i32 = 50;
/// Where a schema stands among others that says nothing else.
const PRECEDENCE: i32 = 1000;

const fn names(kind: &'static str, plural: &'static str, singular: &'static str) -> Names {
    Names {
        group: "flowcontrol.apiserver.k8s.io",
        version: "v1",
        kind,
        plural,
        singular,
        short: &[],
        categories: &[],
        namespaced: false,
        status: true,
    }
}

impl Strategy for FlowSchema {
    const NAMES: Names = names("FlowSchema", "flowschemas", "flowschema");
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("PriorityLevel", "string", "The level of the requests that match."),
        column("MatchingPrecedence", "integer", "Where the schema stands among others."),
        column("DistinguisherMethod", "string", "What tells its flows apart."),
        AGE,
        column("MissingPL", "string", "Whether there is no such level."),
    ];

    fn default_fields(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        if spec.matching_precedence.unwrap_or(0) == 0 {
            spec.matching_precedence = Some(PRECEDENCE);
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(Default::default());
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        if part == Part::Main {
            self.status = old.status.clone();
            generation::count(self, old, self.spec != old.spec);
        } else {
            self.spec = old.spec.clone();
            generation::count(self, old, false);
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::flow_schema(self)
    }

    fn validate_update(&self, _old: &Self, part: Part) -> Vec<Cause> {
        if part == Part::Main { vec![] } else { validation::flow_schema_status(self) }
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.clone().unwrap_or_default();
        let conditions = self.status.as_ref().and_then(|status| status.conditions.as_deref());
        let dangling = conditions
            .unwrap_or_default()
            .iter()
            .find(|condition| condition.type_.as_deref() == Some("Dangling"))
            .and_then(|condition| condition.status.as_deref());
        let method = spec.distinguisher_method.map(|method| method.type_);
        vec![
            name(self),
            json!(spec.priority_level_configuration.name),
            json!(spec.matching_precedence.unwrap_or(0)),
            json!(or_none(method.as_deref())),
            age(self),
            json!(dangling.unwrap_or("?")),
        ]
    }
}

impl Strategy for PriorityLevelConfiguration {
    const NAMES: Names = names(
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        "prioritylevelconfiguration",
    );
    const COLUMNS: &'static [Column] = &[
        NAME,
        column("Type", "string", "Whether the level is limited."),
        column("NominalConcurrencyShares", "string", "Its share of what runs at once."),
        column("Queues", "string", "How many queues it has."),
        column("HandSize", "string", "How many queues a flow is dealt."),
        column("QueueLengthLimit", "string", "How many requests a queue holds."),
        AGE,
    ];

    fn default_fields(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        if spec.type_ == "Exempt" {
            let exempt = spec.exempt.get_or_insert_default();
            exempt.nominal_concurrency_shares.get_or_insert(0);
            exempt.lendable_percent.get_or_insert(0);
        }
        let Some(limited) = &mut spec.limited else { return };
        limited.nominal_concurrency_shares.get_or_insert(SHARES);
        limited.lendable_percent.get_or_insert(0);
        let queuing = limited.limit_response.as_mut().and_then(|own| own.queuing.as_mut());
        if let Some(queuing) = queuing {
            let fill = |number: &mut Option<i32>, usual: i32| {
                number.take_if(|number| *number == 0);
                number.get_or_insert(usual);
            };
            fill(&mut queuing.queues, QUEUES);
            fill(&mut queuing.hand_size, HAND_SIZE);
            fill(&mut queuing.queue_length_limit, QUEUE_LENGTH);
        }
    }

    fn prepare_create(&mut self) {
        self.status = Some(Default::default());
        generation::start(self);
    }

    fn prepare_update(&mut self, old: &Self, part: Part) {
        if part == Part::Main {
            self.status = old.status.clone();
            generation::count(self, old, self.spec != old.spec);
        } else {
            self.spec = old.spec.clone();
            generation::count(self, old, false);
        }
    }

    fn validate(&self) -> Vec<Cause> {
        validation::priority_level(self)
    }

    fn validate_update(&self, _old: &Self, part: Part) -> Vec<Cause> {
        if part == Part::Main { vec![] } else { validation::priority_level_status(self) }
    }

    fn row(&self) -> Vec<Value> {
        let spec = self.spec.clone().unwrap_or_default();
        let limited = spec.limited.as_ref();
        let queuing = limited.and_then(|own| own.limit_response.as_ref()?.queuing.as_ref());
        let shown = |number: Option<i32>| {
            json!(number.map_or_else(|| "<none>".to_owned(), |number| number.to_string()))
        };
        let exempt = spec.exempt.as_ref().and_then(|own| own.nominal_concurrency_shares);
        vec![
            name(self),
            json!(spec.type_),
            shown(limited.map_or(exempt, |own| own.nominal_concurrency_shares)),
            shown(queuing.and_then(|queuing| queuing.queues)),
            shown(queuing.and_then(|queuing| queuing.hand_size)),
            shown(queuing.and_then(|queuing| queuing.queue_length_limit)),
            age(self),
        ]
    }
}
