//! The arithmetic of logins: SCRAM-SHA-256 (RFC 5802, RFC 7677) and MD5. Entropy is passed in.

use core::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Digest, Sha256};

use super::{Limits, Violation};
use crate::{Error, Limit};

type HmacSha256 = Hmac<Sha256>;

/// What a password comes to with the salt and the iterations of one server: as good as the password there, and far
/// cheaper to use.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKey {
    salt: Vec<u8>,
    iterations: u32,
    salted: [u8; 32],
}

impl fmt::Debug for ScramKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramKey").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// The client's half of one SCRAM exchange.
pub(super) struct Scram {
    /// The header that says how it is bound, and what it is bound to.
    gs2: Vec<u8>,
    bare: String,
    nonce: String,
    expected: Option<HmacSha256>,
}

impl Scram {
    /// Begins: returns what is to be said first.
    pub(super) fn new(entropy: &[u8], header: &str, bound_to: &[u8]) -> (Self, Vec<u8>) {
        let nonce = STANDARD.encode(entropy);
        // The server takes the user from the startup message.
        Self::named("", nonce, header, bound_to)
    }

    fn named(user: &str, nonce: String, header: &str, bound_to: &[u8]) -> (Self, Vec<u8>) {
        let bare = format!("n={user},r={nonce}");
        let first = format!("{header}{bare}").into_bytes();
        let gs2 = [header.as_bytes(), bound_to].concat();
        (Self { gs2, bare, nonce, expected: None }, first)
    }

    /// The server sent salt and iterations: returns the proof that we know the password.
    pub(super) fn answer(
        &mut self,
        first: &[u8],
        password: &[u8],
        known: Option<&ScramKey>,
        limits: Limits,
    ) -> Result<(Vec<u8>, ScramKey), Error> {
        if self.expected.is_some() {
            return Err(Violation::Unexpected.into());
        }
        let first = core::str::from_utf8(first).map_err(|_| Violation::Scram)?;
        let mut attributes = first.split(',');
        let mut attribute = |name: &str| attributes.next().and_then(|it| it.strip_prefix(name)).ok_or(Violation::Scram);
        // An extension that must be understood would stand in front (RFC 5802 §5.1, `m`).
        let (nonce, salt, iterations) = (attribute("r=")?, attribute("s=")?, attribute("i=")?);
        let theirs = nonce.strip_prefix(self.nonce.as_str()).ok_or(Violation::Scram)?;
        if theirs.is_empty() || !theirs.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Violation::Scram.into());
        }
        let salt = STANDARD.decode(salt).map_err(|_| Violation::Scram)?;
        if salt.is_empty() || iterations.is_empty() || !iterations.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Violation::Scram.into());
        }
        // Too many digits are too many iterations.
        let iterations = iterations.parse().unwrap_or(u32::MAX);
        if iterations > limits.iterations {
            return Err(Error::TooLarge(Limit { what: "SCRAM iterations", value: limits.iterations.into() }));
        }
        if iterations == 0 {
            return Err(Violation::Scram.into());
        }
        let key = match known {
            Some(known) if known.salt == salt && known.iterations == iterations => known.clone(),
            _ => {
                let salted = salted(password, &salt, iterations);
                ScramKey { salt, iterations, salted }
            }
        };
        let client_key = mac(&key.salted, b"Client Key");
        let stored = Sha256::digest(client_key);
        let last = format!("c={},r={nonce}", STANDARD.encode(&self.gs2));
        let signed = format!("{},{first},{last}", self.bare);
        let signature = mac(&stored, signed.as_bytes());
        let mut proof = client_key;
        proof.iter_mut().zip(signature).for_each(|(proof, signature)| *proof ^= signature);
        let mut expected = keyed(&mac(&key.salted, b"Server Key"));
        expected.update(signed.as_bytes());
        self.expected = Some(expected);
        Ok((format!("{last},p={}", STANDARD.encode(proof)).into_bytes(), key))
    }

    /// The server proves that it knows the password too.
    pub(super) fn finish(&mut self, last: &[u8]) -> Result<(), Violation> {
        let expected = self.expected.take().ok_or(Violation::Unexpected)?;
        let verifier = last.strip_prefix(b"v=").ok_or(Violation::Unproven)?;
        let verifier = verifier.split(|byte| *byte == b',').next().unwrap_or_default();
        let verifier = STANDARD.decode(verifier).map_err(|_| Violation::Unproven)?;
        // In constant time.
        expected.verify_slice(&verifier).map_err(|_| Violation::Unproven)
    }
}

fn keyed(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).expect("a key of HMAC has any length")
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = keyed(key);
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// PBKDF2 (RFC 8018 §5.2) for one block, with HMAC-SHA-256.
fn salted(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    // A password need be neither UTF-8 nor allowed by SASLprep: then it stays as it is, as at the server.
    let prepared = core::str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    let key = keyed(prepared.as_deref().map_or(password, str::as_bytes));
    let mut first = key.clone();
    first.update(salt);
    first.update(&[0, 0, 0, 1]);
    let mut block: [u8; 32] = first.finalize().into_bytes().into();
    let mut sum = block;
    for _ in 1..iterations {
        let mut next = key.clone();
        next.update(&block);
        block = next.finalize().into_bytes().into();
        sum.iter_mut().zip(block).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

/// The answer to AuthenticationMD5Password.
pub(super) fn md5(user: &[u8], password: &[u8], salt: &[u8]) -> String {
    let inner = hex(&Md5::new().chain_update(password).chain_update(user).finalize());
    let outer = hex(&Md5::new().chain_update(inner).chain_update(salt).finalize());
    format!("md5{outer}")
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| b"0123456789abcdef"[usize::from(digit)] as char)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3, whose user name and nonce the public interface would not choose.
    #[test]
    fn the_example_of_the_standard_comes_out() {
        let (mut scram, first) = Scram::named("user", "rOprNGfwEbeRWgbNEkqO".into(), "n,,", b"");
        assert_eq!(first, b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (proof, key) = scram.answer(server, b"pencil", None, Limits::default()).unwrap();
        let expected = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(String::from_utf8(proof).unwrap(), expected);
        scram.finish(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap();
        // The key is worth as much as the password.
        let (mut scram, _) = Scram::named("user", "rOprNGfwEbeRWgbNEkqO".into(), "n,,", b"");
        let (proof, _) = scram.answer(server, b"another", Some(&key), Limits::default()).unwrap();
        assert_eq!(String::from_utf8(proof).unwrap(), expected);
        assert_eq!(scram.finish(b"v=AAAA"), Err(Violation::Unproven));
    }
}
