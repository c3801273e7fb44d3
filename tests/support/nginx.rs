//! nginx in a folder of its own, with one process, on a TCP port and a unix socket.

use std::path::{Path, PathBuf};

use super::{Folder, Server};

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Nginx {
    // First, so that the process ends before its folder goes.
    server: Server,
    folder: Folder,
    secure: bool,
}

impl Nginx {
    /// Starts one. `locations` stands inside `server { … }`; files written to `folder` before are served from `/`.
    pub(crate) fn start(locations: &str) -> Self {
        Self::serve(Folder::new(), locations)
    }

    /// The same, with files that are there already.
    pub(crate) fn serve(folder: Folder, locations: &str) -> Self {
        Self::run(folder, locations, "")
    }

    /// The same in HTTP/2, and nothing else.
    pub(crate) fn http2(folder: Folder, locations: &str) -> Self {
        Self::run(folder, locations, " http2")
    }

    /// The same over TLS, with `server.pem` and `server.key` in its folder.
    pub(crate) fn secure(folder: Folder, locations: &str) -> Self {
        Self::run(folder, &format!("{CERTIFICATE} {locations}"), " ssl")
    }

    /// The same over TLS, in HTTP/2 or HTTP/1.1.
    pub(crate) fn secure_http2(folder: Folder, locations: &str) -> Self {
        Self::run(folder, &format!("{CERTIFICATE} {locations}"), " ssl http2")
    }

    /// `listen`: what stands behind the address.
    fn run(folder: Folder, locations: &str, listen: &str) -> Self {
        let server = Server::start("nginx", "nginx", |command, port| {
            let path = folder.path();
            // Left over from a start on a port that was taken.
            let _ = std::fs::remove_file(path.join("socket"));
            folder.write("nginx.conf", configuration(path, port, locations, listen));
            command.arg("-p").arg(path).arg("-c").arg(path.join("nginx.conf")).arg("-e").arg(path.join("error.log"));
        });
        Self { server, folder, secure: listen.contains("ssl") }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.server.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The lines of a log that the configuration names; nginx writes them when a request is done.
    pub(crate) fn log(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Ends it now.
    pub(crate) fn stop(&mut self) {
        self.server.stop();
    }
}

const CERTIFICATE: &str = "ssl_certificate server.pem; ssl_certificate_key server.key;";

/// The unix socket first: sockets are opened in this order, and whoever waits for the port waits for both.
fn configuration(folder: &Path, port: u16, locations: &str, listen: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
        master_process off;
        pid {folder}/nginx.pid;
        error_log {folder}/error.log;
        events {{ worker_connections 16384; }}
        http {{
            access_log off;
            log_format uri $request_uri;
            log_format tls \"$ssl_protocol $ssl_session_reused $connection\";
            default_type text/plain;
            client_body_temp_path {folder}/body;
            proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi;
            client_max_body_size 64m;
            client_body_buffer_size 64m;
            keepalive_timeout 600s;
            server {{
                listen unix:{folder}/socket{listen};
                listen 127.0.0.1:{port}{listen} backlog=4096;
                root {folder};
                {locations}
            }}
        }}
        "
    )
}
