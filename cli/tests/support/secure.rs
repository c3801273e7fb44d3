//! Certificates, and `openssl s_server` with them on a port that the system gives. Knows nothing of the command.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{fs, thread};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// A folder with `root.pem`, which signed `server.pem` (`server.key`) for these names, and `client.pem`, which has its
/// key in it and also alone in `client.key`.
pub(crate) struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    pub(crate) fn new(name: &str, names: &[&str]) -> Self {
        let folder = super::path(name);
        fs::create_dir_all(&folder).unwrap();
        let mut root = CertificateParams::default();
        root.distinguished_name.push(DnType::CommonName, name);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = root.self_signed(&key).unwrap().pem();
        let root = Issuer::new(root, key);
        let one = |names: &[&str], purpose| {
            let first = names[0];
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name.push(DnType::CommonName, first);
            params.extended_key_usages = vec![purpose];
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &root).unwrap().pem(), key.serialize_pem())
        };
        let server = one(names, ExtendedKeyUsagePurpose::ServerAuth);
        let client = one(&["me.example"], ExtendedKeyUsagePurpose::ClientAuth);
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        write("root.pem", &pem);
        write("server.pem", &server.0);
        write("server.key", &server.1);
        write("client.pem", &(client.0 + &client.1));
        write("client.key", &client.1);
        Self { folder }
    }

    /// The path of one of the files.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Answers each connection with a page about it, one after the other.
pub(crate) struct Openssl {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Openssl {
    pub(crate) fn start(certificates: &Certificates, options: &[&str]) -> Self {
        let mut child = Command::new("openssl")
            .current_dir(&certificates.folder)
            .args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is missing; install it with: apt-get install openssl");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("ACCEPT ")?.parse().ok());
        // It stops when nobody takes what it prints.
        thread::spawn(move || lines.for_each(drop));
        Self { address: address.expect("it says where it listens"), child }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}/", self.address)
    }
}

impl Drop for Openssl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
