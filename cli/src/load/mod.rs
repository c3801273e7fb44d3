//! `aquests load`: from arguments to a plan (`job`), what is shown while it runs (`view`, or lines of `progress`), and
//! its report in every form (`json`, `csv`, `html`), beside an earlier one (`compare`). What a load is and how it is
//! measured lives in the library.

mod compare;
mod csv;
mod html;
mod job;
mod json;
mod progress;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use aquests::Report;
use aquests::load::Control;

use crate::args::{Format, LoadArgs};
use crate::output::{Failure, Sink, note};
use crate::target::{Identity, Socket, Stop, Target};
use crate::threshold::{Threshold, Verdict};
use crate::{open_files, signal, terminal};
use compare::{Earlier, Row};
use job::Job;
use progress::Progress;
use view::View;

/// A run that is over, and all that is to be told of it.
#[derive(Debug)]
struct Run<'a> {
    job: &'a Job<'a>,
    report: &'a Report,
    verdicts: &'a [Verdict],
    earlier: Option<&'a Earlier>,
    /// What changed since the earlier run.
    changes: &'a [Row],
    embedded: bool,
    interrupted: bool,
}

/// Runs the command.
pub(crate) fn run(args: &LoadArgs) -> Result<(), Failure> {
    let embedded = job::is_embedded(args)?;
    // Both ends of a connection are in this process when the target is.
    open_files::need(args.connections, if embedded { 2 } else { 1 })?;
    let identity = args.with_tls.then(Identity::new).transpose()?;
    let target = if embedded { Some(Target::bind(&LOOPBACK, identity.as_ref()).map_err(no_target)?) } else { None };
    let authority = || identity.as_ref().and_then(Identity::authority).map(str::to_owned);
    let in_process =
        target.as_ref().map(|target| job::Embedded { url: target.place().to_string(), authority: authority() });
    let job = Job::new(args, in_process.as_ref())?;
    let earlier = args.compare.as_deref().map(Earlier::read).transpose()?;
    let mut sink = Sink::open(args.output.as_deref())?;
    let target = target.map(Embedded::start).transpose()?;

    let control = Arc::new(Control::new());
    let interrupted = Arc::new(AtomicBool::new(false));
    let (stop, flag) = (control.clone(), interrupted.clone());
    signal::on_interrupt(move || {
        flag.store(true, Ordering::SeqCst);
        stop.stop();
    })?;
    let has_view = !args.quiet && !args.no_tui && terminal::is_there();
    let view = has_view.then(|| View::start(control.clone(), &job));
    let progress = (!args.quiet && !has_view).then(|| Progress::start(control.clone(), args.warm_up));
    let result = aquests::load::run(&job.plan, &control);
    drop((view, progress));
    drop(target);

    let report = &result?;
    let interrupted = interrupted.load(Ordering::SeqCst);
    let verdicts: &Vec<_> = &args.thresholds.iter().map(|threshold| threshold.judge(report)).collect();
    let changes = &earlier.as_ref().map(|earlier| earlier.rows(report)).unwrap_or_default();
    let run = Run { job: &job, report, verdicts, earlier: earlier.as_ref(), changes, embedded, interrupted };
    let written = match args.output_format {
        Format::Json => json::write(&run),
        Format::Csv => csv::write(report),
        Format::Html => html::write(&run),
        Format::Text => text(&run),
    };
    sink.write(written.as_bytes())?;
    // These forms have no place for it.
    if matches!(args.output_format, Format::Json | Format::Csv) && !changes.is_empty() {
        note(compare::text(changes).trim_end());
    }
    let missed = verdicts.iter().filter(|verdict| !verdict.met).inspect(|verdict| note(&format!("aquests: {verdict}")));
    match (complain(&run), missed.count()) {
        (Ok(()), 0) => Ok(()),
        _ => Err(Failure::Said),
    }
}

/// Says on standard error, where the report may not be, that something failed and what did most often.
fn complain(run: &Run<'_>) -> Result<(), Failure> {
    let Run { job, report, interrupted, .. } = *run;
    let (failed, all) = (report.failed(), report.requests());
    if let Some((kind, _)) = report.errors().iter().max_by_key(|(_, count)| **count) {
        let words = report.sample(*kind).unwrap_or(kind.name());
        note(&format!("aquests: {failed} of {all} requests failed: {words}"));
        // Where it was said how many may fail, nothing else decides.
        if !job.args.thresholds.iter().any(Threshold::is_about_errors) {
            return Err(Failure::Said);
        }
    }
    // They are answers, and a load may be meant to bring them; who misspelt a statement wants to know.
    let most = report.replies().iter().max_by_key(|(_, count)| **count);
    if let Some((code, _)) = most.filter(|_| !report.replies().contains_key("OK")) {
        let all = report.responses();
        note(&format!(
            "aquests: no answer was OK: all {all} were errors, most of them {code} (aquests fetch tells more)"
        ));
    }
    // Where nobody was reached nothing failed, and nothing worked.
    if report.responses() == 0 && report.connecting() > 0 && !interrupted {
        note(&format!("aquests: no connection to {} was made in the time that was given", job.plan.peer()));
        return Err(Failure::Said);
    }
    Ok(())
}

fn text(run: &Run<'_>) -> String {
    let Run { job, report, embedded, interrupted, .. } = *run;
    let mut text = format!("{job}\n");
    if embedded {
        text += "the target is embedded: it runs in this process, and its CPU is counted with that of the client\n";
    }
    if interrupted {
        text += "interrupted before its end\n";
    }
    text += &report.to_string();
    if !run.verdicts.is_empty() {
        text += "thresholds:\n";
        for verdict in run.verdicts {
            text += &format!("  {verdict}\n");
        }
    }
    if !run.changes.is_empty() {
        text += &compare::text(run.changes);
    }
    text
}

/// A free port that nobody else can reach.
const LOOPBACK: Socket =
    Socket::Tcp(std::net::SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0)));

fn no_target(error: std::io::Error) -> Failure {
    Failure::Run(format!("cannot start the embedded target: {error}"))
}

/// A target in another thread of this process.
#[derive(Debug)]
struct Embedded {
    stop: Stop,
    thread: Option<thread::JoinHandle<std::io::Result<()>>>,
}

impl Embedded {
    fn start(target: Target) -> Result<Self, Failure> {
        let stop = target.stopper();
        let thread = thread::Builder::new().name("target".to_owned()).spawn(|| target.serve()).map_err(no_target)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(Ok(Err(error))) = self.thread.take().map(thread::JoinHandle::join) {
            note(&format!("aquests: the embedded target failed: {error}"));
        }
    }
}
