//! Every error has words that tell what to look up, and none says what was sent. Which peer brings which is in the other
//! files.

use super::*;

#[test]
fn every_violation_cites_its_section() {
    for violation in [
        Violation::Length,
        Violation::Unexpected,
        Violation::Format,
        Violation::Row,
        Violation::TlsAnswer,
        Violation::TlsError,
        Violation::NoTls,
        Violation::Injected,
        Violation::Alpn,
        Violation::Authentication,
        Violation::NoPassword,
        Violation::Scram,
        Violation::Unproven,
        Violation::Unbound,
        Violation::CopyInPipeline,
        Violation::Negotiation,
        Violation::Version,
        Violation::CopySignature,
        Violation::CopyFlags,
        Violation::CopyRow,
        Violation::CopyFields,
        Violation::CopyTrailing,
    ] {
        let words = Error::from(violation).to_string();
        assert!(words.contains("(PostgreSQL, \""), "{words}");
        assert_eq!(words, violation.to_string());
    }
}

/// An error says nothing of what came: it may hold a secret.
#[test]
fn no_error_shows_what_was_sent() {
    for peer in [message(b'C', "hunter2"), message(b'D', "hunter2"), message(b'!', "hunter2"), b"hunter2".to_vec()] {
        let error = splits(&peer, false, || queries(1)).error.unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
