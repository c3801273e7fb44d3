//! Scans that go on by themselves: which command comes next, and what is left when its reply came. Who sends it, and when,
//! is not known here.

use std::collections::VecDeque;
use std::fmt;

use super::{Command, FromValue, Node, ReadError, Redis, ScanOptions, Slots, Value};

/// All keys of a server, or all of what a key has, some at a time. Of a cluster all keys of all its masters.
///
/// It is a value that says what to ask next, and reads what comes: [`Client::scan`](crate::Client::scan) does both.
///
/// A scan tells everything that was there from its beginning to its end at least once, some of it perhaps twice, and what
/// came or went meanwhile perhaps not. It may tell nothing for a while and still not be at its end.
///
/// ```
/// use aquests::redis::{Redis, ScanOptions, Value};
///
/// let db = Redis::at("127.0.0.1:6379");
/// let mut scan = db.scan_keys(ScanOptions::new().matching("user:*").count(1000));
/// while let Some(command) = scan.next_command() {
///     assert!(command.words().eq([&b"SCAN"[..], b"0", b"MATCH", b"user:*", b"COUNT", b"1000"]));
///     // What a server answers to it:
///     let reply = Value::Array(vec![Value::Bulk(b"0".into()), Value::Array(vec![Value::Bulk(b"user:1".into())])]);
///     let keys: Vec<String> = scan.take(reply)?;
///     assert_eq!(keys, ["user:1"]);
/// }
/// # Ok::<(), aquests::redis::ReadError>(())
/// ```
#[derive(Clone)]
#[must_use = "a scan does nothing by itself"]
pub struct Scan {
    db: Redis,
    name: &'static str,
    key: Option<Vec<u8>>,
    options: ScanOptions,
    at: At,
    /// Nodes that are still to be asked, the one that is being asked first.
    nodes: VecDeque<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Which nodes there are is to be asked.
    Nodes,
    Cursor(u64),
    End,
}

impl Redis {
    /// All keys: strings. [`ScanOptions`] say which.
    pub fn scan_keys(&self, options: ScanOptions) -> Scan {
        let at = if self.settings().is_cluster() { At::Nodes } else { At::Cursor(0) };
        Scan { at, ..Scan::new(self, "SCAN", None, options) }
    }

    /// All fields of a hash with their values: pairs.
    pub fn scan_hash(&self, key: impl AsRef<[u8]>, options: ScanOptions) -> Scan {
        Scan::new(self, "HSCAN", Some(key.as_ref().to_vec()), options)
    }

    /// All members of a set: strings.
    pub fn scan_set(&self, key: impl AsRef<[u8]>, options: ScanOptions) -> Scan {
        Scan::new(self, "SSCAN", Some(key.as_ref().to_vec()), options)
    }

    /// All members of a sorted set with their scores: pairs.
    pub fn scan_sorted_set(&self, key: impl AsRef<[u8]>, options: ScanOptions) -> Scan {
        Scan::new(self, "ZSCAN", Some(key.as_ref().to_vec()), options)
    }
}

impl Scan {
    fn new(db: &Redis, name: &'static str, key: Option<Vec<u8>>, options: ScanOptions) -> Self {
        Self { db: db.clone(), name, key, options, at: At::Cursor(0), nodes: VecDeque::new() }
    }

    /// What to ask next. `None`: it is at its end. The same again, until [`take`](Self::take) has read the reply.
    pub fn next_command(&self) -> Option<Command> {
        let cursor = match self.at {
            At::End => return None,
            At::Nodes => return Some(self.db.command("CLUSTER SLOTS", ())),
            At::Cursor(cursor) => cursor,
        };
        let command = self.db.command(self.name, &self.key).arg(cursor).arg(self.options.clone());
        Some(match self.nodes.front() {
            Some(node) => command.at(&node.host, node.port),
            None => command,
        })
    }

    /// Reads the reply to what was asked: some of what is looked for, perhaps nothing. Pairs are read as such:
    /// `Vec<(String, f64)>`. After an error of the server, or of reading, it stands where it stood.
    pub fn take<C: FromValue + Default>(&mut self, reply: Value) -> Result<C, ReadError> {
        if self.at == At::Nodes {
            self.nodes = nodes(&self.db, reply)?;
            self.at = if self.nodes.is_empty() { At::End } else { At::Cursor(0) };
            return Ok(C::default());
        }
        let (cursor, items): (u64, C) = FromValue::from_value(reply)?;
        self.at = At::Cursor(cursor);
        if cursor == 0 {
            self.nodes.pop_front();
            if self.nodes.is_empty() {
                self.at = At::End;
            }
        }
        Ok(items)
    }

    /// The same from its beginning, if it is at its end.
    pub(crate) fn begun(self) -> Self {
        match (self.at, self.name) {
            (At::End, "SCAN") => self.db.scan_keys(self.options),
            (At::End, _) => Self { at: At::Cursor(0), ..self },
            _ => self,
        }
    }

    /// Everything was told.
    pub fn is_done(&self) -> bool {
        self.at == At::End
    }
}

/// The masters of a cluster.
fn nodes(db: &Redis, reply: Value) -> Result<VecDeque<Node>, ReadError> {
    // What is no answer to the question says so itself.
    let reply = match reply {
        Value::Error(_) => {
            return Err(<()>::from_value(reply).err().unwrap_or(ReadError::strange("a map of a cluster")));
        }
        reply => reply,
    };
    // A node that does not know its own name is the one that was named first.
    let seed = db.settings().seeds().next().map_or_else(|| Node::new("", 0), |(host, port)| Node::new(host, port));
    let slots = Slots::read(&reply, &seed, db.settings().tls).map_err(|_| ReadError::strange("a map of a cluster"))?;
    Ok(slots.primaries().cloned().collect())
}

/// Without the key and the pattern.
impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}, {:?}, {} nodes", self.name, self.db, self.at, self.nodes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(cursor: &str, items: &[&str]) -> Value {
        let bulk = |text: &&str| Value::Bulk(text.as_bytes().to_vec());
        Value::Array(vec![bulk(&cursor), Value::Array(items.iter().map(bulk).collect())])
    }

    fn words(command: Option<Command>) -> String {
        let words: Vec<_> = command.iter().flat_map(Command::words).map(String::from_utf8_lossy).collect();
        words.join(" ")
    }

    #[test]
    fn a_scan_goes_on_from_the_cursor_until_that_is_0() {
        let db = Redis::at("h");
        let mut scan = db.scan_sorted_set("z", ScanOptions::new().count(2));
        assert_eq!(words(scan.next_command()), "ZSCAN z 0 COUNT 2");
        let pairs: Vec<(String, f64)> = scan.take(page("18446744073709551615", &["a", "1.5"])).unwrap();
        assert_eq!(pairs, [("a".to_owned(), 1.5)]);
        assert_eq!(words(scan.next_command()), "ZSCAN z 18446744073709551615 COUNT 2");
        assert!(scan.take::<Vec<(String, f64)>>(Value::Null).is_err());
        assert!(!scan.is_done(), "what cannot be read does not end it");
        assert!(scan.take::<Vec<(String, f64)>>(page("0", &[])).unwrap().is_empty());
        assert!(scan.is_done() && scan.next_command().is_none());
    }

    #[test]
    fn a_scan_of_a_cluster_asks_each_master_once() {
        let db = Redis::at("h:1").cluster();
        let mut scan = db.scan_keys(ScanOptions::new());
        assert_eq!(words(scan.next_command()), "CLUSTER SLOTS");
        let range = |from, to, host: &str, port| {
            let node = Value::Array(vec![Value::Bulk(host.as_bytes().to_vec()), Value::Integer(port)]);
            Value::Array(vec![Value::Integer(from), Value::Integer(to), node])
        };
        let map = vec![range(0, 9, "", 1), range(10, 19, "two", 2), range(20, 29, "", 1)];
        assert_eq!(scan.take::<Vec<String>>(Value::Array(map)).unwrap(), [""; 0]);
        let db = db.command("SCAN", 0);
        assert_eq!(scan.next_command(), Some(db.clone().at("h", 1)));
        scan.take::<Vec<String>>(page("0", &["a"])).unwrap();
        assert_eq!(scan.next_command(), Some(db.at("two", 2)));
        scan.take::<Vec<String>>(page("0", &["b"])).unwrap();
        assert!(scan.is_done());
    }

    #[test]
    fn a_cluster_that_does_not_say_its_nodes_is_an_error_and_not_the_end() {
        let mut scan = Redis::at("h:1").cluster().scan_keys(ScanOptions::new());
        for reply in [Value::Null, Value::Array(vec![Value::Integer(1)])] {
            assert!(scan.take::<Vec<String>>(reply).is_err());
        }
        assert!(!scan.is_done());
    }
}
