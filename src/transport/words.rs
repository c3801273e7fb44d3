//! What went wrong with TLS, in words for whoever reads an error message. Decides nothing.

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::der;

/// `handshaking`: nothing was agreed on yet.
pub(super) fn failure(error: &Error, handshaking: bool) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => refusal(*alert),
        Error::NoCertificatesPresented => "the peer showed no certificate".to_owned(),
        Error::NoApplicationProtocol => "the peer speaks none of the protocols that were offered (ALPN)".to_owned(),
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion)
            if handshaking =>
        {
            "what the peer answered is not TLS: its port may be one for plain text".to_owned()
        }
        Error::InvalidMessage(message) => format!("the peer sent something that is not TLS ({message:?})"),
        Error::DecryptError => "what came was damaged or changed on its way (a record cannot be decrypted)".to_owned(),
        Error::PeerSentOversizedRecord => "the peer sent a record that is larger than TLS allows".to_owned(),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => NO_VERSION.to_owned(),
        Error::PeerIncompatible(what) => format!("there is nothing in common with the peer ({what:?})"),
        Error::PeerMisbehaved(what) => format!("the peer broke the rules of TLS ({what:?})"),
        Error::InappropriateMessage { got_type, .. } => {
            format!("the peer broke the rules of TLS (a message out of place: {got_type:?})")
        }
        Error::InappropriateHandshakeMessage { got_type, .. } => {
            format!("the peer broke the rules of TLS (a message out of place: {got_type:?})")
        }
        error => error.to_string(),
    }
}

const NO_VERSION: &str = "no version of TLS in common: only 1.2 and 1.3 are spoken here";

#[allow(deprecated)] // A verifier may still say it the old way.
fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "the certificate has expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate has expired: it was good until {}", date(not_after))
        }
        CertificateError::NotValidYet => "the certificate is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => {
            let (from, today) = (date(not_before), date(time));
            format!("the certificate is not valid yet: it is good from {from} on, and the clock here says {today}")
        }
        CertificateError::Revoked => "the certificate was revoked".to_owned(),
        CertificateError::UnknownIssuer => {
            "the certificate is signed by an unknown authority, or by nobody but itself".to_owned()
        }
        CertificateError::NotValidForName => "the certificate is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("the certificate is for {}, not for {}", names(presented), expected.to_str())
        }
        CertificateError::BadSignature => {
            "a signature does not fit: the certificate is not from whom it names, or it is not the peer's own"
                .to_owned()
        }
        CertificateError::BadEncoding => "the certificate cannot be read".to_owned(),
        CertificateError::UnsupportedSignatureAlgorithm
        | CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the certificate is signed in a way that is not supported: too old, or too rare".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is for another purpose than this".to_owned()
        }
        error => format!("the certificate is not acceptable: {error}"),
    }
}

/// The names in a certificate, as webpki writes them, in plain words. A few of them: there may be a hundred.
fn names(presented: &[String]) -> String {
    const SHOWN: usize = 5;
    let plain = |name: &str| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
        inner.trim_matches('"').to_owned()
    };
    let shown: Vec<_> = presented.iter().take(SHOWN).map(|name| plain(name)).collect();
    match presented.len() {
        0 => "no name at all".to_owned(),
        count if count > SHOWN => format!("{} and {} more", shown.join(", "), count - SHOWN),
        _ => shown.join(", "),
    }
}

/// An alert (RFC 8446 §6): the peer's view of what went wrong.
fn refusal(alert: AlertDescription) -> String {
    let why = match alert {
        AlertDescription::ProtocolVersion => return format!("{NO_VERSION} (the peer's alert: {alert:?})"),
        AlertDescription::HandshakeFailure => "there is nothing in common, or a client certificate is missing",
        AlertDescription::InsufficientSecurity => "what was offered is too weak for it",
        AlertDescription::CertificateRequired => "it wants a client certificate",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown => "it does not accept our certificate",
        AlertDescription::CertificateRevoked => "our certificate was revoked",
        AlertDescription::CertificateExpired => "our certificate has expired",
        AlertDescription::UnknownCA => "it does not know who signed our certificate",
        AlertDescription::AccessDenied => "it denies access",
        AlertDescription::UnrecognisedName => "it does not know the name that it was asked for",
        AlertDescription::NoApplicationProtocol => "it speaks none of the protocols that were offered (ALPN)",
        AlertDescription::InternalError => "it failed",
        AlertDescription::UserCanceled => "it was cancelled there",
        AlertDescription::BadRecordMac | AlertDescription::DecryptError => "what it got was damaged on its way",
        _ => return format!("the peer refused: {alert:?}"),
    };
    format!("the peer refused: {why} ({alert:?})")
}

fn date(time: &UnixTime) -> String {
    der::date(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_in_plain_words_and_not_all_of_a_hundred() {
        let presented = |count: usize| (0..count).map(|n| format!("DnsName(\"h{n}.example\")")).collect::<Vec<_>>();
        assert_eq!(names(&[]), "no name at all");
        assert_eq!(names(&["IpAddress(127.0.0.1)".to_owned()]), "127.0.0.1");
        assert_eq!(names(&presented(2)), "h0.example, h1.example");
        assert_eq!(names(&presented(100)), "h0.example, h1.example, h2.example, h3.example, h4.example and 95 more");
    }

    #[test]
    fn every_failure_has_words_of_its_own_or_those_of_rustls() {
        let expired = UnixTime::since_unix_epoch(std::time::Duration::from_secs(951_782_400));
        let error = CertificateError::ExpiredContext { time: expired, not_after: expired };
        assert_eq!(failure(&error.into(), true), "the certificate has expired: it was good until 2000-02-29");
        assert_eq!(
            failure(&Error::AlertReceived(AlertDescription::CertificateRequired), true),
            "the peer refused: it wants a client certificate (CertificateRequired)"
        );
        let garbage = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert!(failure(&garbage, true).contains("plain text"));
        assert!(!failure(&garbage, false).contains("plain text"));
        assert_eq!(failure(&Error::EncryptError, false), Error::EncryptError.to_string());
    }
}
