//! Where words go: reports to a file or to standard output, complaints to standard error, and the exit code. A reader
//! who went away is not an error, and nothing here panics because of one.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why the command did not do what it was asked to, in a sentence.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was asked the wrong way: exit 2.
    Usage(String),
    /// It did not work: exit 1.
    Run(String),
    /// It did not work, and everything is said: exit 1.
    Said,
    /// It was told to end before it was done, and everything is said: exit 130.
    Interrupted,
}

impl From<aquests::Error> for Failure {
    fn from(error: aquests::Error) -> Self {
        match error.kind() {
            aquests::ErrorKind::InvalidRequest => Failure::Usage(error.to_string()),
            _ => Failure::Run(error.to_string()),
        }
    }
}

/// Where a result goes.
#[derive(Debug)]
pub(crate) enum Sink {
    Stdout,
    File(File, PathBuf),
}

/// Whether anybody reads what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    Gone,
}

impl Sink {
    /// Opens the file now, so that a result is not lost because of a bad path later.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Sink::Stdout) };
        match File::create(path) {
            Ok(file) => Ok(Sink::File(file, path.to_owned())),
            Err(error) => Err(Failure::Run(format!("cannot write to {}: {error}", path.display()))),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<Reader, Failure> {
        let (result, name) = match self {
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                (stdout.write_all(bytes).and_then(|()| stdout.flush()), "standard output".to_owned())
            }
            Sink::File(file, path) => (file.write_all(bytes), path.display().to_string()),
        };
        match result {
            Ok(()) => Ok(Reader::There),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
            Err(error) => Err(Failure::Run(format!("cannot write to {name}: {error}"))),
        }
    }
}

/// What the library warns of goes where all complaints go: a password file that it leaves alone, say.
struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, about: &log::Metadata<'_>) -> bool {
        about.level() <= log::Level::Warn && about.target().starts_with("aquests")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            note(&format!("aquests: warning: {}", record.args()));
        }
    }

    fn flush(&self) {}
}

/// From now on warnings are heard. Called once in a process.
pub(crate) fn hear_warnings() {
    if log::set_logger(&Warnings).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
}

/// A line on standard error. If nobody can read it, there is nobody to tell.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A field of CSV (RFC 4180).
pub(crate) fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
