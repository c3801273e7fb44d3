//! Who is believed to be who they say. What certificates mean is webpki's to decide; here stands only what goes beyond it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::der::Certificate;

/// Believes those whose certificate leads to a root, and those whose very certificate is trusted.
///
/// The second is what `openssl req -x509` leaves people with: a certificate that signed itself, is marked as one of an
/// authority, and stands on a server. webpki refuses it as the certificate of a server, rightly so for the web; whoever
/// says "trust this certificate" means it.
#[derive(Debug)]
pub(super) struct Trusted {
    roots: Arc<WebPkiServerVerifier>,
    /// Certificates that were named one by one.
    named: Vec<CertificateDer<'static>>,
    /// The name in a certificate does not matter.
    any_name: bool,
}

impl Trusted {
    pub(super) fn new(
        roots: RootCertStore,
        named: Vec<CertificateDer<'static>>,
        any_name: bool,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let roots = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { roots, named, any_name })
    }
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.named.iter().any(|named| named == end_entity) {
            return verify_named(end_entity, (!self.any_name).then_some(server_name), now);
        }
        let verified = self.roots.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.or_else(|error| match error {
            // The name is looked at last: everything else is in order.
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) if self.any_name => Ok(ServerCertVerified::assertion()),
            // What else is wrong with it does not matter: nobody but itself speaks for it.
            Error::InvalidCertificate(CertificateError::Other(_)) if signs_itself(end_entity) => {
                Err(CertificateError::UnknownIssuer.into())
            }
            error => Err(error),
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.roots.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.roots.supported_verify_schemes()
    }
}

/// A certificate that is trusted as it is: it must still be in force, and have the name. That the server owns it is shown
/// by its signature in the handshake.
fn verify_named(
    certificate: &CertificateDer<'_>,
    server_name: Option<&ServerName<'_>>,
    now: UnixTime,
) -> Result<ServerCertVerified, Error> {
    let (first, last) = Certificate::parse(certificate).ok_or(CertificateError::BadEncoding)?.validity;
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let moment = |seconds: i64| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds.max(0) as u64));
    if seconds < first {
        return Err(CertificateError::NotValidYetContext { time: now, not_before: moment(first) }.into());
    }
    if seconds > last {
        return Err(CertificateError::ExpiredContext { time: now, not_after: moment(last) }.into());
    }
    if let Some(name) = server_name {
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
    }
    Ok(ServerCertVerified::assertion())
}

fn signs_itself(certificate: &CertificateDer<'_>) -> bool {
    Certificate::parse(certificate).is_some_and(|certificate| certificate.issuer == certificate.subject)
}

/// Believes everybody.
#[derive(Debug)]
pub(super) struct Anyone(pub(super) Arc<CryptoProvider>);

impl Anyone {
    /// Whether signatures of this certificate can be checked at all: webpki reads version 3 only, and `openssl x509`
    /// still makes version 1. Whoever believes everybody gains nothing from refusing those.
    fn can_check(certificate: &CertificateDer<'_>) -> bool {
        ParsedCertificate::try_from(certificate).is_ok()
    }
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !Self::can_check(cert) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !Self::can_check(cert) {
            return Ok(HandshakeSignatureValid::assertion());
        }
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
