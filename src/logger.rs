//! Where the line about each outcome goes. Nothing else is logged, and no line holds a header, a body or a query.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::SystemTime;

use humantime::format_rfc3339_millis;

/// Takes one line per outcome.
#[derive(Debug)]
pub struct Logger {
    sink: Sink,
}

enum Sink {
    Nowhere,
    Log,
    File(BufWriter<File>),
    Function(Box<dyn FnMut(fmt::Arguments<'_>) + Send>),
}

impl Default for Logger {
    /// Through the [`log`] crate.
    fn default() -> Self {
        Self { sink: Sink::Log }
    }
}

impl Logger {
    /// Nothing is logged.
    pub fn none() -> Self {
        Self { sink: Sink::Nowhere }
    }

    /// Appends to a file, each line with the time (RFC 3339, UTC). Folders on the way to it are made.
    pub fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { sink: Sink::File(BufWriter::new(file)) })
    }

    /// Calls a function with each line.
    pub fn function(function: impl FnMut(fmt::Arguments<'_>) + Send + 'static) -> Self {
        Self { sink: Sink::Function(Box::new(function)) }
    }

    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) {
        match &mut self.sink {
            Sink::Nowhere => {}
            Sink::Log => log::info!("{line}"),
            Sink::File(file) => {
                if let Err(error) = writeln!(file, "{} {line}", format_rfc3339_millis(SystemTime::now())) {
                    self.lost(&error);
                }
            }
            Sink::Function(function) => function(line),
        }
    }

    /// Lines must not wait in memory longer than a turn.
    pub(crate) fn flush(&mut self) {
        if let Sink::File(file) = &mut self.sink
            && let Err(error) = file.flush()
        {
            self.lost(&error);
        }
    }

    /// A file that cannot be written is said so once; requests go on.
    fn lost(&mut self, error: &io::Error) {
        self.sink = Sink::Log;
        log::error!("the log file cannot be written, lines go on here: {error}");
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sink::Nowhere => "Nowhere",
            Sink::Log => "Log",
            Sink::File(_) => "File",
            Sink::Function(_) => "Function",
        })
    }
}
