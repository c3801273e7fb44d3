//! Portals: statements whose rows are fetched in portions, as values like other statements. In which order they are sent is
//! the business of the program.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::cache::Prepared;
use super::{Asked, LookUp, Statement};
use crate::postgres::parameters::Parameters;

/// A statement whose rows are fetched in portions, with whatever else between them: in a transaction of a
/// [`Session`](crate::Session), whose end is also that of the portal. PostgreSQL, "Extended Query".
///
/// ```no_run
/// # use aquests::{Client, postgres::Postgres};
/// # let db = Postgres::at("127.0.0.1", "mydb").user("test", "1111");
/// # let mut client = Client::new()?;
/// let session = client.open(&db)?;
/// let portal = db.execute("SELECT id FROM jobs WHERE state = $1 ORDER BY id", ("new",)).portal();
/// session.send(db.query("BEGIN"))?;
/// session.send(portal.open())?;
/// session.send(portal.fetch(100))?;
/// client.fetch_all_with(|_, outcome| {
///     let results = outcome.into_result()?.into_results();
///     for row in results.rows() {
///         session.send(db.execute("UPDATE jobs SET state = 'old' WHERE id = $1", (row.try_get::<i64>("id")?,)))?;
///     }
///     if results.is_suspended() {
///         session.send(portal.fetch(100))?;
///     }
///     Ok::<_, aquests::Error>(())
/// })?;
/// session.send(portal.close())?;
/// session.send(db.query("COMMIT"))?;
/// client.fetch_all()?;
/// # Ok::<(), aquests::Error>(())
/// ```
///
/// Where nothing comes between, there is no need of one: rows that are [held](crate::Flow::Hold) in
/// [`on_row`](crate::Request::on_row) wait at the server.
///
/// The portal has a name of its own, and there may be several at once. All can be sent at once, in order: an error of one
/// fails the transaction, and with it what is behind. In another session it is unknown.
#[derive(Clone)]
pub struct Portal {
    statement: Statement,
    bound: Arc<Bound>,
}

/// What the statements of a portal know of each other.
pub(super) struct Bound {
    name: String,
    /// What its rows are, once it was opened.
    described: Mutex<Option<Arc<Prepared>>>,
}

impl Bound {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("aquests_{number}"), described: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// It is made of this.
    pub(super) fn describe(&self, prepared: &Arc<Prepared>) {
        *self.described.lock().unwrap_or_else(PoisonError::into_inner) = Some(prepared.clone());
    }

    pub(super) fn described(&self) -> Option<Arc<Prepared>> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Statement {
    /// A portal for its rows, which [`Portal::open`] makes.
    pub fn portal(&self) -> Portal {
        Portal { statement: self.clone(), bound: Arc::new(Bound::new()) }
    }
}

impl Portal {
    /// Makes it: the statement is prepared and given its values. Its result has no rows. In a transaction it may be opened
    /// once; in the next one again.
    pub fn open(&self) -> Statement {
        let (parameters, types, keep, look_up) = match &self.statement.asked {
            Asked::Typed { parameters, types, keep, look_up, .. } => {
                (parameters.clone(), types.clone(), *keep, *look_up)
            }
            // Without values.
            _ => (Parameters::default(), Arc::default(), true, LookUp::Once),
        };
        self.statement(Asked::Typed { parameters, types, keep, look_up, portal: Some(self.bound.clone()) })
    }

    /// The next rows, so many at most, and all for 0. Whether there may be more is said by
    /// [`Results::is_suspended`](crate::postgres::Results::is_suspended); behind the last there are none.
    pub fn fetch(&self, rows: u32) -> Statement {
        self.statement(Asked::Fetch { portal: self.bound.clone(), rows })
    }

    /// Forgets it, before the transaction does.
    pub fn close(&self) -> Statement {
        self.statement(Asked::Close(self.bound.clone()))
    }

    fn statement(&self, asked: Asked) -> Statement {
        Statement { settings: self.statement.settings.clone(), sql: self.statement.sql.clone(), asked }
    }
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal").field("name", &self.bound.name).field("statement", &self.statement).finish()
    }
}
