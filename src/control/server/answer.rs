//! Answers, errors and the reading of requests: whatever goes wrong, the peer gets `{"error": {code, message, hint}}`.

use crate::control::wire::{BODY_MAX, ErrorBody, ErrorInfo, PEER_REFUSED, UNKNOWN_ROUTE};
use crate::model::JobId;
use crate::model::ports::Refusal;
use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Time for the whole body of a request.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// An error on its way out.
#[derive(Debug)]
pub(super) struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = ErrorInfo { code: self.0.code, message: self.0.message, hint: self.0.hint };
        (status, Json(ErrorBody { error })).into_response()
    }
}

/// What a handler answers: a value as JSON, or a refusal.
pub(super) type Answered<T> = Result<Json<T>, Refused>;

/// Turns a port's answer into a handler's.
pub(super) fn answered<T: Serialize>(answer: Result<T, Refusal>) -> Answered<T> {
    answer.map(Json).map_err(Refused)
}

/// The empty object: done, and nothing to say.
#[derive(Serialize)]
pub(super) struct Nothing {}

/// Turns the answer of an action without a result into a handler's.
pub(super) fn done(answer: Result<(), Refusal>) -> Answered<Nothing> {
    answered(answer.map(|()| Nothing {}))
}

/// A refusal of the request itself.
pub(super) fn bad(status: StatusCode, code: &str, message: impl Into<String>) -> Refusal {
    Refusal::new(status.as_u16(), code, message)
}

/// The answer to a peer that is not admitted. The connection ends with it.
pub(super) fn peer_refused() -> Response {
    let refusal = bad(StatusCode::FORBIDDEN, PEER_REFUSED, "this user may not talk to the supervisor")
        .hint("run as the supervisor's user, or join the group named by `group` in `[control]`");
    let mut response = Refused(refusal).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a path that is not known.
pub(super) async fn unknown_route(uri: Uri) -> Refused {
    bad(StatusCode::NOT_FOUND, UNKNOWN_ROUTE, format!("no such path: {}", uri.path()))
        .hint("paths begin with /v1/; see GET /v1/status")
        .into()
}

/// The answer to a known path with the wrong method.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> Refused {
    bad(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", format!("{} does not take {method}", uri.path()))
        .hint("questions are GET, actions are POST")
        .into()
}

/// The query string as a `T`.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(e) => {
                // The rejection's own text names axum; its source names the parameter.
                let why = std::error::Error::source(&e).map_or_else(|| e.body_text(), ToString::to_string);
                Err(bad(StatusCode::BAD_REQUEST, "bad_query", format!("bad query string: {why}")).into())
            }
        }
    }
}

/// A part of the path, decoded.
pub(super) struct Named(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Self(name)),
            Err(_) => Err(bad(StatusCode::BAD_REQUEST, "bad_path", "the path is not UTF-8").into()),
        }
    }
}

/// A number in the path.
#[derive(Clone, Copy)]
pub(super) struct Id(pub(super) i64);

impl Id {
    pub(super) const fn job(self) -> JobId {
        JobId(self.0)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let Named(text) = Named::from_request_parts(parts, state).await?;
        text.parse().ok().filter(|id| *id > 0).map(Self).ok_or_else(|| {
            let shown = crate::model::text::escape(&text);
            let shown = crate::model::text::cut(&shown, 40);
            bad(StatusCode::BAD_REQUEST, "bad_id", format!("not a number of a job or selection: {shown}")).into()
        })
    }
}

/// The body as a `T`; an absent body is the empty object.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let (head, body) = request.into_parts();
        let body = read(body).await?;
        if body.is_empty() {
            return parse(b"{}").map(Self);
        }
        let kind = head.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let kind = kind.split(';').next().unwrap_or("").trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let refusal = bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "the body must be JSON")
                .hint("send the header content-type: application/json");
            return Err(refusal.into());
        }
        parse(&body).map(Self)
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(body)
        .map_err(|e| bad(StatusCode::BAD_REQUEST, "bad_json", format!("the body is not understood: {e}")).into())
}

async fn read(body: Body) -> Result<Vec<u8>, Refused> {
    match tokio::time::timeout(BODY_TIME_MAX, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes().into()),
        Ok(Err(e)) if e.is::<LengthLimitError>() => Err(bad(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body is larger than {BODY_MAX} bytes"),
        )
        .hint("send fewer ids, or act on a selection")
        .into()),
        Ok(Err(e)) => Err(bad(StatusCode::BAD_REQUEST, "bad_body", format!("the body broke off: {e}")).into()),
        Err(_) => Err(bad(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body took too long").into()),
    }
}
