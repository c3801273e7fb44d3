//! Where words go: reports to a file or to standard output, complaints to standard error, and the exit code. A reader who
//! went away is not an error, and nothing here panics because of one.

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

impl Sink {
    /// Opens the file now, so that a result is not lost because of a bad path later.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Sink::Stdout) };
        match File::create(path) {
            Ok(file) => Ok(Sink::File(file, path.to_owned())),
            Err(error) => Err(Failure::Run(format!("cannot write to {}: {error}", path.display()))),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Sink::Stdout => print_bytes(bytes),
            Sink::File(file, path) => file
                .write_all(bytes)
                .map_err(|error| Failure::Run(format!("cannot write to {}: {error}", path.display()))),
        }
    }
}

/// Prints to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Run(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A line on standard error. If nobody can read it, there is nobody to tell.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
