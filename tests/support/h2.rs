//! The server built on the `h2` crate, in `tests/servers/h2`: HTTP/2 by an implementation that is not ours, and that does
//! what it is told by path and by arguments. See there for both.

use std::path::Path;

use super::Server;

/// A running one.
#[derive(Debug)]
pub(crate) struct H2 {
    server: Server,
}

/// How it is built. A package of its own, so that what it pulls in never reaches the workspace.
const BUILD: &str = "cargo build --locked --manifest-path tests/servers/h2/Cargo.toml --target-dir target/servers";

impl H2 {
    /// Starts one. `manner` is how it behaves on every connection, as `name=value`.
    pub(crate) fn start(manner: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers/debug/aquests-h2-server");
        Self { server: Server::announced(&program, BUILD, manner) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.server.port)
    }
}
