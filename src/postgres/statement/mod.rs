//! Statements as values, and how they run on a connection: `run` is the order of the messages, `cache` what a connection
//! keeps prepared, `portal` what is fetched in portions. Whoever drives it owns the connection and decides when; nothing here sends or waits.

mod cache;
mod portal;
mod run;

use std::fmt;
use std::sync::Arc;

pub(crate) use cache::Cache;
use portal::Bound;
pub use portal::Portal;
use postgres_types::Type;
pub(crate) use run::{Run, Then};

use super::parameters::{Parameters, ToParams};
use super::settings::{Postgres, Settings};
use crate::error::Error;

/// Something to ask a server. Making one never fails: what is wrong with it is told when it is sent.
#[derive(Clone)]
pub struct Statement {
    settings: Arc<Settings>,
    sql: Arc<str>,
    asked: Asked,
}

#[derive(Clone)]
enum Asked {
    /// Any number of statements, values as text.
    Simple,
    /// One COPY, whose data is the body of the request.
    CopyIn,
    /// One statement with values, whose rows are brought, or left to a portal.
    Typed { parameters: Parameters, types: Arc<[u32]>, keep: bool, look_up: LookUp, portal: Option<Arc<Bound>> },
    /// Rows of a portal, so many at most.
    Fetch { portal: Arc<Bound>, rows: u32 },
    /// The end of one.
    Close(Arc<Bound>),
}

/// When types that are not built in are looked up in the catalogues (`pg_type`), so that their values travel in binary, and
/// are values of Rust's types: enums, domains, composites, ranges, arrays of those, and what extensions bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LookUp {
    /// Once for all connections to a database, with the first statement that has them: one more question on its connection,
    /// before it runs. What is text already needs none: a `String` as a parameter is taken by every type.
    ///
    /// What is known is forgotten when this client alters something (`ALTER …`), when values do not fit it, and with the
    /// last connection to the database. In rows that shows of composites whose fields are others than they were, and of
    /// enums with up to 64 labels where one comes that is none of these: such a value can be had as text, where its parts
    /// are known, and the next statement looks anew.
    #[default]
    Once,
    /// Also where they are known: somebody else may have changed them (`ALTER TYPE … RENAME VALUE`), and the first value must
    /// be read right.
    Anew,
    /// They are not. What is not known already travels as text.
    Never,
}

impl Postgres {
    /// Any number of statements with semicolons between, without values: a result for each, values as text. They are one
    /// transaction, unless they say otherwise. PostgreSQL, "Simple Query".
    ///
    /// What a statement sets on its connection (`SET`, `LISTEN`, `SET ROLE`, temporary tables, advisory locks) stays there
    /// for whoever is given that connection next, unless it was sent through a [`Session`](crate::Session), which has one
    /// of its own: or set it `LOCAL`, or for all with [`Postgres::parameter`].
    pub fn query(&self, sql: impl Into<String>) -> Statement {
        Statement { settings: self.settings().clone(), sql: sql.into().into(), asked: Asked::Simple }
    }

    /// One statement with values for `$1`, `$2`, …, which are never mixed into its text. It is prepared when a connection
    /// first sees it, and stays so: see [`prepared`](Self::prepared). PostgreSQL, "Extended Query".
    ///
    /// Values must be of the types that the server wants: an `i32` is no `int8`. What is text is taken by every type, as one
    /// would write it in quotes.
    ///
    /// ```
    /// # let db = aquests::postgres::Postgres::at("127.0.0.1", "mydb").user("test", "1111");
    /// let statement = db.execute("SELECT city, prcp FROM weather WHERE city = $1 AND temp_lo < $2", ("Plzeň", 7));
    /// ```
    ///
    /// Types that are not built in (enums, composites, domains, ranges, arrays of those) are [looked up](LookUp) when the
    /// first statement has them. With `#[derive(FromSql, ToSql)]` of `postgres-types` they are types of Rust, in both
    /// directions; text is taken and had nevertheless: `row.get::<String>(…)`.
    pub fn execute(&self, sql: impl Into<String>, parameters: impl ToParams) -> Statement {
        let asked = Asked::Typed {
            parameters: parameters.to_params(),
            types: Arc::default(),
            keep: true,
            look_up: LookUp::Once,
            portal: None,
        };
        Statement { settings: self.settings().clone(), sql: sql.into().into(), asked }
    }

    /// `COPY … FROM STDIN`: what is copied is the body of the request, from wherever bodies come
    /// ([`Request::body`](crate::Request::body), [`body_reader`](crate::Request::body_reader),
    /// [`body_file`](crate::Request::body_file), [`body_writer`](crate::Request::body_writer)), in the format that the
    /// statement names: text, CSV or binary. It is sent as the server takes it and never kept whole, and nothing else is on
    /// its connection meanwhile. A body that fails ends the COPY, and nothing of it is in the table. PostgreSQL, "COPY".
    ///
    /// ```
    /// # let db = aquests::postgres::Postgres::at("127.0.0.1", "mydb").user("test", "1111");
    /// let statement = db.copy_in("COPY weather (city, prcp) FROM STDIN WITH (FORMAT csv)");
    /// let request = aquests::Request::from(statement).body("Plzeň,0.25\nPraha,0\n");
    /// ```
    ///
    /// The other direction needs no word of its own: what `COPY … TO STDOUT` brings to a [`query`](Self::query) goes to
    /// [`Request::on_chunk`](crate::Request::on_chunk) or [`Request::to_file`](crate::Request::to_file), piece by piece
    /// and cut anywhere, or else is kept as [`ResultSet::copied`](super::ResultSet::copied).
    ///
    /// In the binary format, [`BinaryCopyBody`](super::BinaryCopyBody) and [`BinaryCopyWriter`](super::BinaryCopyWriter) make
    /// the body from values, and [`BinaryCopyReader`](super::BinaryCopyReader) makes rows of what comes.
    pub fn copy_in(&self, sql: impl Into<String>) -> Statement {
        Statement { settings: self.settings().clone(), sql: sql.into().into(), asked: Asked::CopyIn }
    }
}

impl Statement {
    /// Whether connections keep it prepared: they do unless told otherwise. Without effect on [`Postgres::query`].
    #[must_use]
    pub fn prepare(mut self, prepare: bool) -> Self {
        if let Asked::Typed { keep, .. } = &mut self.asked {
            *keep = prepare;
        }
        self
    }

    /// The types of the first values, where the server cannot know them: `SELECT $1`. Without effect on
    /// [`Postgres::query`].
    #[must_use]
    pub fn types(mut self, named: &[Type]) -> Self {
        if let Asked::Typed { types, .. } = &mut self.asked {
            *types = named.iter().map(Type::oid).collect();
        }
        self
    }

    /// When types that are not built in are looked up: [`LookUp::Once`] unless set. Without effect on [`Postgres::query`].
    #[must_use]
    pub fn look_up(mut self, when: LookUp) -> Self {
        if let Asked::Typed { look_up, .. } = &mut self.asked {
            *look_up = when;
        }
        self
    }

    pub(crate) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What reports call it.
    pub(crate) fn name(&self) -> &'static str {
        match &self.asked {
            Asked::Simple => "QUERY",
            Asked::CopyIn => "COPY",
            Asked::Typed { portal: Some(_), .. } => "OPEN",
            Asked::Typed { .. } => "EXECUTE",
            Asked::Fetch { .. } => "FETCH",
            Asked::Close(_) => "CLOSE",
        }
    }

    /// It takes a body.
    pub(crate) fn copies_in(&self) -> bool {
        matches!(self.asked, Asked::CopyIn)
    }

    /// The text, for whoever asked.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// What can be known before it is sent.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.settings.check()?;
        if self.sql.contains('\0') {
            return Err(Error::invalid("a statement with NUL"));
        }
        match &self.asked {
            Asked::Typed { parameters, types, .. } if parameters.len().max(types.len()) > usize::from(u16::MAX) => {
                Err(Error::invalid("a statement takes at most 65,535 values"))
            }
            _ => Ok(()),
        }
    }

    /// What runs it on one connection.
    pub(crate) fn run(&self) -> Run {
        Run::new(self.clone())
    }
}

/// Neither the text nor the values: both may have secrets in them.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.asked {
            Asked::Simple => f.write_str("Statement(simple)"),
            Asked::CopyIn => f.write_str("Statement(copy)"),
            Asked::Typed { parameters, .. } => write!(f, "Statement({} values)", parameters.len()),
            Asked::Fetch { rows, .. } => write!(f, "Statement(fetch {rows})"),
            Asked::Close(_) => f.write_str("Statement(close)"),
        }
    }
}

#[cfg(test)]
mod tests;
