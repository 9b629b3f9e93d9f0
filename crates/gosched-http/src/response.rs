//! What handlers return.

use crate::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

/// A response: status, headers and body.
///
/// ```
/// use gosched_http::{Body, Response};
///
/// let response: Response =
///     Response::builder().status(201).header("location", "/things/7").body(Body::empty())?;
/// # http::Result::Ok(())
/// ```
///
/// In Go: what is written to an `http.ResponseWriter`.
pub type Response<B = Body> = http::Response<B>;

/// What a handler may return: a [`Response`], text, bytes, a [`Body`], a status, a status with one of those, nothing, or
/// a `Result` of two of them.
///
/// Implement it for your own error type, and handlers may use `?`:
///
/// ```
/// use gosched_http::{IntoResponse, Request, Response, StatusCode};
///
/// struct Failed(std::io::Error);
///
/// impl From<std::io::Error> for Failed {
///     fn from(error: std::io::Error) -> Self {
///         Failed(error)
///     }
/// }
///
/// impl IntoResponse for Failed {
///     fn into_response(self) -> Response {
///         (StatusCode::BAD_REQUEST, format!("{}\n", self.0)).into_response()
///     }
/// }
///
/// fn length(mut request: Request) -> Result<String, Failed> {
///     Ok(request.body_mut().text(1000)?.len().to_string())
/// }
/// # let _ = length;
/// ```
///
/// In Go: nothing; handlers write.
pub trait IntoResponse {
    /// The response that it is.
    fn into_response(self) -> Response;
}

fn with_type(body: impl Into<Body>, content_type: &'static str) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::default()
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        with_type(self, TEXT)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        with_type(self, TEXT)
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Response {
        with_type(self, BYTES)
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        with_type(self, BYTES)
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = self;
        response
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        *response.status_mut() = self.0;
        response
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }
}
