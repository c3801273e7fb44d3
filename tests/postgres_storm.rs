//! Statements of every kind to a real server, in an order that a seed decides: cancelled, late, held, in transactions that
//! are dropped, while the server hangs up on its clients. What is told of each must be so: one outcome, its own answer, and
//! in the tables what was said to be there. `AQUESTS_STORM_SEEDS` rounds (3), of which each says its seed where it fails;
//! `AQUESTS_STORM_FIRST` is the first (1).

#![cfg(feature = "postgres")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aquests::postgres::{Postgres, sqlstate};
use aquests::{Client, Error, ErrorKind, Flow, Outcome, Request, RequestId, Session};
use support::{PostgresServer, must_end};

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Numbers that look random and are not: xorshift64*.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// What a request must come to, where nothing gets in its way.
#[derive(Clone, Debug)]
enum Wanted {
    /// A row with its number, and with this one.
    Row(i32),
    /// An error whose words have its number.
    Mistake,
    /// So many rows in the table.
    Kept(u64),
    /// So many rows to a callback, which counts them.
    Streamed(u64, Arc<Mutex<u64>>),
    /// An error of this kind.
    Trouble(ErrorKind),
    /// A part of a transaction of a session, by its number.
    Part(usize, Part),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Begin,
    Insert,
    Commit,
    Other,
}

struct Asked {
    number: u64,
    wanted: Wanted,
    cancelled: bool,
    limited: bool,
}

/// What is known of a transaction.
#[derive(Default)]
struct Transaction {
    inserted: Vec<u64>,
    begun: bool,
    asked_to_commit: bool,
    committed: bool,
}

struct Storm {
    seed: u64,
    dice: Dice,
    client: Client,
    db: Postgres,
    asked: HashMap<RequestId, Asked>,
    number: u64,
    /// Rows that each number must have in the table, where that is known, and may have otherwise.
    rows: BTreeMap<u64, (Option<u64>, u64)>,
    /// Numbers of those that hold.
    held: Arc<Mutex<Vec<u64>>>,
    transactions: Vec<Transaction>,
    sessions: Vec<(Session, usize, u64)>,
    outcomes: u64,
}

impl Storm {
    fn keep(&mut self, id: RequestId, number: u64, wanted: Wanted, limited: bool) {
        if let Wanted::Kept(rows) = wanted {
            self.rows.insert(number, (None, rows));
        }
        let before = self.asked.insert(id, Asked { number, wanted, cancelled: false, limited });
        assert!(before.is_none(), "seed {}: two requests are {id}", self.seed);
    }

    /// Something for whichever connection is free.
    fn send(&mut self) {
        self.number += 1;
        let (number, n, db) = (self.number, self.number as i64, self.db.clone());
        let which = self.dice.below(8) as i32;
        let sleep = self.dice.below(8) as f64 / 1_000.0;
        let (request, wanted) = match self.dice.below(16) {
            0..3 => (db.query(format!("SELECT {n}::int8 AS n, {which} AS which")).into(), Wanted::Row(which)),
            3..7 => {
                let sql = format!("SELECT $1::int8 AS n, {which} AS which");
                (db.execute(sql, (n,)).prepare(!self.dice.one_in(5)).into(), Wanted::Row(which))
            }
            7 => (db.execute("SELECT ('x' || $1)::int8", (n.to_string(),)).into(), Wanted::Mistake),
            8 => (db.query(format!("INSERT INTO t VALUES ({n}); SELECT 'x{n}'::int8")).into(), Wanted::Mistake),
            9 => (db.execute("SELECT $1::int8", ("no number", 2)).into(), Wanted::Trouble(ErrorKind::InvalidRequest)),
            10 => (db.query("BEGIN").into(), Wanted::Trouble(ErrorKind::Closed)),
            11 => {
                let sql = format!("INSERT INTO t SELECT $1::int8 FROM pg_sleep({sleep})");
                (db.execute(sql, (n,)).into(), Wanted::Kept(1))
            }
            12 => (db.query(format!("INSERT INTO t SELECT {n} FROM pg_sleep({sleep})")).into(), Wanted::Kept(1)),
            13 => {
                let rows = self.dice.pick(&[0, 1, 2_000]);
                let text = format!("{n}\n").repeat(rows as usize);
                (Request::from(db.copy_in("COPY t FROM STDIN")).body(text), Wanted::Kept(rows))
            }
            _ => {
                let (rows, count) = (self.dice.pick(&[1, 10, 5_000]), Arc::new(Mutex::new(0)));
                let sql = "SELECT $1::int8 AS n, i::int8 FROM generate_series(1, $2) AS i";
                let (into, held, mut dice) =
                    (Arc::clone(&count), Arc::clone(&self.held), Dice::new(self.dice.below(1 << 32)));
                let request = Request::from(db.execute(sql, (n, rows as i32))).on_row(move |row| {
                    let mut count = into.lock().unwrap();
                    *count += 1;
                    assert_eq!((row.get::<i64>("n"), row.get::<i64>("i")), (n, *count as i64), "the rows of another");
                    if dice.one_in(50) {
                        held.lock().unwrap().push(number);
                        return Ok::<_, Error>(Flow::Hold);
                    }
                    Ok(Flow::Continue)
                });
                (request, Wanted::Streamed(rows, count))
            }
        };
        let limited = self.dice.one_in(12);
        let limit = Duration::from_millis(1 + self.dice.below(50));
        let id = self.client.send(if limited { request.timeout(limit) } else { request }).unwrap();
        self.keep(id, number, wanted, limited);
    }

    /// Opens a session, or goes on with one, or drops it.
    fn session(&mut self) {
        if self.sessions.len() < 3 {
            self.transactions.push(Transaction::default());
            let session = self.client.open(&self.db).unwrap();
            self.sessions.push((session, self.transactions.len() - 1, 0));
        }
        let at = self.dice.below(self.sessions.len() as u64) as usize;
        let (_, transaction, step) = self.sessions[at];
        self.sessions[at].2 += 1;
        self.number += 1;
        let (number, n, db) = (self.number, self.number as i64, self.db.clone());
        let (statement, part) = match (step, self.dice.below(10)) {
            (0, _) => (db.query("BEGIN"), Part::Begin),
            (_, 0) => {
                // With whatever is on its way.
                self.sessions.swap_remove(at);
                return;
            }
            (_, 1) => (db.execute("SELECT 1 / $1", (0,)), Part::Other),
            (_, 2..4) => (db.query("COMMIT"), Part::Commit),
            (_, 4) => (db.execute("SELECT $1::int8", (n,)), Part::Other),
            _ => (db.execute("INSERT INTO g VALUES ($1, $2)", (n, transaction as i32)), Part::Insert),
        };
        match part {
            Part::Insert => self.transactions[transaction].inserted.push(number),
            Part::Commit => self.transactions[transaction].asked_to_commit = true,
            _ => {}
        }
        let id = self.sessions[at].0.send(statement).unwrap();
        self.keep(id, number, Wanted::Part(transaction, part), false);
        if part == Part::Commit {
            self.sessions.swap_remove(at);
        }
    }

    /// Cancels something, wherever it is; not what a transaction is made of, without which the rest would go on.
    fn cancel(&mut self) {
        let mut ids: Vec<_> = self.asked.keys().copied().collect();
        ids.sort();
        let id = self.dice.pick(&ids);
        let asked = self.asked.get_mut(&id).unwrap();
        if !matches!(asked.wanted, Wanted::Part(..)) && self.client.cancel(id) {
            asked.cancelled = true;
        }
    }

    fn resume(&mut self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap());
        for id in self.asked.iter().filter(|(_, asked)| held.contains(&asked.number)).map(|(id, _)| *id) {
            self.client.resume(id);
        }
    }

    fn take(&mut self, outcome: &Outcome) {
        self.outcomes += 1;
        let seed = self.seed;
        let asked = self.asked.remove(&outcome.request_id());
        let Asked { number, wanted, cancelled, limited } =
            asked.unwrap_or_else(|| panic!("seed {seed}: an outcome of nothing, or a second one: {outcome}"));
        let what = format!("seed {seed}: number {number}, {wanted:?}: {outcome}");
        let response = outcome.response();
        let error = response.and_then(|response| response.results().unwrap().error().cloned());
        let done = response.is_some() && error.is_none();
        if let Some((known, rows)) = self.rows.get_mut(&number) {
            let untouched = outcome.error().is_some_and(Error::is_retryable);
            *known = if done { Some(*rows) } else { (error.is_some() || untouched).then_some(0) };
        }
        if let Wanted::Part(transaction, part) = wanted {
            let transaction = &mut self.transactions[transaction];
            transaction.begun |= part == Part::Begin && done;
            let tag = |response: &aquests::Response| response.results().unwrap().sets()[0].tag() == "COMMIT";
            transaction.committed |= part == Part::Commit && done && response.is_some_and(tag);
        }
        // Others took the connection with them, or the server ended it.
        let kind = outcome.error().map(Error::kind);
        // One that is about to end says so before TLS is agreed on, too.
        let gone = matches!(kind, Some(ErrorKind::Closed | ErrorKind::Io | ErrorKind::Connect | ErrorKind::Refused))
            || kind == Some(ErrorKind::Tls)
            || error.as_ref().is_some_and(|error| error.code() == sqlstate::ADMIN_SHUTDOWN)
            || (cancelled && kind == Some(ErrorKind::Cancelled))
            || (limited && matches!(kind, Some(ErrorKind::Timeout(_))));
        if gone {
            return;
        }
        match wanted {
            Wanted::Row(which) => {
                let row =
                    response.unwrap_or_else(|| panic!("{what}")).rows().next().unwrap_or_else(|| panic!("{what}"));
                assert_eq!((row.get::<i64>("n"), row.get::<i32>("which")), (number as i64, which), "{what}");
            }
            Wanted::Mistake => {
                let words = error.unwrap_or_else(|| panic!("{what}")).message().to_owned();
                assert!(words.contains(&format!("\"x{number}\"")), "{what}: {words}");
            }
            Wanted::Kept(_) => assert!(done, "{what}"),
            Wanted::Streamed(rows, count) => assert!(done && *count.lock().unwrap() == rows, "{what}"),
            Wanted::Trouble(wanted) => assert_eq!(kind, Some(wanted), "{what}"),
            Wanted::Part(..) => assert!(response.is_some(), "{what}"),
        }
    }

    fn turn(&mut self) {
        self.client.turn(Some(Duration::from_millis(self.dice.below(3)))).unwrap();
        while let Some(outcome) = self.client.next_outcome() {
            self.take(&outcome);
        }
    }

    /// What is in the tables is what was told.
    fn judge(&self, server: &PostgresServer) {
        let count = |table: &str| -> HashMap<u64, u64> {
            let text = server.psql(&format!("SELECT n, count(*) FROM {table} GROUP BY n;"));
            let pair = |line: &str| line.split_once('|').and_then(|(n, c)| Some((n.parse().ok()?, c.parse().ok()?)));
            text.lines().map(|line| pair(line).expect("two numbers")).collect()
        };
        let (seed, kept) = (self.seed, count("t"));
        for (number, (known, rows)) in &self.rows {
            let found = kept.get(number).copied().unwrap_or(0);
            match known {
                Some(known) => assert_eq!(found, *known, "seed {seed}: rows of {number}"),
                None => assert!(found == 0 || found == *rows, "seed {seed}: {found} rows of {number}, or none: {rows}"),
            }
        }
        assert!(kept.keys().all(|number| self.rows.contains_key(number)), "seed {seed}: rows of what failed");
        let kept = count("g");
        for transaction in &self.transactions {
            let found = transaction.inserted.iter().filter(|number| kept.contains_key(number)).count();
            let twice = transaction.inserted.iter().any(|number| kept.get(number).is_some_and(|count| *count > 1));
            assert!(!twice, "seed {seed}: something of {:?} was run twice", transaction.inserted);
            if !transaction.asked_to_commit || !transaction.begun {
                assert_eq!(found, 0, "seed {seed}: {:?} were not committed", transaction.inserted);
            } else {
                let whole = found == transaction.inserted.len();
                assert!(found == 0 || whole, "seed {seed}: {found} of {:?}", transaction.inserted);
                assert!(!transaction.committed || whole, "seed {seed}: {:?} were committed", transaction.inserted);
            }
        }
    }
}

fn storm(server: &mut PostgresServer, seed: u64) {
    let mut dice = Dice::new(seed);
    let (workers, depth) = (1 + dice.below(5) as usize, dice.pick(&[1, 2, 8, 32]));
    let (prepared, restless) = (dice.pick(&[0, 1, 2, 100]), dice.pick(&[3, 20, 1 << 20]));
    server.psql("DROP TABLE IF EXISTS t, g; CREATE TABLE t (n int8); CREATE TABLE g (n int8, g int4);");
    server.psql("GRANT ALL ON t, g TO PUBLIC;");
    let db = Postgres::at(&server.address().to_string(), PostgresServer::DATABASE).user("trust", "");
    let mut storm = Storm {
        seed,
        dice,
        client: Client::builder().workers(workers).build().unwrap(),
        db: db.pipeline(depth).prepared(prepared),
        asked: HashMap::new(),
        number: 0,
        rows: BTreeMap::new(),
        held: Arc::default(),
        transactions: Vec::new(),
        sessions: Vec::new(),
        outcomes: 0,
    };
    // Told by how many outcomes there were.
    let mut troubles = [250, 500, 750].into_iter().peekable();
    while storm.outcomes < 1_000 {
        while storm.asked.len() < 60 {
            for _ in 0..storm.dice.below(12) {
                storm.send();
            }
            for _ in 0..storm.dice.below(5) {
                storm.session();
            }
        }
        if storm.dice.one_in(restless) {
            storm.cancel();
        }
        if storm.dice.one_in(2) {
            storm.resume();
        }
        storm.turn();
        if let Some(trouble) = troubles.next_if(|after| *after <= storm.outcomes) {
            match trouble {
                750 => server.restart(),
                _ => drop(server.terminate_backends()),
            }
        }
    }
    storm.sessions.clear();
    while !storm.client.is_idle() {
        storm.resume();
        storm.turn();
    }
    assert!(storm.asked.is_empty(), "seed {seed}: {} have no outcome", storm.asked.len());
    let backends = server.backends();
    // Sessions that were dropped may not be gone yet.
    assert!(backends <= workers + 3, "seed {seed}: {backends} connections of {workers} and 3 sessions");
    // What was given up may still run.
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() \
                AND state <> 'idle';";
    while server.psql(busy) != "0" {
        storm.turn();
    }
    storm.judge(server);
    println!("seed {seed}: {} outcomes, {} transactions", storm.outcomes, storm.transactions.len());
}

#[test]
fn what_is_told_of_statements_is_so_whatever_happens_among_them() {
    let (first, seeds) = (from_environment("AQUESTS_STORM_FIRST", 1), from_environment("AQUESTS_STORM_SEEDS", 3));
    must_end(move || {
        // What it tells as done is done, whatever becomes of it.
        let mut server = PostgresServer::builder().config("synchronous_commit = on").start();
        (first..first + seeds).for_each(|seed| storm(&mut server, seed));
    });
}
