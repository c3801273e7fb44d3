//! Certificates of every kind, made when they are needed, and what a scripted server needs to speak TLS with them. Knows
//! no client.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SignatureAlgorithm, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SigningKey;
use rustls::{
    ConnectionTrafficSecrets, ContentType, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection,
    SupportedCipherSuite, SupportedProtocolVersion,
};

/// Signs certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub(crate) pem: String,
    /// The certificates between it and its root, its own first; nothing for a root.
    chain: String,
}

/// A certificate with what stands behind it, and its key.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The certificate alone.
    pub(crate) pem: String,
    /// The certificate, and those between it and a root.
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    /// Names and addresses.
    pub(crate) names: &'a [&'a str],
    /// The first and the last year.
    pub(crate) years: (i32, i32),
    /// For clients rather than for servers.
    pub(crate) client: bool,
    pub(crate) algorithm: &'static SignatureAlgorithm,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        let algorithm = &PKCS_ECDSA_P256_SHA256;
        Self { names: &["localhost", "127.0.0.1"], years: (2020, 2090), client: false, algorithm }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Wanted<'_> {
    fn params(&self) -> CertificateParams {
        let names: Vec<_> = self.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("these are names");
        params.distinguished_name.push(DnType::CommonName, self.names.first().copied().unwrap_or("nobody"));
        params.not_before = date_time_ymd(self.years.0, 1, 1);
        params.not_after = date_time_ymd(self.years.1, 12, 31);
        let purpose =
            if self.client { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth };
        params.extended_key_usages = vec![purpose];
        params
    }

    fn key(&self) -> KeyPair {
        KeyPair::generate_for(self.algorithm).expect("a key can be made")
    }

    /// A certificate that nobody signed but itself.
    pub(crate) fn self_signed(&self) -> Identity {
        self.itself(self.params())
    }

    /// The same, marked as that of an authority: what `openssl req -x509` makes.
    pub(crate) fn self_signed_authority(&self) -> Identity {
        let mut params = self.params();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages = Vec::new();
        self.itself(params)
    }

    fn itself(&self, params: CertificateParams) -> Identity {
        let key = self.key();
        let pem = params.self_signed(&key).expect("a certificate can be made").pem();
        Identity { chain: pem.clone(), pem, key: key.serialize_pem() }
    }
}

impl Authority {
    /// A root.
    pub(crate) fn new(name: &str) -> Self {
        let (params, key) = (authority(name), Wanted::default().key());
        let pem = params.self_signed(&key).expect("a certificate can be made").pem();
        Self { issuer: Issuer::new(params, key), pem, chain: String::new() }
    }

    /// An authority that this one stands for.
    pub(crate) fn below(&self, name: &str) -> Self {
        let (params, key) = (authority(name), Wanted::default().key());
        let pem = params.signed_by(&key, &self.issuer).expect("a certificate can be made").pem();
        Self { issuer: Issuer::new(params, key), chain: format!("{pem}{}", self.chain), pem }
    }

    pub(crate) fn issue(&self, wanted: &Wanted<'_>) -> Identity {
        let key = wanted.key();
        let pem = wanted.params().signed_by(&key, &self.issuer).expect("a certificate can be made").pem();
        Identity { chain: format!("{pem}{}", self.chain), pem, key: key.serialize_pem() }
    }

    /// For `localhost`, and for an address of it.
    pub(crate) fn localhost(&self) -> Identity {
        self.issue(&Wanted::default())
    }
}

impl Identity {
    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("we made it")
    }

    pub(crate) fn signing_key(&self) -> Arc<dyn SigningKey> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("we made it");
        provider().key_provider.load_private_key(key).expect("we made it")
    }

    /// A server that shows this, and asks nothing of its clients.
    pub(crate) fn server(&self) -> ServerConfig {
        self.configure(rustls::DEFAULT_VERSIONS, None)
    }

    /// One that speaks one version only.
    pub(crate) fn server_of(&self, version: &'static SupportedProtocolVersion) -> ServerConfig {
        self.configure(&[version], None)
    }

    /// One that wants a certificate of its clients, signed by this authority.
    pub(crate) fn server_for(&self, clients: &Authority, version: &'static SupportedProtocolVersion) -> ServerConfig {
        self.configure(&[version], Some(clients))
    }

    fn configure(&self, versions: &[&'static SupportedProtocolVersion], clients: Option<&Authority>) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("the provider has these versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("we made it");
                roots.add(root).expect("it is that of an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
            }
        };
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes()).map(|one| one.expect("we made it")).collect();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("we made it");
        builder.with_single_cert(chain, key).expect("the key fits")
    }

    /// One that forgets every session, so that all handshakes are full.
    pub(crate) fn forgetful_server_of(&self, version: &'static SupportedProtocolVersion) -> ServerConfig {
        let mut config = self.server_of(version);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Makes records that no TLS library would, with the keys of a connection.
pub(crate) struct Forger {
    encrypter: Box<dyn MessageEncrypter>,
    number: u64,
}

impl Forger {
    /// Takes over from a connection that allows that: `enable_secret_extraction`.
    pub(crate) fn new(connection: ServerConnection) -> Self {
        let suite = connection.negotiated_cipher_suite().expect("it is up");
        let secrets = connection.dangerous_extract_secrets().expect("it was allowed");
        let (number, secrets) = secrets.tx;
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("a cipher that is not known here")
        };
        let encrypter = match suite {
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
            // RFC 5288 §3: four bytes are implied, and eight are sent with each record.
            SupportedCipherSuite::Tls12(suite) => suite.aead_alg.encrypter(key, &iv.as_ref()[..4], &iv.as_ref()[4..]),
        };
        Self { encrypter, number }
    }

    /// An encrypted record.
    pub(crate) fn record(&mut self, kind: ContentType, payload: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage {
            typ: kind,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(payload),
        };
        let record = self.encrypter.encrypt(message, self.number).expect("it can be encrypted");
        self.number += 1;
        record.encode()
    }

    pub(crate) fn data(&mut self, payload: impl AsRef<[u8]>) -> Vec<u8> {
        self.record(ContentType::ApplicationData, payload.as_ref())
    }

    /// A NewSessionTicket (RFC 8446 §4.6.1).
    pub(crate) fn ticket(&mut self) -> Vec<u8> {
        const TICKET: &[u8] = b"\x04\0\0\x16\0\0\x0e\x10\x01\x02\x03\x04\x01\x07\0\x08a ticket\0\0";
        self.record(ContentType::Handshake, TICKET)
    }
}
