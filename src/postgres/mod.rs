//! PostgreSQL as a program asks it: where the server is and who one is there, statements and their parameters as values, and
//! rows as types of Rust. How bytes travel, and when a statement is sent, is the client's business and never belongs here.
//!
//! [`Postgres`] says where and who, [`Statement`] what, [`Results`] what came of it. `settings` reads what people write for
//! libpq, `hosts` knows which of several servers is next, `statement` the order of the messages, `own` the types that are
//! not built in, `results` keeps what came, `text` and `fmt` turn it into words, and `copy` is rows in the binary format of
//! COPY.
//!
//! ```no_run
//! use aquests::postgres::Postgres;
//! use aquests::{BoxError, Client, Error, Flow, Request};
//!
//! let db = Postgres::parse("postgres://test:1111@one,two/mydb?target_session_attrs=read-write")?;
//! let mut client = Client::builder().workers(4).build()?;
//!
//! // Statements with values are prepared once on each connection, and their rows come in binary.
//! for low in [5, 8] {
//!     client.send(db.execute("SELECT city, prcp FROM weather WHERE temp_lo > $1", (low,)))?;
//! }
//! client.fetch_all_with(|_, outcome| {
//!     // An error of the server is an answer; this turns it into one of Rust.
//!     for row in outcome.into_result()?.into_results().into_result()?.rows() {
//!         println!("{}: {:?}", row.try_get::<String>("city")?, row.try_get::<Option<f32>>(1)?);
//!     }
//!     Ok::<_, BoxError>(())
//! })?;
//!
//! // What belongs together goes through one connection.
//! let session = client.open(&db)?;
//! session.send(db.query("BEGIN"))?;
//! session.send(db.execute("UPDATE weather SET temp_lo = temp_lo - $1", (2,)))?;
//! session.send(db.query("COMMIT"))?;
//!
//! // Rows as they come, and COPY both ways, keep nothing in memory.
//! let all = db.query("SELECT * FROM weather");
//! client.send(Request::from(all).on_row(|row| {
//!     println!("{}", row.try_get::<String>("city")?);
//!     Ok::<_, Error>(Flow::Continue)
//! }))?;
//! client.send(Request::from(db.copy_in("COPY weather FROM STDIN WITH (FORMAT csv)")).body_file("weather.csv"))?;
//! client.send(Request::from(db.query("COPY weather TO STDOUT")).to_file("weather.txt"))?;
//! client.fetch_all()?;
//! # Ok::<(), Error>(())
//! ```
//!
//! # Connections
//!
//! Statements sent to a [`Client`](crate::Client) run on as many connections as it has workers, [several at
//! once](Postgres::pipeline) on each, and in no order among each other. Those of a [`Session`](crate::Session) run on one, in
//! order. A statement that leaves a transaction open outside of a session is an error, and the transaction is taken back.
//! The connection of a session that is dropped is closed, with what the server kept for it: temporary tables, settings,
//! channels.
//!
//! Of several hosts the first is tried that lets us in and is of the [kind](Target) that is wanted, and later connections
//! begin with it. A host that cannot be reached, is starting up, full, or another kind is followed by the next; a login that
//! fails is not. Errors name all that were tried. The login is a part of connecting, and has its time limit
//! ([`Postgres::connect_timeout`]).
//!
//! Nothing is sent twice, but what the server provably did not begin: what stood behind a statement with which its process
//! ended (and not a pooler before it, whose server may work on), and
//! a prepared statement that was not there any more, or had another result by now. Outside of a transaction such a statement
//! is prepared again and run once more; in a session only where nothing was sent behind it.
//!
//! Rows come one by one, and [held](crate::Flow::Hold) they wait at the server: whoever does so keeps a connection, and
//! nothing else runs on it meanwhile. A [`Portal`] brings them in portions, between which its transaction goes on.
//!
//! # Formats
//!
//! [`Postgres::query`] brings text, [`Postgres::execute`] binary where the type is known here. Both read as the same types
//! of Rust: [`Row`] says which. As text come also in binary statements: `money`, `tsvector`, `tsquery`, `aclitem` and others
//! that have no type of Rust, what is made of those, and types of extensions but `citext`, `hstore` and those of `ltree`,
//! unless they are [named](Postgres::binary_types).
//!
//! # Types of one's own
//!
//! Enums, domains, composites, ranges, multiranges and arrays of those are looked up in the catalogues (`pg_type`), by one
//! question in front of the first statement that has them, on its connection and in its transaction: see [`LookUp`]. With
//! the derives of `postgres-types` they are types of a program:
//!
//! ```no_run
//! # use aquests::{Client, postgres::Postgres};
//! use postgres_types::{FromSql, ToSql};
//!
//! #[derive(Debug, FromSql, ToSql)]
//! #[postgres(name = "mood", rename_all = "lowercase")]
//! enum Mood {
//!     Happy,
//!     Sad,
//! }
//!
//! let db = Postgres::at("127.0.0.1", "mydb").user("test", "1111");
//! let mut client = Client::new()?;
//! client.send(db.execute("SELECT mood FROM people WHERE mood = ANY($1)", (vec![Mood::Happy, Mood::Sad],)))?;
//! client.fetch_all_with(|_, outcome| {
//!     outcome.into_result()?.rows().try_for_each(|row| row.try_get::<Mood>("mood").map(|mood| println!("{mood:?}")))
//! })?;
//! # Ok::<(), aquests::Error>(())
//! ```
//!
//! Where they cannot be asked, values are text. Only in a transaction, which the failed question ends, and where that was
//! cancelled, it is an error of its statement. A server without such catalogues, or that does not let us read them, is not
//! asked again, and not for types either of which it cannot say what it has (SQLSTATE class 22).
//!
//! # Limits
//!
//! | what | default | setter | source |
//! |---|---|---|---|
//! | bytes of one message | 64 MiB | [`Limits::message`] | what a client collects; libpq takes 1 GiB |
//! | iterations of SCRAM | 100,000 | [`Limits::iterations`] | RUSTSEC-2026-0179; servers have 4,096 |
//! | bytes of rows, notices and errors that are kept of one request | 64 MiB | [`Builder::reply_limit`](crate::Builder::reply_limit) | as for bodies |
//! | statements kept prepared on a connection | 64 | [`Postgres::prepared`] | there |
//! | requests on their way on a connection | 32 | [`Postgres::pipeline`] | there |
//! | bytes of a row that is copied in binary | 64 MiB | [`BinaryCopyReader::limit`] | as for messages |
//! | memory that is taken by what the catalogues say for one statement, in bytes | 4 MiB | none | the longest enums come to some hundred thousand; beyond that it is text |
//! | bytes of it that are read | 64 MiB | none | as for messages |
//! | depth of a type, and types that it is made of | 64, 65,536 | none | a column of the server has at most 1,600 in a row; beyond that it is text |
//! | bytes of text of a value that is made of others | 64 times those that came, and 256 KiB | none | quotes in quotes double at each level; the longest number has 147,455 digits |
//! | types of its own that are remembered of a database | 1,024, or 16 MiB of memory | none | then all are looked up anew |
//! | servers that are told at once to stop a statement | 64, for 5 s each | none | a storm of timeouts is no attack |
//! | servers whose keys and certificates are remembered | 1,024 | none | then all are read anew |

mod binary;
mod copy;
pub mod fmt;
mod hosts;
mod own;
mod parameters;
mod results;
mod row;
mod server;
mod server_error;
mod settings;
mod statement;
#[cfg(test)]
mod testing;
mod text;

pub use copy::{BinaryCopyBody, BinaryCopyReader, BinaryCopyWriter};
pub(crate) use hosts::{Hosts, Next, Setback, Way};
pub(crate) use own::{OwnTypes, Remembered};
pub use parameters::{BoxedValue, Parameters, ToParams};
pub use postgres_types as types;
pub use postgres_types::{FromSql, FromSqlOwned, ToSql, Type};
pub(crate) use results::{Collected, Stopped, Taker};
pub use results::{Part, ResultSet, Results};
pub use row::{Column, Index, Row, Value};
pub(crate) use server::{Server, WHAT_IT_IS};
pub use server_error::{ServerError, sqlstate};
#[cfg(feature = "load")]
pub(crate) use settings::Host;
pub use settings::{ChannelBinding, LoadBalance, Postgres, SslMode, SslNegotiation, Target};
pub(crate) use settings::{Place, Secret, Settings};
pub(crate) use statement::{Cache, Run, Then};
pub use statement::{LookUp, Portal, Statement};

pub use crate::protocols::postgres::{Limits, ProtocolVersion, Transaction};
