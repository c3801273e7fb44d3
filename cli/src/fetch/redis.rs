//! `aquests fetch redis://…`: one command, or those of standard input, down one connection in their order, so that what
//! changes the connection (SELECT, MULTI, SUBSCRIBE) means what it says. What is printed is in `replies`.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use aquests::redis::Redis;
use aquests::{Handle, Outcome, Push, Request, RequestId, Session};

use super::printer::{self, End};
use super::replies::{Form, Replies};
use super::{SILENCE, script};
use crate::args::FetchArgs;
use crate::output::{Failure, Sink, note};
use crate::request::STDIN;
use crate::{database, signal};

/// Commands that are sent ahead of their answers. A few pipelines full.
const AHEAD: usize = 1_000;
/// Commands that are handed over at once by whoever reads them.
const BATCH: usize = 100;

/// Runs the command.
pub(super) fn run(args: &FetchArgs) -> Result<(), Failure> {
    let db = database::redis(&args.url, args.of_http().next())?;
    let from_stdin = match &args.more[..] {
        [] if io::stdin().is_terminal() => {
            return Err(Failure::Usage("a command of Redis is missing behind the URL: redis://… GET key".to_owned()));
        }
        [] => true,
        [word] => word == STDIN,
        _ => false,
    };
    let words: Vec<_> = args.more.iter().map(|word| word.clone().into_bytes()).collect();
    if args.count.is_some() && !from_stdin && !begins_to_listen(&words) {
        return Err(Failure::Usage("--count is for what listens: SUBSCRIBE channel".to_owned()));
    }
    let mut client = super::client(args, &db.url(), args.timeout.unwrap_or_default().saturating_add(SILENCE))?;
    let human = args.output.is_none() && io::stdout().is_terminal();
    let form = if args.json {
        Form::Json
    } else if human {
        Form::Human
    } else {
        Form::Raw
    };
    let replies = Arc::new(Mutex::new(Replies::new(form, args.count)));
    let printer = || replies.lock().unwrap_or_else(PoisonError::into_inner);
    let session = client.open(super::target(args, &db))?;
    listen(&session, &replies);
    let mut asked = Asked::default();
    let ask = |words: &[Vec<u8>], asked: &mut Asked| -> Result<(), Failure> {
        if args.verbose {
            printer().say(&format!("> {}", script::shown(words)));
        }
        let subscribes = begins_to_listen(words);
        printer().holds |= subscribes;
        let id = send(&session, command(&db, words)?, args, &replies)?;
        asked.ids.push_back(id);
        if subscribes {
            asked.subscriptions.push(id);
        }
        Ok(())
    };
    let mut script = None;
    if from_stdin {
        script = Some(Script { lines: read(client.handle()), ready: Vec::new().into_iter(), over: false });
    } else {
        ask(&words, &mut asked)?;
    }
    // After everything that can be wrong with what was asked for: a file that is there is not cut for nothing.
    printer().print_to(Sink::open(args.output.as_deref())?);
    let interrupted = Arc::new(AtomicBool::new(false));
    let mut listening = false;
    loop {
        while asked.ids.len() < AHEAD
            && let Some(words) = script.as_mut().and_then(|script| script.next(&mut printer()))
        {
            if let Err(Failure::Usage(words) | Failure::Run(words)) = ask(&words, &mut asked) {
                printer().fail(&format!("aquests: {words}"));
            }
        }
        while let Some(outcome) = client.next_outcome() {
            asked.outcomes.insert(outcome.request_id().as_u64(), outcome);
        }
        loop {
            let next = {
                let printer = printer();
                // What was given up because nobody reads it is not complained about.
                if printer.is_over() {
                    break;
                }
                printer.next()
            };
            let Some(outcome) = asked.outcomes.remove(&next) else { break };
            let subscribes = asked.subscriptions.contains(&outcome.request_id());
            asked.subscriptions.retain(|id| *id != outcome.request_id());
            if subscribes && is_done(&outcome) && !listening {
                listening = true;
                let (flag, handle) = (Arc::clone(&interrupted), client.handle());
                signal::on_interrupt(move || {
                    flag.store(true, Ordering::SeqCst);
                    handle.wake();
                })?;
            }
            print(&mut printer(), args, outcome);
            if asked.subscriptions.is_empty() {
                printer().let_go();
            }
            asked.ids.pop_front();
            let resumes = printer().advance();
            if let Some(id) = asked.ids.front().filter(|_| resumes) {
                client.resume(*id);
            }
        }
        let is_over = script.as_ref().is_none_or(Script::is_over);
        // The callbacks lock it too: it is let go before anything is done.
        let (end, enough, lost) = {
            let mut printer = printer();
            if asked.ids.is_empty() {
                printer.flush();
            }
            (printer.end(), printer.left == Some(0), printer.lost.take().filter(|_| listening))
        };
        match end {
            None => {}
            Some(End::ReaderGone) => break,
            Some(End::Failed(failure)) => return Err(failure),
        }
        if let Some(words) = lost {
            printer().fail(&format!("aquests: {words}"));
            break;
        }
        let done = asked.ids.is_empty() && is_over && !listening;
        if done || (listening && enough) || interrupted.load(Ordering::SeqCst) {
            break;
        }
        client.turn(None)?;
    }
    let mut printer = printer();
    printer.flush();
    match printer.end() {
        Some(End::Failed(failure)) => Err(failure),
        _ if printer.failed => Err(Failure::Said),
        _ => Ok(()),
    }
}

/// What was sent and is not printed.
#[derive(Default)]
struct Asked {
    ids: VecDeque<RequestId>,
    /// Those whose turn has not come.
    outcomes: BTreeMap<u64, Outcome>,
    subscriptions: Vec<RequestId>,
}

/// Prints what the server says without being asked.
fn listen(session: &Session, replies: &Arc<Mutex<Replies>>) {
    let replies = Arc::clone(replies);
    session.on_push(move |push| {
        let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
        match push {
            Push::Redis(value) => replies.message(value.to_value()),
            Push::Lost(error) => replies.lost = Some(error.to_string()),
            _ => {}
        }
    });
}

fn command(db: &Redis, words: &[Vec<u8>]) -> Result<Request, Failure> {
    let Some((name, arguments)) = words.split_first() else {
        return Err(Failure::Usage("a command has a name at least".to_owned()));
    };
    Ok(db.command(&String::from_utf8_lossy(name), arguments).into())
}

fn send(
    session: &Session,
    mut request: Request,
    args: &FetchArgs,
    replies: &Arc<Mutex<Replies>>,
) -> Result<RequestId, aquests::Error> {
    #[cfg(unix)]
    if let Some(path) = &args.request.unix_socket {
        request = request.unix_socket(path);
    }
    if let Some(timeout) = args.timeout {
        request = request.timeout(timeout);
    }
    let replies = Arc::clone(replies);
    let request = request.on_chunk(move |head, bytes| {
        let mut replies = replies.lock().unwrap_or_else(PoisonError::into_inner);
        Ok::<_, aquests::Error>(replies.piece(head.request_id().as_u64(), bytes))
    });
    Ok(session.send(request)?)
}

fn is_done(outcome: &Outcome) -> bool {
    outcome.response().and_then(aquests::Response::value).is_some_and(|value| value.as_error().is_none())
}

fn begins_to_listen(words: &[Vec<u8>]) -> bool {
    let names = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"];
    words.first().is_some_and(|name| names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name)))
}

fn print(replies: &mut Replies, args: &FetchArgs, outcome: Outcome) {
    match outcome.into_result() {
        Ok(response) => {
            response.replies().iter().for_each(|value| replies.reply(value));
            if args.verbose {
                replies.say(&printer::times(response.received(), response.timings()));
            }
        }
        // That is what ends it.
        Err(error) if error.kind() == aquests::ErrorKind::Cancelled => {}
        Err(error) => replies.fail(&format!("aquests: {error}")),
    }
}

/// The commands of standard input.
struct Script {
    lines: Receiver<Vec<Line>>,
    ready: std::vec::IntoIter<Line>,
    over: bool,
}

/// A line, and its number.
struct Line {
    number: u64,
    /// `None`: its quotes are not balanced.
    words: Option<Vec<Vec<u8>>>,
}

impl Script {
    /// The next one that is there.
    fn next(&mut self, replies: &mut Replies) -> Option<Vec<Vec<u8>>> {
        loop {
            for Line { number, words } in self.ready.by_ref() {
                match words {
                    Some(words) if words.is_empty() => {}
                    Some(words) => return Some(words),
                    None => replies.fail(&format!("aquests: line {number} has quotes that are not balanced")),
                }
            }
            match self.lines.try_recv() {
                Ok(lines) => self.ready = lines.into_iter(),
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => {
                    self.over = true;
                    return None;
                }
            }
        }
    }

    /// No more will come.
    fn is_over(&self) -> bool {
        self.over && self.ready.len() == 0
    }
}

/// A thread waits for standard input, so that the loop does not. It ends with the process at the latest.
fn read(client: Handle) -> Receiver<Vec<Line>> {
    let (sender, receiver) = mpsc::sync_channel(AHEAD / BATCH);
    thread::spawn(move || {
        let mut stdin = io::BufReader::new(io::stdin());
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        for number in 1.. {
            line.clear();
            match stdin.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => lines.push(Line { number, words: script::words(&line) }),
                Err(error) => {
                    note(&format!("aquests: cannot read standard input: {error}"));
                    break;
                }
            }
            // What is there is handed over together.
            if lines.len() == BATCH || !stdin.buffer().contains(&b'\n') {
                if sender.send(std::mem::take(&mut lines)).is_err() {
                    return;
                }
                client.wake();
            }
        }
        // Before it is told.
        let _ = sender.send(lines);
        drop(sender);
        client.wake();
    });
    receiver
}
