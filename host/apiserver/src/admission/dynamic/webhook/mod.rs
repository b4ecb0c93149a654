//! Webhooks: somebody outside is asked about a write. [`review`] is what is said, [`crate::webhook`] how.

mod review;

use std::sync::Arc;
use std::time::Duration;

use coracle_kinds::admission::{Conditions, Variables, env};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, ValidatingWebhook};
use serde_json::Value;

use self::review::Verdict;
use super::expressions::{Asking, Evaluation, Facts};
use super::matching::Matching;
use super::review::{Form, Review, read};
use crate::admission::Attributes;
use crate::config::Dialer;
use crate::error::{ApiError, Result};
use crate::patch::{self, Format};
use crate::registry::Object;
use crate::timeouts;
use crate::webhook::Endpoint;

/// One webhook of a configuration.
pub(super) struct Hook {
    configuration: String,
    name: String,
    matching: Matching,
    conditions: Conditions,
    variables: Variables,
    /// Whether a webhook that cannot be asked is passed over.
    ignore_failures: bool,
    /// Whether asking it changes nothing elsewhere, at least for a dry run.
    harmless: bool,
    /// Whether it speaks the one version of `AdmissionReview` that there is.
    speaks_v1: bool,
    /// Whether it wants to see what others changed after it.
    reinvoke: bool,
    timeout: Duration,
    endpoint: Endpoint,
}

/// Why a webhook gave no answer that could be used.
struct Failure(String);

impl Hook {
    pub(super) fn validating(
        dialer: &Arc<dyn Dialer>,
        configuration: &str,
        hook: ValidatingWebhook,
    ) -> Self {
        let ValidatingWebhook {
            admission_review_versions,
            client_config,
            failure_policy,
            match_conditions,
            match_policy,
            name,
            namespace_selector,
            object_selector,
            rules,
            side_effects,
            timeout_seconds,
        } = hook;
        let seconds = timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            configuration: configuration.to_owned(),
            name,
            matching: Matching::of_webhook(
                rules.as_ref(),
                match_policy.as_deref(),
                namespace_selector.as_ref(),
                object_selector.as_ref(),
            ),
            conditions: Conditions::new(&env(false), match_conditions.as_ref()),
            variables: Variables::default(),
            ignore_failures: failure_policy.as_deref() == Some("Ignore"),
            harmless: matches!(&*side_effects, "None" | "NoneOnDryRun"),
            speaks_v1: admission_review_versions.iter().any(|version| version == "v1"),
            reinvoke: false,
            timeout: seconds.map_or(timeouts::WEBHOOK, Duration::from_secs),
            endpoint: Endpoint::new(dialer, client_config),
        }
    }

    pub(super) fn mutating(
        dialer: &Arc<dyn Dialer>,
        configuration: &str,
        hook: MutatingWebhook,
    ) -> Self {
        let reinvoke = hook.reinvocation_policy.as_deref() == Some("IfNeeded");
        let hook = ValidatingWebhook {
            admission_review_versions: hook.admission_review_versions,
            client_config: hook.client_config,
            failure_policy: hook.failure_policy,
            match_conditions: hook.match_conditions,
            match_policy: hook.match_policy,
            name: hook.name,
            namespace_selector: hook.namespace_selector,
            object_selector: hook.object_selector,
            rules: hook.rules,
            side_effects: hook.side_effects,
            timeout_seconds: hook.timeout_seconds,
        };
        Self { reinvoke, ..Self::validating(dialer, configuration, hook) }
    }

    /// The write in the version in which the webhook is to be asked about it, if it is.
    async fn wants(&self, review: &mut Review<'_>) -> Result<Option<(usize, Arc<Form>)>> {
        let Some(version) = review.matches(&self.matching).await? else { return Ok(None) };
        let form = review.form(version).await?;
        if self.conditions.is_empty() {
            return Ok(Some((version, form)));
        }
        let namespace = review.namespace_object().await?;
        let write = review.attributes.write;
        let asking = Asking::new(review).await?;
        let facts =
            Facts { form: &form, params: &Value::Null, namespace: &namespace, asking: &asking };
        let held = Evaluation::new(&facts, &self.variables).hold(&self.conditions);
        match held {
            Ok(true) => Ok(Some((version, form))),
            Ok(false) => Ok(None),
            Err(_) if self.ignore_failures => Ok(None),
            Err(why) => {
                let names = write.served.names();
                let name = review.attributes.name;
                Err(ApiError::forbidden(&names.group, &names.plural, name, &why))
            }
        }
    }

    /// Asks the webhook. A failure that is to be ignored is no verdict.
    async fn ask(
        &self,
        attributes: &Attributes<'_>,
        form: &Form,
        mutating: bool,
    ) -> Result<Option<Verdict>> {
        let write = attributes.write;
        if write.dry_run && !self.harmless {
            let name = &self.name;
            let message = format!("admission webhook {name:?} does not support dry run");
            return Err(ApiError::bad_request(message));
        }
        match self.exchange(attributes, form, mutating).await {
            Ok(verdict) => {
                for warning in &verdict.warnings {
                    write.warnings.add(warning.clone());
                }
                match verdict.refusal {
                    Some(status) => Err(review::refused(&self.name, *status)),
                    None => Ok(Some(verdict)),
                }
            }
            Err(Failure(why)) => {
                let (configuration, name) = (&self.configuration, &self.name);
                if self.ignore_failures {
                    tracing::warn!(%configuration, %name, %why, "a webhook is passed over");
                    return Ok(None);
                }
                Err(ApiError::internal(format!("failed calling webhook {name:?}: {why}")))
            }
        }
    }

    async fn exchange(
        &self,
        attributes: &Attributes<'_>,
        form: &Form,
        mutating: bool,
    ) -> Result<Verdict, Failure> {
        if !self.speaks_v1 {
            return Err(Failure(
                "could not create admission objects: webhook does not accept known AdmissionReview \
                 versions (v1)"
                    .into(),
            ));
        }
        let (uid, body) = review::question(form);
        let answer = self.endpoint.post(attributes.write.server, self.timeout, body).await;
        let answer = answer.map_err(|why| Failure(format!("failed to call webhook: {why}")))?;
        review::verdict(&uid, &answer, mutating)
            .map_err(|why| Failure(format!("received invalid webhook response: {why}")))
    }
}

/// Asks every webhook that wants to be asked, all at once. The first refusal counts.
pub(super) async fn validate(hooks: &[Arc<Hook>], review: &mut Review<'_>) -> Result<()> {
    let mut wanted = vec![];
    for hook in hooks {
        if let Some((_, form)) = hook.wants(review).await? {
            wanted.push((hook, form));
        }
    }
    let attributes = review.attributes;
    let asked = wanted.iter().map(|(hook, form)| hook.ask(attributes, form, false));
    for verdict in futures::future::join_all(asked).await {
        verdict?;
    }
    Ok(())
}

/// Which webhooks have been asked about an object, and which are to be asked again.
#[derive(Default)]
pub(super) struct Invoked {
    /// Whether the first round is over.
    again: bool,
    /// Those that want to see later changes.
    willing: Vec<String>,
    due: Vec<String>,
    /// The object as the first round left it.
    left: Option<Vec<u8>>,
}

/// Lets webhooks change the object, one after the other; says whether any did.
pub(super) async fn mutate(
    hooks: &[Arc<Hook>],
    attributes: &Attributes<'_>,
    object: &mut dyn Object,
    old: Option<&dyn Object>,
    invoked: &mut Invoked,
) -> Result<bool> {
    if invoked.again && invoked.left != object.json().ok() {
        // Something else has changed it since.
        invoked.due.append(&mut invoked.willing.clone());
    }
    let mut any = false;
    for hook in hooks {
        let id = format!("{}/{}", hook.configuration, hook.name);
        if invoked.again && !invoked.due.contains(&id) {
            continue;
        }
        let mut review = Review::new(attributes, Some(&*object), old);
        let Some((version, form)) = hook.wants(&mut review).await? else { continue };
        let kind = review.kind(version)?;
        let Some(verdict) = hook.ask(attributes, &form, true).await? else { continue };
        if let Some(patch) = verdict.patch {
            let patched = patch::apply(Format::Json, form.object.clone(), &patch, None)
                .map_err(ApiError::internal)?;
            if patched != form.object {
                object.become_object(read(&*kind, &patched).await?);
                any = true;
                invoked.due.append(&mut invoked.willing.clone());
            }
        }
        if hook.reinvoke && !invoked.willing.contains(&id) {
            invoked.willing.push(id);
        }
    }
    if !invoked.again {
        invoked.left = object.json().ok();
        invoked.again = true;
    }
    Ok(any)
}
