//! What a request has beside its URL, from arguments to values that `load` and `fetch` share. Reads the file of a body,
//! and nothing else.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use crate::args::RequestArgs;
use crate::output::Failure;

/// A request without its URL.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
    /// `None`: no body, which is not the same as an empty one.
    pub(crate) body: Option<Vec<u8>>,
}

impl Parts {
    pub(crate) fn read(args: &RequestArgs) -> Result<Self, Failure> {
        let body = match (&args.body, &args.body_file) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(path)) => {
                Some(read(path).map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?)
            }
            (None, None) => None,
        };
        let method = args.method.clone().unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
        let mut headers = args.headers.clone();
        for (name, value) in [("content-type", &args.content_type), ("accept", &args.accept)] {
            headers.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
        }
        Ok(Self { method, headers, body })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path != Path::new("-") {
        return fs::read(path);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}
