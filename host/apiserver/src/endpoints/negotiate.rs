//! In which form the caller wants his answer.

use http::{HeaderMap, header};

use crate::error::{ApiError, Reason, Result};
use crate::request::Params;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) yaml: bool,
    pub(super) pretty: bool,
    pub(super) view: View,
}

/// What of an object is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Object,
    Table(Include),
    /// `PartialObjectMetadata`.
    Metadata,
}

/// What a row of a table carries beside its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    None,
    Metadata,
    Object,
}

const PLAIN: Output = Output { yaml: false, pretty: false, view: View::Object };
const OFFERED: &str = "application/json, application/yaml";

impl Output {
    /// The first form of the `Accept` header that can be had.
    pub(super) fn negotiate(headers: &HeaderMap, params: &Params) -> Result<Self> {
        let pretty = pretty(headers, params);
        let Some(accept) = headers.get(header::ACCEPT) else {
            return Ok(Self { pretty, ..PLAIN });
        };
        let accept = accept.to_str().unwrap_or_default();
        if matches!(accept, "application/json" | "*/*" | "") {
            return Ok(Self { pretty, ..PLAIN });
        }
        let clauses = clauses(accept);
        let mut forms = clauses.iter().filter_map(|clause| form(clause, params));
        let form = forms.next().transpose()?.ok_or_else(not_acceptable)?;
        Ok(Self { pretty, ..form })
    }

    /// The same for a watch, which is always JSON.
    pub(super) fn negotiate_stream(headers: &HeaderMap, params: &Params) -> Result<Self> {
        let output = Self::negotiate(headers, params)?;
        if output.yaml { Err(not_acceptable()) } else { Ok(Self { pretty: false, ..output }) }
    }

    pub(super) fn content_type(self) -> &'static str {
        if self.yaml { "application/yaml" } else { "application/json" }
    }
}

pub(super) fn not_acceptable() -> ApiError {
    let message = format!("only the following media types are accepted: {OFFERED}");
    ApiError::new(Reason::NotAcceptable, message)
}

/// One media range: its type and its parameters.
pub(super) struct Clause<'a> {
    pub(super) media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Clause<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}

/// The clauses of an `Accept` header, the best first.
pub(super) fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<_> = accept
        .split(',')
        .filter_map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media = parts.next().filter(|media| !media.is_empty())?;
            let parameters = parts.filter_map(|part| part.split_once('=')).collect();
            Some(Clause { media, parameters })
        })
        .collect();
    let quality = |clause: &Clause<'_>| {
        let q = clause.get("q").and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
        (q.clamp(0.0, 1.0) * 1000.0) as u32
    };
    clauses.sort_by_key(|clause| std::cmp::Reverse(quality(clause)));
    clauses
}

fn form(clause: &Clause<'_>, params: &Params) -> Option<Result<Output>> {
    let yaml = match clause.media {
        "application/json" | "application/*" | "*/*" => false,
        "application/yaml" => true,
        _ => return None,
    };
    let meta = clause.get("g").is_none_or(|group| group == "meta.k8s.io")
        && clause.get("v").is_none_or(|version| matches!(version, "v1" | "v1beta1"));
    let view = match clause.get("as") {
        None => View::Object,
        Some("Table") if meta => match params.get("includeObject") {
            None | Some("" | "Metadata") => View::Table(Include::Metadata),
            Some("None") => View::Table(Include::None),
            Some("Object") => View::Table(Include::Object),
            Some(other) => {
                let message = format!("unrecognized includeObject value: {other:?}");
                return Some(Err(ApiError::bad_request(message)));
            }
        },
        Some("PartialObjectMetadata" | "PartialObjectMetadataList") if meta => View::Metadata,
        Some(_) => return None,
    };
    Some(Ok(Output { yaml, view, ..PLAIN }))
}

/// Whether a person is going to read the answer. Browsers are not taken for one, unlike in
/// Kubernetes: the dashboard runs in them.
fn pretty(headers: &HeaderMap, params: &Params) -> bool {
    if params.get("pretty").is_some() {
        return params.flag("pretty");
    }
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| agent.starts_with("curl") || agent.starts_with("Wget"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn negotiate(accept: &'static str) -> Option<Output> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        Output::negotiate(&headers, &Params::default()).ok()
    }

    #[test]
    fn the_first_form_that_can_be_had_is_taken() {
        let table = View::Table(Include::Metadata);
        for (accept, expected) in [
            ("application/json", Some((false, View::Object))),
            ("application/yaml", Some((true, View::Object))),
            ("application/vnd.kubernetes.protobuf,application/json", Some((false, View::Object))),
            ("application/vnd.kubernetes.protobuf", None),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Some((false, table))),
            (
                "application/json;as=Table;v=v2;g=meta.k8s.io,application/json",
                Some((false, View::Object)),
            ),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Some((false, View::Metadata)),
            ),
            ("application/json;q=0.1, application/yaml;q=0.9", Some((true, View::Object))),
            ("text/html, */*;q=0.8", Some((false, View::Object))),
        ] {
            let found = negotiate(accept).map(|output| (output.yaml, output.view));
            assert_eq!(found, expected, "{accept}");
        }
    }
}
