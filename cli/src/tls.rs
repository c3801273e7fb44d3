//! TLS from arguments and the environment, for `fetch` and `load`. Reads files and warns; what is trusted is decided in the
//! library.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use aquests::{TlsSettings, TlsVersion};

use crate::args::TlsArgs;
use crate::output::{Failure, note};

/// Where keys go that others are to read a captured conversation with: a custom of browsers and curl.
const KEY_LOG: &str = "SSLKEYLOGFILE";

/// What the arguments say, with what is to be trusted beside that (PEM). Nothing is sent before all of it is known to be
/// good.
pub(crate) fn settings(args: &TlsArgs, trusted: Option<&str>) -> Result<TlsSettings, Failure> {
    let mut settings = TlsSettings::new();
    if let Some(pem) = trusted {
        settings = settings.roots_pem(pem);
    }
    if let Some(path) = &args.cacert {
        let pem = read(path)?;
        check(&TlsSettings::new().roots_pem(pem.clone()), &format!("--cacert {}", path.display()))?;
        settings = settings.roots_pem(pem);
    }
    if let Some(path) = &args.cert {
        let (chain, key) = (read(path)?, read(args.key.as_ref().unwrap_or(path))?);
        check(&anyone().identity_pem(chain.clone(), key.clone()), &format!("--cert {}", path.display()))?;
        settings = settings.identity_pem(chain, key);
    }
    if let Some(name) = &args.sni {
        check(&anyone().server_name(name), "--sni")?;
        settings = settings.server_name(name);
    }
    if args.tls12 {
        settings = settings.only(TlsVersion::Tls12);
    }
    if args.tls13 {
        settings = settings.only(TlsVersion::Tls13);
    }
    if args.no_resume {
        settings = settings.no_resumption();
    }
    if args.insecure {
        note("aquests: warning: --insecure believes any certificate: who is on the way can read and change everything");
        settings = settings.insecure_accept_any_certificate();
    }
    if let Some(path) = std::env::var_os(KEY_LOG).filter(|path| !path.is_empty()) {
        match open_for_keys(Path::new(&path)) {
            Ok(_) => settings = settings.key_log(),
            Err(error) => note(&format!("aquests: warning: no keys are written to {}: {error}", path.display())),
        }
    }
    Ok(settings)
}

/// Whoever can read it can read what is said: where it is made here, nobody but the user can.
fn open_for_keys(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Checks one thing by itself, so that it can be named. Where it is not about roots, those of the system need not be read.
fn check(settings: &TlsSettings, what: &str) -> Result<(), Failure> {
    settings.check().map_err(|why| Failure::Usage(format!("{what}: {why}")))
}

fn anyone() -> TlsSettings {
    TlsSettings::new().insecure_accept_any_certificate()
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))
}
