//! TLS as users want it: whom to trust, who to be. Turned into what rustls wants here, where it is called.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::tls::{ServerTls, Tls};
use super::trust::{Anyone, Trusted};

/// Whom to trust over TLS, and who to be. By default: the roots of the system, and nobody.
///
/// Settings are turned into what TLS needs when they are first used, and sessions are resumed among all connections that
/// share them: clone them rather than making them anew.
#[derive(Clone, Default)]
pub struct TlsSettings {
    roots: Vec<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    name: Option<String>,
    only: Option<TlsVersion>,
    insecure: bool,
    any_name: bool,
    forgetful: bool,
    key_log: bool,
    made: Arc<Mutex<Vec<Made>>>,
}

/// A version of TLS. Older ones are not spoken: RFC 8996.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The settings in the words of rustls, for one list of protocols.
struct Made {
    alpn: Vec<Vec<u8>>,
    config: Arc<ClientConfig>,
}

impl TlsSettings {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificates in this PEM text, and those of the system no more: authorities with all that they signed,
    /// and a server that shows one of these very certificates, whoever signed it.
    #[must_use]
    pub fn roots_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots.push(pem.into());
        self.changed()
    }

    /// Shows this certificate (PEM, the chain behind it) to servers that ask for one, with its private key (PEM).
    #[must_use]
    pub fn identity_pem(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self.changed()
    }

    /// Asks for this name (RFC 6066 §3) and wants it in the certificate, whatever the URL says. An address can be in a
    /// certificate too, and is asked for in no other way.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Speaks this version and no other: by default 1.3, and 1.2 with servers that do not know it.
    #[must_use]
    pub fn only(mut self, version: TlsVersion) -> Self {
        self.only = Some(version);
        self.changed()
    }

    /// Begins every connection anew: by default sessions are resumed (RFC 8446 §2.2), which spares both sides most of the
    /// work.
    #[must_use]
    pub fn no_resumption(mut self) -> Self {
        self.forgetful = true;
        self.changed()
    }

    /// Believes whatever certificate a server shows: anybody on the way can read and change everything.
    #[must_use]
    pub fn insecure_accept_any_certificate(mut self) -> Self {
        self.insecure = true;
        self.changed()
    }

    /// Believes whoever has a certificate that leads to a root, whatever name is in it (`sslmode=verify-ca` of PostgreSQL):
    /// for authorities that sign one's own servers and nobody else's. With those of the system, everybody on the way who
    /// has a certificate of whatever name can read and change everything.
    #[must_use]
    pub fn accept_any_name(mut self) -> Self {
        self.any_name = true;
        self.changed()
    }

    /// Writes the keys of all connections to the file that the environment variable `SSLKEYLOGFILE` names, so that a
    /// captured conversation can be read. Whoever has that file can read it too.
    #[must_use]
    pub fn key_log(mut self) -> Self {
        self.key_log = true;
        self.changed()
    }

    fn changed(mut self) -> Self {
        self.made = Arc::default();
        self
    }

    /// Says what is wrong with these settings, as [`connect`](Self::connect) would: texts that are not PEM, a key that does
    /// not fit, a name that no certificate can have, a system without roots.
    pub fn check(&self) -> Result<(), String> {
        self.connect("localhost", &[]).map(|_| ())
    }

    /// For a connection to `host` that offers these protocols (RFC 7301). `host` is a name or an address, which the
    /// certificate must have unless [`server_name`](Self::server_name) says which.
    pub fn connect(&self, host: &str, alpn: &[&[u8]]) -> Result<Tls, String> {
        let host = self.name.as_deref().unwrap_or(host);
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("'{host}' cannot be in a certificate"))?;
        let mut all = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().find(|made| alpn.iter().copied().eq(made.alpn.iter().map(Vec::as_slice)));
        let config = match found {
            Some(made) => made.config.clone(),
            None => {
                // Everything but the list is shared with what was made before, the store of sessions too.
                let mut config = match all.first() {
                    Some(made) => ClientConfig::clone(&made.config),
                    None => self.make()?,
                };
                let alpn: Vec<_> = alpn.iter().map(|protocol| protocol.to_vec()).collect();
                config.alpn_protocols.clone_from(&alpn);
                let config = Arc::new(config);
                all.push(Made { alpn, config: config.clone() });
                config
            }
        };
        Ok(Tls::new(config, name))
    }

    fn make(&self) -> Result<ClientConfig, String> {
        let versions = match self.only {
            None => rustls::ALL_VERSIONS,
            Some(TlsVersion::Tls12) => &[&rustls::version::TLS12],
            Some(TlsVersion::Tls13) => &[&rustls::version::TLS13],
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?;
        let verifier: Arc<dyn ServerCertVerifier> =
            if self.insecure { Arc::new(Anyone(provider())) } else { Arc::new(self.trusted()?) };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(certificates(chain)?, private_key(key)?)
                .map_err(|error| format!("the client certificate does not fit its key: {error}"))?,
        };
        if self.forgetful {
            config.resumption = Resumption::disabled();
        }
        if self.key_log {
            config.key_log = Arc::new(rustls::KeyLogFile::new());
        }
        Ok(config)
    }

    fn trusted(&self) -> Result<Trusted, String> {
        let mut store = RootCertStore::empty();
        if self.roots.is_empty() {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                let why = found.errors.first().map_or_else(String::new, |error| format!(": {error}"));
                return Err(format!(
                    "the system has no certificates to trust (on Debian: apt install ca-certificates){why}"
                ));
            }
        }
        let mut named = Vec::new();
        for pem in &self.roots {
            for certificate in certificates(pem)? {
                store.add(certificate.clone()).map_err(|error| format!("a root certificate is not valid: {error}"))?;
                named.push(certificate);
            }
        }
        Trusted::new(store, named, self.any_name, provider())
    }
}

// The identity is a secret.
impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSettings")
            .field("own_roots", &!self.roots.is_empty())
            .field("identity", &self.identity.is_some())
            .field("name", &self.name)
            .field("only", &self.only)
            .field("insecure", &self.insecure)
            .field("forgetful", &self.forgetful)
            .field("key_log", &self.key_log)
            .finish_non_exhaustive()
    }
}

impl ServerTls {
    /// A server that shows this certificate (PEM, its chain behind it), with its key (PEM), and speaks these protocols,
    /// the most wanted first.
    pub fn from_pem(chain: &[u8], key: &[u8], alpn: &[&[u8]]) -> Result<Self, String> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_single_cert(certificates(chain)?, private_key(key)?)
            .map_err(|error| format!("the certificate does not fit its key: {error}"))?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self::new(Arc::new(config)))
    }
}

/// Named each time: a program in which another crate brings a second provider would panic otherwise.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("no certificate in the PEM text".to_owned()),
        Err(error) => Err(format!("a certificate cannot be read: {error}")),
    }
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    // What is wrong with a key is told without a byte of it.
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| "no private key in the PEM text, or not one of PKCS#8, #1 or SEC1".to_owned())
}
