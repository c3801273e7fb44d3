//! A PostgreSQL for the examples: the one that the first argument names, or a new one in a folder of its own, for which
//! the programs of PostgreSQL must be installed.

#[path = "../../tests/support/mod.rs"]
mod servers;

use aquests::postgres::Postgres;
use servers::PostgresServer;

/// A database, and the server that goes with it if it was started here.
pub(crate) struct Database {
    pub(crate) db: Postgres,
    _server: Option<PostgresServer>,
}

pub(crate) fn open() -> Result<Database, aquests::Error> {
    if let Some(url) = std::env::args().nth(1) {
        return Ok(Database { db: Postgres::parse(&url)?, _server: None });
    }
    let server = PostgresServer::start();
    let db = Postgres::at(&server.address().to_string(), PostgresServer::DATABASE);
    Ok(Database { db: db.user("scram", PostgresServer::PASSWORD), _server: Some(server) })
}
