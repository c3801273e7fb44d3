//! nghttpd, the server of nghttp2, in a folder of its own: HTTP/2 and nothing else, by an implementation that is not ours.

use super::{Folder, Server};

/// A running nghttpd.
#[derive(Debug)]
pub(crate) struct Nghttpd {
    // First, so that the process ends before its folder goes.
    server: Server,
    _folder: Folder,
    secure: bool,
}

impl Nghttpd {
    /// Starts one on plain TCP that serves what is in `folder`. `options` are those of its command line.
    pub(crate) fn plain(folder: Folder, options: &[&str]) -> Self {
        Self::run(folder, options, false)
    }

    /// The same over TLS, with `server.pem` and `server.key` in its folder.
    pub(crate) fn secure(folder: Folder, options: &[&str]) -> Self {
        Self::run(folder, options, true)
    }

    fn run(folder: Folder, options: &[&str], secure: bool) -> Self {
        let path = folder.path();
        let server = Server::start("nghttpd", "nghttp2-server", |command, port| {
            command.args(["--address=127.0.0.1", "--echo-upload"]).arg("--htdocs").arg(path).args(options);
            if !secure {
                command.arg("--no-tls");
            }
            command.arg(port.to_string());
            if secure {
                command.arg(path.join("server.key")).arg(path.join("server.pem"));
            }
        });
        Self { server, _folder: folder, secure }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.server.port)
    }
}
