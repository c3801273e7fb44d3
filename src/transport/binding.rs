//! Channel binding: what ties the authentication of a protocol to the TLS connection under it, so that nobody in the
//! middle can pass it on (RFC 5056). Costs nothing until it is asked for, but a few words of memory where
//! [`Tls::keep_exporter`](super::Tls::keep_exporter) wants the exporter.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest;
use rustls::crypto::tls13::{HkdfExpander, OkmBlock};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, KeyLog, SupportedCipherSuite};

use super::der::Certificate;

const MD5_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04";
const SHA1_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05";
const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
const SHA256_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
const SHA384_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c";
const SHA512_RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d";
const SHA1_ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x01";
const SHA256_ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x02";
const SHA384_ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x03";
const SHA512_ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x04";
const SHA1: &[u8] = b"\x2b\x0e\x03\x02\x1a";
const SHA256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA384: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x02";
const SHA512: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x03";

/// `tls-server-end-point` (RFC 5929 §4.1): the certificate under the hash of its own signature, or SHA-256 where that is
/// MD5 or SHA-1. `None` where the signature has no hash of its own (Ed25519), which leaves it undefined, or one that
/// nobody uses.
pub(super) fn server_end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let signature = Certificate::parse(certificate)?.signature;
    let hash = match signature.oid {
        // RFC 4055 §3.1: where none is named, it is SHA-1.
        RSA_PSS => signature.pss_hash().unwrap_or(SHA1),
        oid => oid,
    };
    let algorithm = match hash {
        MD5_RSA | SHA1_RSA | SHA1_ECDSA | SHA1 | SHA256_RSA | SHA256_ECDSA | SHA256 => &digest::SHA256,
        SHA384_RSA | SHA384_ECDSA | SHA384 => &digest::SHA384,
        SHA512_RSA | SHA512_ECDSA | SHA512 => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// The exporter secret of one connection. rustls keeps it to itself on connections without buffers, and tells it to key
/// logs only.
#[derive(Default)]
pub(super) struct Exporter {
    secret: Mutex<Option<OkmBlock>>,
}

impl Exporter {
    /// The same configuration, with an ear for the secret of the next connection that is made of it.
    pub(super) fn listen(config: &ClientConfig) -> (Arc<Self>, Arc<ClientConfig>) {
        let exporter = Arc::new(Self::default());
        let mut config = config.clone();
        config.key_log = Arc::new(Ear { exporter: exporter.clone(), other: config.key_log });
        (exporter, Arc::new(config))
    }

    /// `tls-exporter` (RFC 9266): keying material for this label and an empty context (RFC 8446 §7.5).
    pub(super) fn channel_binding(&self, suite: SupportedCipherSuite) -> Option<[u8; 32]> {
        let SupportedCipherSuite::Tls13(suite) = suite else { return None };
        let secret = self.secret.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = suite.hkdf_provider.expander_for_okm(secret.as_ref()?);
        let of_nothing = suite.common.hash_provider.hash(b"");
        let mut derived = [0; OkmBlock::MAX_LEN];
        let derived = derived.get_mut(..secret.hash_len())?;
        expand_label(&*secret, b"EXPORTER-Channel-Binding", of_nothing.as_ref(), derived)?;
        let derived = suite.hkdf_provider.expander_for_okm(&OkmBlock::new(derived));
        let mut binding = [0; 32];
        expand_label(&*derived, b"exporter", of_nothing.as_ref(), &mut binding)?;
        Some(binding)
    }
}

/// HKDF-Expand-Label (RFC 8446 §7.1).
fn expand_label(secret: &dyn HkdfExpander, label: &[u8], context: &[u8], output: &mut [u8]) -> Option<()> {
    const PREFIX: &[u8] = b"tls13 ";
    let length = u16::try_from(output.len()).ok()?.to_be_bytes();
    let label_length = u8::try_from(PREFIX.len() + label.len()).ok()?;
    let context_length = u8::try_from(context.len()).ok()?;
    secret.expand_slice(&[&length, &[label_length], PREFIX, label, &[context_length], context], output).ok()
}

struct Ear {
    exporter: Arc<Exporter>,
    other: Arc<dyn KeyLog>,
}

const EXPORTER_SECRET: &str = "EXPORTER_SECRET";

impl KeyLog for Ear {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        if label == EXPORTER_SECRET && secret.len() <= OkmBlock::MAX_LEN {
            let mut kept = self.exporter.secret.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Some(OkmBlock::new(secret));
        }
        if self.other.will_log(label) {
            self.other.log(label, client_random, secret);
        }
    }

    fn will_log(&self, label: &str) -> bool {
        label == EXPORTER_SECRET || self.other.will_log(label)
    }
}

// It holds a secret.
impl fmt::Debug for Ear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ear")
    }
}
