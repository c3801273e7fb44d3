//! Apache in a folder of its own, on a TCP port: the server that knows every way into HTTP/2.

use super::{Folder, Server};

/// A running Apache.
#[derive(Debug)]
pub(crate) struct Apache {
    // First, so that the process ends before its folder goes.
    server: Server,
    _folder: Folder,
}

impl Apache {
    /// Starts one that serves what is in `folder`. `protocols` are the words of its directive: `h2c http/1.1`.
    pub(crate) fn serve(folder: Folder, protocols: &str, more: &str) -> Self {
        let server = Server::start("apache2", "apache2", |command, port| {
            let path = folder.path().display();
            let modules: String = ["mpm_event", "authz_core", "http2", "mime"]
                .iter()
                .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
                .collect();
            let configuration = format!(
                "{modules}
                ServerRoot {path}
                ServerName localhost
                Listen 127.0.0.1:{port}
                PidFile {path}/apache.pid
                ErrorLog {path}/error.log
                Mutex posixsem
                User www-data
                Group www-data
                TypesConfig /dev/null
                DocumentRoot {path}
                KeepAlive On
                MaxKeepAliveRequests 0
                KeepAliveTimeout 600
                Protocols {protocols}
                <Directory {path}>
                    Require all granted
                </Directory>
                {more}
                "
            );
            folder.write("apache.conf", configuration);
            command.arg("-D").arg("FOREGROUND").arg("-f").arg(folder.path().join("apache.conf"));
        });
        Self { server, _folder: folder }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.server.port)
    }

    /// Ends every worker when it is idle, and starts new ones: the connections are told.
    pub(crate) fn restart_gracefully(&self) {
        self.server.signal(rustix::process::Signal::USR1);
    }
}
