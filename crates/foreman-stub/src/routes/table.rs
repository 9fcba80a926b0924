//! The route table, and what becomes of requests that are not in it.

use std::borrow::Cow;

use http::{Method, StatusCode};

use crate::{record::Kind, request::Api};

/// A route; those for text are told apart by their API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Root,
    Version,
    Status,
    Me,
    Signout,
    WebSearch,
    Recommendations,
    Tags,
    Ps,
    Show,
    Copy,
    Delete,
    Pull,
    Push,
    Create,
    BlobHead,
    BlobUpload,
    Text(Api),
    Embed,
    Embeddings,
    V1Embeddings,
    Transcriptions,
    Models,
    Model,
}

impl Route {
    /// What the route counts as in the record.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Text(_) | Self::Transcriptions => Kind::Generation,
            Self::Embed | Self::Embeddings | Self::V1Embeddings => Kind::Embedding,
            Self::Root
            | Self::Version
            | Self::Status
            | Self::Me
            | Self::Signout
            | Self::WebSearch
            | Self::Recommendations
            | Self::Tags
            | Self::Ps
            | Self::Show
            | Self::Copy
            | Self::Delete
            | Self::Pull
            | Self::Push
            | Self::Create
            | Self::BlobHead
            | Self::BlobUpload
            | Self::Models
            | Self::Model => Kind::Other,
        }
    }
}

/// What a method and a path lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A route, with the variable part of the path.
    Route(Route, String),
    /// The same path in a better spelling.
    Redirect(StatusCode, String),
    /// Only these methods.
    NotAllowed(String),
    /// Nothing.
    Nothing,
}

type Methods = &'static [(&'static str, Route)];

/// The methods of a path, in the order in which `Allow` lists them.
fn methods(path: &str) -> Option<Methods> {
    Some(match path {
        "/" => &[("HEAD", Route::Root), ("GET", Route::Root)],
        "/api/version" => &[("HEAD", Route::Version), ("GET", Route::Version)],
        "/api/status" => &[("GET", Route::Status)],
        "/api/tags" => &[("HEAD", Route::Tags), ("GET", Route::Tags)],
        "/api/ps" => &[("GET", Route::Ps)],
        "/api/show" => &[("POST", Route::Show)],
        "/api/pull" => &[("POST", Route::Pull)],
        "/api/push" => &[("POST", Route::Push)],
        "/api/create" => &[("POST", Route::Create)],
        "/api/copy" => &[("POST", Route::Copy)],
        "/api/delete" => &[("DELETE", Route::Delete)],
        "/api/me" => &[("POST", Route::Me)],
        "/api/signout" => &[("POST", Route::Signout)],
        "/api/experimental/web_search" | "/api/experimental/web_fetch" => {
            &[("POST", Route::WebSearch)]
        }
        "/api/experimental/model-recommendations" => &[("GET", Route::Recommendations)],
        "/api/chat" => &[("POST", Route::Text(Api::Chat))],
        "/api/generate" => &[("POST", Route::Text(Api::Generate))],
        "/api/embed" => &[("POST", Route::Embed)],
        "/api/embeddings" => &[("POST", Route::Embeddings)],
        "/v1/chat/completions" => &[("POST", Route::Text(Api::ChatCompletions))],
        "/v1/completions" => &[("POST", Route::Text(Api::Completions))],
        "/v1/responses" => &[("POST", Route::Text(Api::Responses))],
        "/v1/messages" => &[("POST", Route::Text(Api::Messages))],
        "/v1/embeddings" => &[("POST", Route::V1Embeddings)],
        "/v1/audio/transcriptions" => &[("POST", Route::Transcriptions)],
        "/v1/models" => &[("GET", Route::Models)],
        _ => return None,
    })
}

/// The methods of a path with a variable part.
fn variable(path: &str) -> Option<(Methods, &str)> {
    let blob: Methods = &[("HEAD", Route::BlobHead), ("POST", Route::BlobUpload)];
    let model: Methods = &[("GET", Route::Model)];
    let keys: Methods = &[("DELETE", Route::Signout)];
    let prefixes = [
        ("/api/blobs/", blob),
        ("/v1/models/", model),
        ("/api/user/keys/", keys),
    ];
    let (methods, rest) = prefixes
        .into_iter()
        .find_map(|(prefix, methods)| Some((methods, path.strip_prefix(prefix)?)))?;
    (!rest.is_empty() && !rest.contains('/')).then_some((methods, rest))
}

fn lookup(path: &str) -> Option<(Methods, &str)> {
    methods(path)
        .map(|methods| (methods, ""))
        .or_else(|| variable(path))
}

/// Looks a request up.
pub(crate) fn find(method: &Method, path: &str) -> Found {
    let clean = clean(path);
    if clean != path && *method != Method::CONNECT {
        return Found::Redirect(StatusCode::TEMPORARY_REDIRECT, clean.into_owned());
    }
    let route = |methods: Methods| {
        methods
            .iter()
            .find(|(name, _)| *name == method.as_str())
            .map(|(_, route)| *route)
    };
    if let Some((methods, rest)) = lookup(path) {
        if let Some(route) = route(methods) {
            return Found::Route(route, rest.to_owned());
        }
        let names: Vec<_> = methods.iter().map(|(name, _)| *name).collect();
        return Found::NotAllowed(names.join(", "));
    }
    let other = match path.strip_suffix('/') {
        Some(bare) => bare.to_owned(),
        None => format!("{path}/"),
    };
    if lookup(&other)
        .and_then(|(methods, _)| route(methods))
        .is_some()
    {
        let get = *method == Method::GET;
        let status = if get {
            StatusCode::MOVED_PERMANENTLY
        } else {
            StatusCode::TEMPORARY_REDIRECT
        };
        return Found::Redirect(status, other);
    }
    Found::Nothing
}

/// The path without empty and dotted segments.
fn clean(path: &str) -> Cow<'_, str> {
    if !path.contains("//") && !path.contains("/.") {
        return path.into();
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let slash = if path.ends_with('/') && !parts.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{}{slash}", parts.join("/")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_are_looked_up_like_gin_does() {
        let find = |method: &str, path| find(&Method::from_bytes(method.as_bytes()).unwrap(), path);
        let redirect = |status, to: &str| {
            Found::Redirect(StatusCode::from_u16(status).unwrap(), to.to_owned())
        };

        assert_eq!(
            find("GET", "/api/tags"),
            Found::Route(Route::Tags, String::new())
        );
        assert_eq!(
            find("HEAD", "/api/blobs/x"),
            Found::Route(Route::BlobHead, "x".to_owned())
        );
        assert_eq!(find("POST", "/"), Found::NotAllowed("HEAD, GET".to_owned()));
        assert_eq!(find("HEAD", "/api/ps"), Found::NotAllowed("GET".to_owned()));
        assert_eq!(find("GET", "/api/tags/"), redirect(301, "/api/tags"));
        assert_eq!(find("POST", "/api/chat/"), redirect(307, "/api/chat"));
        assert_eq!(find("GET", "//api/tags"), redirect(307, "/api/tags"));
        assert_eq!(find("GET", "/API/tags"), Found::Nothing);
        assert_eq!(find("POST", "/api/web_search"), Found::Nothing);
        assert_eq!(find("GET", "/api/chat/"), Found::Nothing);
    }
}
