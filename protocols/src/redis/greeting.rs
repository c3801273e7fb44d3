//! The login: HELLO, and what replaces it at a server that does not know it. Nothing else is sent before it is whole: a
//! command that ran as another user or in another database would do harm.

use core::fmt;

use super::command::push_words;
use super::view::{Content, ValueRef};
use super::{Version, Violation};

/// What is said before the first command. Gone when it is answered, and the password with it.
#[derive(Default)]
pub(super) struct Greeting {
    pub(super) resp3: bool,
    pub(super) user: Option<Vec<u8>>,
    pub(super) password: Option<Vec<u8>>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) database: u32,
    /// What was said and not answered, in reverse.
    steps: Vec<Step>,
    /// The server does not know HELLO: what was said behind it is said again.
    plain: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Hello,
    Auth,
    Name,
    Select,
}

/// How an answer leaves the login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is more to come.
    On,
    /// It is whole.
    Done,
    /// The server lets nobody in.
    Rejected,
    /// The same, and what it said repeats the password.
    RejectedAloud,
}

impl Greeting {
    /// There is nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        !self.resp3 && self.password.is_none() && self.name.is_none() && self.database == 0
    }

    /// It was not said yet.
    pub(super) fn is_unsaid(&self) -> bool {
        self.steps.is_empty()
    }

    /// Says it, all in one write. `false`: there was nothing to say.
    pub(super) fn say(&mut self, out: &mut Vec<u8>) -> bool {
        let user = self.user.as_deref().unwrap_or(b"default");
        if self.resp3 && !self.plain {
            let mut words: Vec<&[u8]> = vec![b"HELLO", b"3"];
            if let Some(password) = &self.password {
                words.extend([b"AUTH", user, password]);
            }
            if let Some(name) = &self.name {
                words.extend([&b"SETNAME"[..], name]);
            }
            push_words(&words, out);
            self.steps.push(Step::Hello);
        } else {
            if let Some(password) = &self.password {
                match &self.user {
                    Some(user) => push_words(&[b"AUTH", user, password], out),
                    None => push_words(&[b"AUTH", password], out),
                }
                self.steps.push(Step::Auth);
            }
            if let Some(name) = &self.name {
                push_words(&[b"CLIENT", b"SETNAME", name], out);
                self.steps.push(Step::Name);
            }
        }
        if self.database != 0 {
            push_words(&[b"SELECT", self.database.to_string().as_bytes()], out);
            self.steps.push(Step::Select);
        }
        self.steps.reverse();
        !self.steps.is_empty()
    }

    /// An answer came. Says more where that is needed.
    pub(super) fn answer(
        &mut self,
        value: ValueRef<'_>,
        version: &mut Version,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Violation> {
        let step = self.steps.pop().ok_or(Violation::Unsolicited)?;
        // What stood behind a HELLO that failed: it may have run or not, and is said again.
        let void = self.plain && self.resp3;
        match (step, value.read()) {
            (Step::Hello, Content::Map(_)) => *version = Version::Resp3,
            // A server of its own mind, which goes on as before.
            (Step::Hello, Content::Array(_)) => *version = Version::Resp2,
            (Step::Hello, Content::Error(error)) if knows_no_hello(error.code(), error.message()) => {
                self.plain = true;
            }
            (_, Content::Error(_)) if void => {}
            (_, Content::Error(_)) => {
                let aloud = self.password.as_deref().is_some_and(|password| contains(value.as_bytes(), password));
                return Ok(if aloud { Progress::RejectedAloud } else { Progress::Rejected });
            }
            (Step::Auth | Step::Name | Step::Select, Content::Simple(_)) => {}
            _ => return Err(Violation::Greeting),
        }
        if !self.steps.is_empty() {
            return Ok(Progress::On);
        }
        // The second time without HELLO, and then it counts.
        if self.plain && core::mem::take(&mut self.resp3) && self.say(out) {
            return Ok(Progress::On);
        }
        Ok(Progress::Done)
    }
}

/// Servers before Redis 6, those that are told not to speak RESP3, and proxies.
fn knows_no_hello(code: &[u8], message: &[u8]) -> bool {
    let unknown = b"unknown command";
    code == b"NOPROTO"
        || (code == b"ERR" && message.get(..unknown.len()).is_some_and(|words| words.eq_ignore_ascii_case(unknown)))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && memchr::memmem::find(bytes, part).is_some()
}

impl fmt::Debug for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greeting").field("steps", &self.steps).finish_non_exhaustive()
    }
}
