//! stunnel: TLS by another library in front of a server that knows none, in a folder of its own.

use super::{Folder, Server};

/// A running stunnel.
#[derive(Debug)]
pub(crate) struct Stunnel {
    // First, so that the process ends before its folder goes.
    server: Server,
    _folder: Folder,
}

impl Stunnel {
    /// Leads to a port on loopback, with `server.pem` and `server.key` in its folder; `options` are lines of its service.
    pub(crate) fn to(port: u16, folder: Folder, options: &str) -> Self {
        let server = Server::start("stunnel", "stunnel4", |command, own| {
            let path = folder.path().display();
            let configuration = format!(
                "foreground = yes
                pid =
                syslog = no
                [tests]
                accept = 127.0.0.1:{own}
                connect = 127.0.0.1:{port}
                cert = {path}/server.pem
                key = {path}/server.key
                {options}
                "
            );
            folder.write("stunnel.conf", configuration);
            command.arg(folder.path().join("stunnel.conf"));
        });
        Self { server, _folder: folder }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.server.port)
    }
}
