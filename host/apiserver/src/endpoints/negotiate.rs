//! In which form the caller wants his answer (`k8s.io/apiserver/pkg/endpoints/handlers/negotiation`).

use http::{HeaderMap, header};

use super::Call;
use crate::error::{ApiError, Cause, Reason, Result};
use crate::protobuf;
use crate::registry::ApiResource;
use crate::request::Params;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) media: Media,
    pub(super) pretty: bool,
    pub(super) view: View,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    Yaml,
    Protobuf,
}

/// What of an object is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Object,
    /// `Table`, in that version of its group.
    Table(Include, &'static str),
    /// `PartialObjectMetadata`, or the list of it, in that version of its group.
    Metadata(Extent, &'static str),
}

/// What a row of a table carries beside its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    None,
    Metadata,
    Object,
}

/// How much metadata is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    One,
    List,
}

impl Call {
    /// The form in which the caller wants objects of that kind.
    pub(super) fn output(&self, names: &ApiResource) -> Result<Output> {
        let known = || protobuf::Kind::find(&names.api_version(), &names.kind).is_some();
        Output::choose(&self.headers, &self.params, known, false)
    }

    /// The same for a stream of them.
    pub(super) fn stream(&self, names: &ApiResource) -> Result<Output> {
        let known = || protobuf::Kind::find(&names.api_version(), &names.kind).is_some();
        let output = Output::choose(&self.headers, &self.params, known, true)?;
        Ok(Output { pretty: false, ..output })
    }
}

impl Output {
    /// What whoever asks for nothing gets.
    pub(super) const PLAIN: Self = Self { media: Media::Json, pretty: false, view: View::Object };
    /// JSON for people.
    pub(super) const READABLE: Self = Self { pretty: true, ..Self::PLAIN };

    /// The form for what is not of a kind that may lack one: answers that the server makes.
    pub(super) fn negotiate(headers: &HeaderMap, params: &Params) -> Result<Self> {
        Self::choose(headers, params, || true, false)
    }

    /// The same for what cannot be shown as a table.
    pub(super) fn plain(headers: &HeaderMap, params: &Params) -> Result<Self> {
        match Self::negotiate(headers, params)? {
            Self { view: View::Table(..), .. } => Err(not_acceptable(false)),
            output => Ok(output),
        }
    }

    /// The first form of the `Accept` header that can be had. `protobuf` says whether whole
    /// objects can be had in it.
    fn choose(
        headers: &HeaderMap,
        params: &Params,
        protobuf: impl Fn() -> bool,
        stream: bool,
    ) -> Result<Self> {
        let pretty = pretty(headers, params);
        let Some(accept) = headers.get(header::ACCEPT) else {
            return Ok(Self { pretty, ..Self::PLAIN });
        };
        let accept = accept.to_str().unwrap_or_default();
        if matches!(accept, "application/json" | "*/*" | "") {
            return Ok(Self { pretty, ..Self::PLAIN });
        }
        for clause in clauses(accept) {
            for media in offered(clause.media) {
                let fits = form(&clause, *media, params)?.filter(|form| {
                    form.media != Media::Protobuf || form.view != View::Object || protobuf()
                });
                match fits {
                    // Documents of YAML cannot be told from one another in a stream.
                    Some(form) if stream && form.media == Media::Yaml => {
                        return Err(not_acceptable(true));
                    }
                    Some(form) => {
                        return Ok(Self {
                            pretty: pretty || clause.get("pretty") == Some("1"),
                            ..form
                        });
                    }
                    None => {}
                }
            }
        }
        Err(not_acceptable(stream))
    }

    pub(super) fn content_type(self) -> &'static str {
        match self.media {
            Media::Json => "application/json",
            Media::Yaml => "application/yaml",
            Media::Protobuf => protobuf::MEDIA,
        }
    }
}

pub(super) fn not_acceptable(stream: bool) -> ApiError {
    let offered = if stream {
        "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
    } else {
        "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    };
    let message = format!("only the following media types are accepted: {offered}");
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
            let parameters = parts.filter_map(|part| {
                let (key, value) = part.split_once('=')?;
                Some((key.trim(), value.trim().trim_matches('"')))
            });
            Some(Clause { media, parameters: parameters.collect() })
        })
        .collect();
    let quality = |clause: &Clause<'_>| {
        let q = clause.get("q").and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0);
        (q.clamp(0.0, 1.0) * 1000.0) as u32
    };
    clauses.sort_by_key(|clause| std::cmp::Reverse(quality(clause)));
    clauses
}

/// What can be had of a media range.
fn offered(range: &str) -> &'static [Media] {
    match range {
        "application/json" => &[Media::Json],
        "application/yaml" => &[Media::Yaml],
        "application/vnd.kubernetes.protobuf" => &[Media::Protobuf],
        "application/*" | "*/*" => &[Media::Json, Media::Yaml, Media::Protobuf],
        _ => &[],
    }
}

/// What a clause asks for, if there is such a thing.
fn form(clause: &Clause<'_>, media: Media, params: &Params) -> Result<Option<Output>> {
    let streams = media != Media::Yaml;
    if clause
        .get("stream")
        .is_some_and(|stream| !(stream.is_empty() || stream == "watch" && streams))
    {
        return Ok(None);
    }
    let view = match (clause.get("as"), clause.get("g"), clause.get("v")) {
        (None, None, None) => View::Object,
        (Some(kind), Some("meta.k8s.io"), Some(version @ ("v1" | "v1beta1"))) => {
            let version = if version == "v1" { "meta.k8s.io/v1" } else { "meta.k8s.io/v1beta1" };
            match kind {
                "Table" if media != Media::Protobuf => View::Table(include(params)?, version),
                "PartialObjectMetadata" => View::Metadata(Extent::One, version),
                "PartialObjectMetadataList" => View::Metadata(Extent::List, version),
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(Output { media, view, ..Output::PLAIN }))
}

fn include(params: &Params) -> Result<Include> {
    match params.get("includeObject") {
        None | Some("" | "Metadata") => Ok(Include::Metadata),
        Some("None") => Ok(Include::None),
        Some("Object") => Ok(Include::Object),
        Some(other) => {
            let detail = "must be 'Metadata', 'Object', 'None', or empty";
            let Cause { field, message, .. } = Cause::invalid("includeObject", other, detail);
            let message = format!("Unable to convert to Table as requested: {field}: {message}");
            Err(ApiError::bad_request(message))
        }
    }
}

/// Whether a person is going to read the answer. Browsers are not taken for one, unlike in
/// Kubernetes: the dashboard runs in them.
fn pretty(headers: &HeaderMap, params: &Params) -> bool {
    if params.given("pretty").is_some() {
        return matches!(params.get("pretty"), Some("1" | "t" | "T" | "true" | "TRUE" | "True"));
    }
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| agent.starts_with("curl") || agent.starts_with("Wget"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn negotiate(accept: &'static str, binary: bool, stream: bool) -> Option<(Media, View)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        let chosen = Output::choose(&headers, &Params::default(), || binary, stream).ok();
        chosen.map(|output| (output.media, output.view))
    }

    #[test]
    fn the_first_form_that_can_be_had_is_taken() {
        use Media::{Json, Protobuf, Yaml};
        let table = View::Table(Include::Metadata, "meta.k8s.io/v1");
        let beta = View::Table(Include::Metadata, "meta.k8s.io/v1beta1");
        let list = View::Metadata(Extent::List, "meta.k8s.io/v1");
        let whole = View::Object;
        for (accept, expected, defined) in [
            ("application/json", Some((Json, whole)), Some((Json, whole))),
            ("application/yaml", Some((Yaml, whole)), Some((Yaml, whole))),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Some((Protobuf, whole)),
                Some((Json, whole)),
            ),
            ("application/vnd.kubernetes.protobuf", Some((Protobuf, whole)), None),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Some((Json, table)),
                Some((Json, table)),
            ),
            (
                "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,\
                 application/json;as=Table;v=v1beta1;g=meta.k8s.io",
                Some((Json, beta)),
                Some((Json, beta)),
            ),
            (
                "application/json;as=Table;v=v2;g=meta.k8s.io,application/json",
                Some((Json, whole)),
                Some((Json, whole)),
            ),
            ("application/json;as=Table", None, None),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Some((Protobuf, list)),
                Some((Protobuf, list)),
            ),
            (
                "application/json;q=0.1, application/yaml;q=0.9",
                Some((Yaml, whole)),
                Some((Yaml, whole)),
            ),
            ("text/html, */*;q=0.8", Some((Json, whole)), Some((Json, whole))),
            ("text/html", None, None),
        ] {
            assert_eq!(negotiate(accept, true, false), expected, "{accept}");
            assert_eq!(negotiate(accept, false, false), defined, "{accept}");
        }
    }

    #[test]
    fn streams_have_forms_of_their_own() {
        let whole = |media| Some((media, View::Object));
        for (accept, expected) in [
            ("application/json;stream=watch", whole(Media::Json)),
            ("application/vnd.kubernetes.protobuf;stream=watch", whole(Media::Protobuf)),
            ("application/json;stream=other,application/json", whole(Media::Json)),
            ("application/yaml", None),
            ("application/yaml;stream=watch", None),
        ] {
            assert_eq!(negotiate(accept, true, true), expected, "{accept}");
        }
    }
}
