//! What `aquests fetch` prints of PostgreSQL: on a terminal the tables of `psql`, elsewhere CSV or JSON, row by row as they
//! come. Only a table is held until it is whole, because its columns are as wide as their widest value. Knows no client.

use std::io::{self, Write};

use aquests::Flow;
use aquests::postgres::fmt::{Csv, Json, write_error, write_table};
use aquests::postgres::{Part, ResultSet, ServerError};
use serde_json::json;

use super::printer::End;
use crate::output::{Reader, Sink, note, quoted};

/// How rows look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Csv,
    Json,
}

/// So much is printed at once.
const ENOUGH: usize = 64 << 10;

/// Prints results in the order in which they come.
pub(super) struct Results {
    writer: Writer,
    /// A row of names stands above what servers say to who listens.
    headed: bool,
    /// What a statement copied was printed.
    copied: bool,
    /// What was asked, for errors that point into it.
    sql: Option<String>,
    verbose: bool,
    /// Something was not done.
    pub(super) failed: bool,
    /// Notifications that may still come.
    pub(super) left: Option<u64>,
    /// Why no more come.
    pub(super) lost: Option<String>,
}

enum Writer {
    Table(Out, Option<ResultSet>),
    Csv(Csv<Out>),
    Json(Json<Out>),
}

/// What was written and is to be printed.
struct Out {
    sink: Sink,
    bytes: Vec<u8>,
    end: Option<End>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is long already is not copied once more.
        if bytes.len() >= ENOUGH {
            self.print();
            self.pass(bytes);
            return Ok(bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= ENOUGH {
            self.print();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.print();
        Ok(())
    }
}

impl Out {
    fn print(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        self.pass(&bytes);
        bytes.clear();
        self.bytes = bytes;
    }

    fn pass(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.end.is_some() {
            return;
        }
        match self.sink.write(bytes) {
            Ok(Reader::There) => {}
            Ok(Reader::Gone) => self.end = Some(End::ReaderGone),
            Err(failure) => self.end = Some(End::Failed(failure)),
        }
    }
}

impl Results {
    pub(super) fn new(form: Form, left: Option<u64>, verbose: bool) -> Self {
        let out = Out { sink: Sink::Stdout, bytes: Vec::with_capacity(ENOUGH), end: None };
        let writer = match form {
            Form::Table => Writer::Table(out, None),
            Form::Csv => Writer::Csv(Csv::new(out)),
            Form::Json => Writer::Json(Json::lines(out)),
        };
        Self { writer, headed: false, copied: false, sql: None, verbose, failed: false, left, lost: None }
    }

    /// Prints there.
    pub(super) fn print_to(&mut self, sink: Sink) {
        self.out().sink = sink;
    }

    /// Errors point into this.
    pub(super) fn asked(&mut self, sql: String) {
        self.sql = Some(sql);
    }

    fn out(&mut self) -> &mut Out {
        match &mut self.writer {
            Writer::Table(out, _) => out,
            Writer::Csv(csv) => csv.get_mut(),
            Writer::Json(json) => json.get_mut(),
        }
    }

    /// A part of what comes of what was asked.
    pub(super) fn part(&mut self, part: Part<'_>) -> io::Result<Flow> {
        match (part, &mut self.writer) {
            (Part::Columns(columns), Writer::Table(_, set)) => *set = Some(ResultSet::with_columns(columns)),
            (Part::Columns(columns), Writer::Csv(csv)) => csv.header(columns)?,
            (Part::Row(row), Writer::Table(_, Some(set))) => set.push(&row),
            (Part::Row(row), Writer::Csv(csv)) => csv.row(&row)?,
            (Part::Row(row), Writer::Json(json)) => json.row(&row)?,
            (Part::Copied(bytes), _) => {
                self.copied = true;
                self.out().write_all(bytes)?;
            }
            (Part::Done(tag), _) => self.done(tag)?,
            (Part::Notice(notice), _) => self.complain(notice),
            _ => {}
        }
        Ok(if self.out().end.is_some() { Flow::Cancel } else { Flow::Continue })
    }

    fn done(&mut self, tag: &str) -> io::Result<()> {
        let copied = std::mem::take(&mut self.copied);
        if let Writer::Table(out, set) = &mut self.writer {
            let set = set.take();
            match &set {
                // Which looks like a statement without rows otherwise.
                Some(set) if set.columns().is_empty() && set.is_empty() => write!(out, "--\n(0 rows)\n\n")?,
                Some(set) => write_table(&mut *out, set)?,
                None => {}
            }
            // As `psql`: where there were rows, what changed them still tells how many there are, and what copied says nothing.
            let changes = ["INSERT", "UPDATE", "DELETE", "MERGE"].iter().any(|word| tag.starts_with(word));
            if !tag.is_empty() && (changes || set.is_none() && !copied) {
                let tag = tag.escape_debug().to_string();
                writeln!(self.out(), "{tag}")?;
            }
            // Who looks at it waits for it.
            self.flush();
        }
        if self.verbose && !tag.is_empty() {
            self.say(&format!("< {}", tag.escape_debug()));
        }
        Ok(())
    }

    /// The server told something to who listens.
    pub(super) fn notified(&mut self, process: u32, channel: &str, payload: &str) {
        if self.left == Some(0) {
            return;
        }
        let written = match &mut self.writer {
            Writer::Table(out, _) => {
                let payload = payload.escape_debug();
                let with = if payload.clone().next().is_some() {
                    format!(" with payload \"{payload}\"")
                } else {
                    String::new()
                };
                let channel = channel.escape_debug();
                writeln!(
                    out,
                    "Asynchronous notification \"{channel}\"{with} received from server process with PID {process}."
                )
            }
            Writer::Csv(csv) => {
                let out = csv.get_mut();
                let head = if std::mem::replace(&mut self.headed, true) { "" } else { "channel,payload,pid\r\n" };
                write!(out, "{head}{},{},{process}\r\n", quoted(channel), quoted(payload))
            }
            Writer::Json(writer) => {
                writeln!(writer.get_mut(), "{}", json!({ "channel": channel, "payload": payload, "pid": process }))
            }
        };
        // Writing to memory cannot fail.
        drop(written);
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        // Who reads it waits for it.
        self.flush();
    }

    /// What the server said when it did not do as it was told: behind what came before.
    pub(super) fn error(&mut self, error: &ServerError) {
        // As `psql`, which draws no half of a table.
        if let Writer::Table(_, set) = &mut self.writer {
            *set = None;
        }
        self.failed = true;
        self.complain(error);
    }

    /// Says what the server says on standard error, after what was printed before it.
    pub(super) fn complain(&mut self, error: &ServerError) {
        self.flush();
        let mut lines = Vec::new();
        // Writing to memory cannot fail.
        let _ = write_error(&mut lines, error, self.sql.as_deref());
        note(String::from_utf8_lossy(&lines).trim_end_matches('\n'));
    }

    /// Something did not work, which is said after what was printed before it.
    pub(super) fn fail(&mut self, words: &str) {
        self.failed = true;
        self.say(words);
    }

    /// Says something on standard error, after what was printed before it.
    pub(super) fn say(&mut self, words: &str) {
        self.flush();
        note(words);
    }

    pub(super) fn flush(&mut self) {
        self.out().print();
    }

    /// Why nothing more can be printed, if that is so.
    pub(super) fn end(&mut self) -> Option<End> {
        self.out().end.take()
    }
}
