//! Who the target is over TLS: a certificate that is given, or one for this machine that is made when it starts. Answers
//! nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aquests::reactor::ServerTls;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::output::Failure;
use crate::tls;

/// A certificate with its key.
pub(crate) struct Identity {
    chain: Vec<u8>,
    key: Vec<u8>,
    /// Who signed it, in PEM, where it was made here.
    authority: Option<String>,
}

/// For whom a certificate is made.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Clocks differ, and containers are set to sleep.
const DAY: Duration = Duration::from_secs(86_400);
/// Longer than any target runs, and short enough for clients that want certificates to be short-lived.
const YEAR: Duration = Duration::from_secs(365 * 86_400);

impl Identity {
    /// A new one for this machine. The key of its authority is forgotten at once, so that it never signs another.
    pub(crate) fn new() -> Result<Self, Failure> {
        Self::make().map_err(|error| Failure::Run(format!("cannot make a certificate: {error}")))
    }

    fn make() -> Result<Self, rcgen::Error> {
        let mut authority = lasting(CertificateParams::default(), "aquests target, authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let pem = authority.self_signed(&key)?.pem();
        let issuer = Issuer::new(authority, key);
        let mut own = lasting(CertificateParams::new(NAMES.map(str::to_owned))?, "aquests target");
        own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // OpenSSL asks for it (RFC 5280 §4.2.1.1).
        own.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let chain = own.signed_by(&key, &issuer)?.pem().into_bytes();
        Ok(Self { chain, key: key.serialize_pem().into_bytes(), authority: Some(pem) })
    }

    /// One from files (PEM).
    pub(crate) fn read(chain: &Path, key: &Path) -> Result<Self, Failure> {
        let identity = Self { chain: tls::read(chain)?, key: tls::read(key)?, authority: None };
        match identity.server(&[]) {
            Ok(_) => Ok(identity),
            Err(why) => Err(Failure::Usage(format!("--cert {}: {why}", chain.display()))),
        }
    }

    /// What clients are to trust, where nobody can know that yet.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// A server that is this, and speaks these protocols.
    pub(super) fn server(&self, protocols: &[&[u8]]) -> Result<ServerTls, String> {
        ServerTls::from_pem(&self.chain, &self.key, protocols)
    }
}

// It has a key.
impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("made", &self.authority.is_some()).finish_non_exhaustive()
    }
}

fn lasting(mut params: CertificateParams, name: &str) -> CertificateParams {
    params.distinguished_name.push(DnType::CommonName, name);
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + YEAR).into();
    params
}

/// The certificate of an authority in a file that clients can be pointed to.
#[derive(Debug)]
pub(super) struct AuthorityFile(PathBuf);

impl AuthorityFile {
    /// A new file in the folder for temporary ones: never one that somebody else put there.
    pub(super) fn write(pem: &str) -> Result<Self, Failure> {
        let folder = std::env::temp_dir();
        let id = std::process::id();
        for number in 0.. {
            let path = folder.join(format!("aquests-target-{id}-{number}.pem"));
            let written = match File::options().write(true).create_new(true).open(&path) {
                // Left over from another that had this number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => continue,
                file => file.and_then(|mut file| file.write_all(pem.as_bytes())),
            };
            return match written {
                Ok(()) => Ok(Self(path)),
                Err(error) => Err(Failure::Run(format!("cannot write to {}: {error}", path.display()))),
            };
        }
        unreachable!("the last attempt returns")
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for AuthorityFile {
    fn drop(&mut self) {
        // Somebody else may have taken it away, which is what we want.
        let _ = fs::remove_file(&self.0);
    }
}
