//! Servers of Python's standard library: an opinion on HTTP that is not ours and not nginx's.

use std::path::Path;

use super::{Folder, Server};

/// A running `http.server`.
#[derive(Debug)]
pub(crate) struct Python {
    server: Server,
    folder: Folder,
}

impl Python {
    /// `python3 -m http.server`: HTTP/1.0, one request per connection, the files of `folder`.
    pub(crate) fn files(folder: Folder) -> Self {
        let server = Server::start("python3", "python3", |command, port| {
            command.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]).arg(folder.path());
            command.arg(port.to_string());
        });
        Self { server, folder }
    }

    /// The script `echo.py` beside this file: HTTP/1.1, tells what it was sent.
    pub(crate) fn echo() -> Self {
        let folder = Folder::new();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/echo.py");
        let server = Server::start("python3", "python3", |command, port| {
            command.arg(&script).arg(port.to_string());
        });
        Self { server, folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.server.port)
    }
}
