//! What becomes of a request: exactly one of these.

use std::fmt;

use http::{Extensions, Method};

use super::{Callback, RequestId, Response};
use crate::error::Error;

/// The outcome of one request: its answer, or why there is none. What the server said, a 500 too, is an answer.
pub struct Outcome {
    pub(super) id: RequestId,
    pub(super) method: Method,
    pub(super) callback: Option<Callback>,
    pub(super) result: Result<Response, Failed>,
}

/// A request without an answer. The values of the user come back with it.
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) meta: Extensions,
}

impl Outcome {
    /// The id that sending the request returned: 0, 1, 2, … in the order of sending.
    pub fn request_id(&self) -> RequestId {
        self.id
    }

    /// The method of the request.
    pub fn request_method(&self) -> &Method {
        &self.method
    }

    /// The values that came with the request.
    pub fn meta(&self) -> &Extensions {
        match &self.result {
            Ok(response) => response.meta(),
            Err(failed) => &failed.meta,
        }
    }

    /// The answer.
    pub fn response(&self) -> Option<&Response> {
        self.result.as_ref().ok()
    }

    /// Why there is none.
    pub fn error(&self) -> Option<&Error> {
        self.result.as_ref().err().map(|failed| &failed.error)
    }

    /// Either of them.
    pub fn into_result(self) -> Result<Response, Error> {
        self.result.map_err(|failed| failed.error)
    }
}

/// The line that is logged: `REQ get-0. HTTP/1.1 200 OK 4210 bytes received`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "REQ {}-{}. ", self.method.as_str().to_ascii_lowercase(), self.id)?;
        match &self.result {
            Ok(response) => write!(
                f,
                "{} {} {} {} bytes received",
                response.version(),
                response.status().as_u16(),
                response.reason().escape_debug(),
                response.received()
            ),
            Err(failed) => failed.error.fmt(f),
        }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Outcome");
        debug.field("request_id", &self.id);
        match &self.result {
            Ok(response) => debug.field("response", response),
            Err(failed) => debug.field("error", &failed.error),
        };
        debug.finish()
    }
}
