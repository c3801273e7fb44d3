//! PostgreSQL as a program asks it: where the server is and who one is there, statements and their parameters as values, and
//! rows as types of Rust. How bytes travel, and when a statement is sent, is the client's business and never belongs here.
//!
//! [`Postgres`] says where and who, [`Statement`] what, [`Results`] what came of it. `settings` reads what people write for
//! libpq, `statement` knows the order of the messages, `results` keeps what came, `text` and `fmt` turn it into words.

mod binary;
pub mod fmt;
mod hosts;
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

pub(crate) use hosts::{Hosts, Next, Setback, Way};
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
pub use statement::Statement;
pub(crate) use statement::{Cache, Run, Then};

pub use crate::protocols::postgres::{Limits, Transaction};
