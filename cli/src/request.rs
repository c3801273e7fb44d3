//! What a request has beside its URL, from arguments to values that `load` and `fetch` share. Reads the file of a body,
//! and nothing else.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::args::RequestArgs;
use crate::output::Failure;

/// A request without its URL.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
    /// `None`: no body, which is not the same as an empty one.
    pub(crate) body: Option<Vec<u8>>,
    /// The body is in this file, to be read as it is sent.
    pub(crate) file: Option<PathBuf>,
}

/// As a file: standard input.
pub(crate) const STDIN: &str = "-";

impl Parts {
    /// A command of a database, which has nothing else of all this.
    pub(crate) fn named(command: &str) -> Self {
        Self { method: command.to_ascii_uppercase(), headers: Vec::new(), body: None, file: None }
    }

    /// With the whole body in memory.
    pub(crate) fn read(args: &RequestArgs) -> Result<Self, Failure> {
        let mut parts = Self::open(args)?;
        if let Some(path) = parts.file.take() {
            parts.body = Some(read(&path).map_err(|error| unreadable(&path, &error))?);
        }
        Ok(parts)
    }

    /// With a file where it is, which is there as far as one can tell.
    pub(crate) fn open(args: &RequestArgs) -> Result<Self, Failure> {
        let body = args.body.clone().map(String::into_bytes);
        let file = args.body_file.clone();
        if let Some(path) = file.as_ref().filter(|path| *path != Path::new(STDIN)) {
            // Not by opening it: a pipe can be opened once.
            fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        }
        let has_body = body.is_some() || file.is_some();
        let method = args.method.clone().unwrap_or_else(|| if has_body { "POST" } else { "GET" }.to_owned());
        let mut headers = args.headers.clone();
        for (name, value) in [("content-type", &args.content_type), ("accept", &args.accept)] {
            headers.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
        }
        Ok(Self { method, headers, body, file })
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::Usage(format!("cannot read {}: {error}", path.display()))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path != Path::new(STDIN) {
        return fs::read(path);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}
