//! What a load of PostgreSQL sends: one statement, the values of its parameters from templates.

use std::io;

use super::plan::{Place, Plan, Turns};
use super::template::Template;
use crate::error::Error;
use crate::postgres;
use crate::protocols::postgres::{End, Format, Parameter, Request, Step};
use crate::reactor::{Address, Reason};
use crate::wire::Wire;

/// How statements are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Prepared once on each connection, and run with values.
    #[default]
    Prepared,
    /// Prepared and run with values each time.
    Extended,
    /// As text, with the values written into it as quoted literals.
    Simple,
}

/// The value of a statement's parameter: a text, which may be a template, or NULL.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Value(Option<Vec<u8>>);

impl Value {
    /// NULL.
    pub const NULL: Self = Self(None);
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(Some(text.into()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(Some(text.into()))
    }
}

impl<T: Into<Vec<u8>>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        Self(value.map(Into::into))
    }
}

/// It may be a secret.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "(text)" } else { "NULL" })
    }
}

/// What is asked, and of whom.
#[derive(Clone, Debug)]
pub(super) struct Postgres {
    db: postgres::Postgres,
    asked: Secret,
    mode: Mode,
}

/// Values may be secrets, and so may what stands in the text.
#[derive(Clone)]
struct Secret {
    sql: String,
    values: Vec<Value>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a statement with {} values", self.values.len())
    }
}

impl Postgres {
    pub(super) fn new<I>(db: &postgres::Postgres, sql: &str, values: I, mode: Mode) -> Result<Self, Error>
    where
        I: IntoIterator<Item: Into<Value>>,
    {
        db.query(sql).check()?;
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        if values.len() > usize::from(u16::MAX) {
            return Err(Error::invalid("a statement takes at most 65,535 values"));
        }
        Ok(Self { db: db.clone(), asked: Secret { sql: sql.to_owned(), values }, mode })
    }

    /// The first host: a load is for one server.
    fn first(&self) -> Option<&postgres::Host> {
        self.db.settings().hosts.first()
    }

    pub(super) fn host(&self) -> Option<(&str, u16)> {
        match self.first()? {
            postgres::Host { place: postgres::Place::Host { name, .. }, port, .. } => Some((name, *port)),
            postgres::Host { place: postgres::Place::Socket(_), .. } => None,
        }
    }

    pub(super) fn place(&self) -> Place {
        let Some(host) = self.first() else { return Place::Name(String::new(), 0) };
        match (&host.place, host.socket()) {
            (_, Some(path)) => Place::Address(Address::Unix(path)),
            (postgres::Place::Host { address: Some(ip), .. }, _) => {
                Place::Address(Address::Tcp((*ip, host.port).into()))
            }
            (postgres::Place::Host { name, .. }, _) => Place::Name(name.clone(), host.port),
            (postgres::Place::Socket(folder), None) => Place::Name(folder.display().to_string(), host.port),
        }
    }

    /// The name of the server, where TLS is wanted, and whether it comes before everything else.
    #[cfg(feature = "tls")]
    pub(super) fn tls(&self, own: &crate::reactor::TlsSettings) -> Result<crate::reactor::TlsSettings, String> {
        self.db.settings().ssl.settings(own)
    }

    pub(super) fn explain(&self, reason: &Reason) -> String {
        self.db.settings().explain(reason)
    }

    /// TLS comes before the first byte.
    #[cfg(feature = "tls")]
    pub(super) fn is_direct(&self) -> bool {
        self.db.settings().is_direct()
    }

    pub(super) fn machine(&self, depth: u16, on_socket: bool) -> Result<Wire, String> {
        let mut entropy = [0; 18];
        getrandom::fill(&mut entropy).map_err(|error| io::Error::from(error).to_string())?;
        let machine = self.db.settings().machine(crate::postgres::Way::default(), on_socket, entropy, None)?;
        Ok(Wire::Postgres(Box::new(machine.pipeline(depth))))
    }

    pub(super) fn work(&self, plan: &Plan, turns: Turns) -> Result<Work, Error> {
        let mut values = Vec::new();
        for Value(value) in &self.asked.values {
            values.push(match value {
                None => None,
                Some(text) if plan.templates => Some(Template::parse(text)?),
                Some(text) => Some(Template::literal(text)),
            });
        }
        let pieces = match self.mode {
            Mode::Simple => pieces(&self.asked.sql, values.len())?,
            _ => Vec::new(),
        };
        let ends = Vec::with_capacity(values.len());
        let sql = self.asked.sql.clone();
        Ok(Work { sql, pieces, mode: self.mode, values, scratch: Vec::new(), ends, text: String::new(), turns })
    }
}

/// A piece of a statement.
#[derive(Debug)]
enum Piece {
    Text(String),
    /// A parameter, counted from 0.
    Value(usize),
}

/// Cuts a statement at its parameters, as far as they are outside of quotes and comments.
fn pieces(sql: &str, values: usize) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let (mut text, mut rest) = (String::new(), sql);
    while let Some(first) = rest.chars().next() {
        let quoted = match first {
            '\'' | '"' => rest[1..].find(first).map(|end| end + 2),
            '-' if rest.starts_with("--") => rest.find('\n').map(|end| end + 1).or(Some(rest.len())),
            '/' if rest.starts_with("/*") => rest.find("*/").map(|end| end + 2),
            _ => None,
        };
        let digits = rest[first.len_utf8()..].bytes().take_while(u8::is_ascii_digit).count();
        let used = match (quoted, first) {
            (Some(length), _) => length,
            (None, '$') if digits > 0 => {
                let number: usize = rest[1..=digits].parse().unwrap_or(usize::MAX);
                if number == 0 || number > values {
                    return Err(Error::invalid(format!("the statement has ${number}, and there are {values} values")));
                }
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Value(number - 1));
                rest = &rest[1 + digits..];
                continue;
            }
            _ => first.len_utf8(),
        };
        text.push_str(&rest[..used]);
        rest = &rest[used..];
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// The statements of one thread, their values written one after the other in the same memory.
#[derive(Debug)]
pub(super) struct Work {
    sql: String,
    pieces: Vec<Piece>,
    mode: Mode,
    /// None is NULL.
    values: Vec<Option<Template>>,
    scratch: Vec<u8>,
    /// Where values end in it.
    ends: Vec<usize>,
    text: String,
    turns: Turns,
}

/// So many values need no memory of their own.
const FEW: usize = 16;
/// The name of the statement on each connection.
const NAME: &str = "load";

impl Work {
    /// Hands the next statement to `send`. `first`: nothing was sent on its connection yet.
    #[inline]
    pub(super) fn send<R>(&mut self, first: bool, send: impl FnOnce(Request<'_>) -> R) -> R {
        self.scratch.clear();
        self.ends.clear();
        for value in &self.values {
            if let Some(value) = value {
                value.fill(&mut self.turns.values, &mut self.scratch);
            }
            self.ends.push(self.scratch.len());
        }
        self.turns.advance();
        if self.mode == Mode::Simple {
            self.write();
            return send(Request::Query(&self.text));
        }
        let (few, many);
        let mut start = 0;
        let mut next = |(end, value): (&usize, &Option<Template>)| {
            let text = &self.scratch[std::mem::replace(&mut start, *end)..*end];
            Parameter { value: value.is_some().then_some(text), format: Format::Text }
        };
        let ends = self.ends.iter().zip(&self.values);
        let parameters: &[Parameter<'_>] = if self.ends.len() <= FEW {
            let mut all = [Parameter::NULL; FEW];
            all.iter_mut().zip(ends).for_each(|(to, end)| *to = next(end));
            few = all;
            &few[..self.ends.len()]
        } else {
            many = ends.map(next).collect::<Vec<_>>();
            &many
        };
        let name = if self.mode == Mode::Prepared { NAME } else { "" };
        let steps = [
            // One that failed before may be there, or not.
            Step::CloseStatement(name),
            Step::Parse { name, sql: &self.sql, types: &[] },
            Step::Bind { portal: "", statement: name, parameters, results: &[] },
            Step::Execute { portal: "", rows: 0 },
        ];
        let steps = match self.mode {
            Mode::Prepared if first => &steps[..],
            Mode::Prepared => &steps[2..],
            _ => &steps[1..],
        };
        send(Request::Steps { steps, end: End::Sync })
    }

    /// Writes the statement with its values as literals.
    fn write(&mut self) {
        self.text.clear();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => self.text.push_str(text),
                Piece::Value(at) if self.values[*at].is_none() => self.text.push_str("NULL"),
                Piece::Value(at) => {
                    let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
                    self.text.push('\'');
                    for character in String::from_utf8_lossy(&self.scratch[start..self.ends[*at]]).chars() {
                        // PostgreSQL, "String Constants": with standard_conforming_strings, as it is by default.
                        if character == '\'' {
                            self.text.push('\'');
                        }
                        self.text.push(character);
                    }
                    self.text.push('\'');
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_cut_at_its_parameters_and_nowhere_else() {
        let sql = "SELECT '$1', \"$2\", $2 /* $1 */, $1 -- $1\n, $10$";
        let shown: String = pieces(sql, 10)
            .unwrap()
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Value(at) => format!("<{at}>"),
            })
            .collect();
        assert_eq!(shown, "SELECT '$1', \"$2\", <1> /* $1 */, <0> -- $1\n, <9>$");
        assert!(pieces("SELECT $3", 2).is_err());
        assert!(pieces("SELECT $0", 2).is_err());
    }
}
