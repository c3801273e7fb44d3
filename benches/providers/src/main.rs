//! Compares the two providers of rustls, side by side in one run: the client's time in a full handshake, and opening
//! records of 16 KiB. `cargo run --release --manifest-path benches/providers/Cargo.toml`; aws-lc-rs wants a C compiler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs, ring};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

const ROUNDS: usize = 7;
const HANDSHAKES: u32 = 400;
const RECORDS: u32 = 6_000;
const RECORD: usize = 16 << 10;

/// An authority, and a server that it vouches for: keys of P-256, as most servers have them.
struct Site {
    roots: RootCertStore,
    server: Arc<ServerConfig>,
}

impl Site {
    fn new() -> Self {
        let (root_key, key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
        let mut authority = rcgen::CertificateParams::default();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "root");
        let mut roots = RootCertStore::empty();
        roots.add(authority.self_signed(&root_key).unwrap().der().clone()).unwrap();
        let issuer = rcgen::Issuer::new(authority, root_key);
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "server");
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialized_der().to_vec()));
        // The same server for both, so that only the client differs.
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        server.send_tls13_tickets = 0;
        Self { roots, server: Arc::new(server) }
    }

    fn client(
        &self,
        mut provider: CryptoProvider,
        version: &'static SupportedProtocolVersion,
        group: &'static dyn SupportedKxGroup,
    ) -> Arc<ClientConfig> {
        provider.kx_groups = vec![group];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

/// The time of the client's half of a handshake in memory.
fn handshake(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Duration {
    let begin = Instant::now();
    let mut client = ClientConnection::new(client.clone(), "localhost".try_into().unwrap()).unwrap();
    let mut wire = Vec::new();
    client.write_tls(&mut wire).unwrap();
    let mut spent = begin.elapsed();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets().unwrap();
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let begin = Instant::now();
        let mut unread = &wire[..];
        while !unread.is_empty() {
            client.read_tls(&mut unread).unwrap();
            client.process_new_packets().unwrap();
        }
        let mut answer = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut answer).unwrap();
        }
        spent += begin.elapsed();
        wire = answer;
    }
    spent
}

macro_rules! open_records {
    ($name:ident, $provider:ident) => {
        /// Gigabytes a second that are opened in place.
        fn $name(algorithm: &'static $provider::aead::Algorithm) -> f64 {
            use $provider::aead::{Aad, LessSafeKey, Nonce, UnboundKey};
            let nonce = || Nonce::assume_unique_for_key([0; 12]);
            let key = LessSafeKey::new(UnboundKey::new(algorithm, &vec![1; algorithm.key_len()]).unwrap());
            let mut sealed = vec![7; RECORD];
            key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed).unwrap();
            let mut record = sealed.clone();
            let begin = Instant::now();
            for _ in 0..RECORDS {
                record.copy_from_slice(&sealed);
                key.open_in_place(nonce(), Aad::empty(), &mut record).unwrap();
            }
            RECORDS as f64 * RECORD as f64 / begin.elapsed().as_secs_f64() / 1e9
        }
    };
}

mod records {
    use super::{Instant, RECORD, RECORDS};

    open_records!(by_ring, ring);
    open_records!(by_aws_lc_rs, aws_lc_rs);

    pub(super) fn all(name: &str) -> (f64, f64) {
        use {aws_lc_rs::aead as aws, ring::aead as ring};
        match name {
            "AES-128-GCM" => (by_ring(&ring::AES_128_GCM), by_aws_lc_rs(&aws::AES_128_GCM)),
            "AES-256-GCM" => (by_ring(&ring::AES_256_GCM), by_aws_lc_rs(&aws::AES_256_GCM)),
            _ => (by_ring(&ring::CHACHA20_POLY1305), by_aws_lc_rs(&aws::CHACHA20_POLY1305)),
        }
    }
}

/// Runs both sides so many rounds and prints their medians, with the least and the most.
fn compare(name: &str, unit: &str, mut round: impl FnMut() -> (f64, f64)) {
    let (mut ring, mut aws): (Vec<f64>, Vec<f64>) = (0..ROUNDS).map(|_| round()).unzip();
    let mut told = [&mut ring, &mut aws].map(|values| {
        values.sort_by(f64::total_cmp);
        format!("{:.1} ({:.1}-{:.1})", values[ROUNDS / 2], values[0], values[ROUNDS - 1])
    });
    println!("{name:<36}{unit:>6}  ring {:<24}aws-lc-rs {}", std::mem::take(&mut told[0]), told[1]);
}

fn main() {
    let site = Site::new();
    for (name, version) in [("TLS 1.3", &TLS13), ("TLS 1.2", &TLS12)] {
        let by_ring = site.client(ring::default_provider(), version, ring::kx_group::X25519);
        let by_aws = site.client(aws_lc_rs::default_provider(), version, aws_lc_rs::kx_group::X25519);
        let each = |client| {
            let spent: Duration = (0..HANDSHAKES).map(|_| handshake(client, &site.server)).sum();
            spent.as_secs_f64() / f64::from(HANDSHAKES) * 1e6
        };
        compare(&format!("full handshake, {name}"), "µs", || (each(&by_ring), each(&by_aws)));
    }
    for name in ["AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"] {
        compare(&format!("records of 16 KiB, {name}"), "GB/s", || records::all(name));
    }
}
