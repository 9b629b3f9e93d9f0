//! JSON in bodies, with the feature `json`.

use crate::body::Body;
use crate::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A value as the response of a handler: its JSON, with the type `application/json`. What cannot be JSON, as a map whose
/// keys are no strings, is answered with 500, and told on standard error.
///
/// ```
/// use gosched_http::{Json, Request};
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Answer {
///     path: String,
/// }
///
/// fn handler(request: Request) -> Json<Answer> {
///     Json(Answer { path: request.path().to_owned() })
/// }
/// # use gosched_http::{Body, Handler};
/// # let request = http::Request::get("/x").body(Body::empty()).unwrap();
/// # let mut response = handler.handle(Request::from(request));
/// # assert_eq!(response.body_mut().text(100)?, r#"{"path":"/x"}"#);
/// # std::io::Result::Ok(())
/// ```
///
/// In Go: `json.NewEncoder(w).Encode(value)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(text) => {
                let mut response = Response::new(text.into());
                response.headers_mut().insert(CONTENT_TYPE, JSON);
                response
            }
            Err(error) => {
                eprintln!("http: a response that cannot be JSON: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, "internal server error\n").into_response()
            }
        }
    }
}

impl Body {
    /// Reads all of it as JSON, `limit` bytes at most.
    ///
    /// # Errors
    ///
    /// Those of [`bytes`](Body::bytes); it is no JSON, or not of a `T` ([`InvalidData`](io::ErrorKind::InvalidData)).
    ///
    /// ```
    /// use gosched_http::{Request, StatusCode};
    ///
    /// fn sum(mut request: Request) -> Result<String, StatusCode> {
    ///     let numbers: Vec<u32> = request.body_mut().json(1000).map_err(|_| StatusCode::BAD_REQUEST)?;
    ///     Ok(numbers.iter().sum::<u32>().to_string())
    /// }
    /// # use gosched_http::{Body, Handler};
    /// # let ask = |body| sum.handle(http::Request::post("/").body(Body::from(body)).unwrap().into());
    /// # assert_eq!(ask("[1, 2, 3]").body_mut().text(100)?, "6");
    /// # assert_eq!(ask("[1, 2").status(), 400);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// In Go: `json.NewDecoder(r.Body).Decode(&value)`.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&mut self, limit: usize) -> io::Result<T> {
        let bytes = self.bytes(limit)?;
        serde_json::from_slice(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
