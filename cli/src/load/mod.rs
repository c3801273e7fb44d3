//! `aquests load`: from arguments to a plan (`job`), what is said while it runs (`progress`), and its report as JSON
//! (`json`). What a load is and how it is measured lives in the library.

mod job;
mod json;
mod progress;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use aquests::Report;
use aquests::load::Control;

use crate::args::{Format, LoadArgs};
use crate::output::{Failure, Sink, note};
use crate::target::{Place, Stop, Target};
use crate::{open_files, signal};
use job::Job;
use progress::Progress;

/// Runs the command.
pub(crate) fn run(args: &LoadArgs) -> Result<(), Failure> {
    let embedded = job::is_embedded(args)?;
    // Both ends of a connection are in this process when the target is.
    open_files::need(args.connections, if embedded { 2 } else { 1 })?;
    let target = if embedded { Some(Target::bind(&LOOPBACK).map_err(no_target)?) } else { None };
    let job = Job::new(args, target.as_ref().map(|target| target.place().to_string()).as_deref())?;
    let mut sink = Sink::open(args.output.as_deref())?;
    let target = target.map(Embedded::start).transpose()?;

    let control = Arc::new(Control::new());
    let interrupted = Arc::new(AtomicBool::new(false));
    let (stop, flag) = (control.clone(), interrupted.clone());
    signal::on_interrupt(move || {
        flag.store(true, Ordering::SeqCst);
        stop.stop();
    })?;
    let progress = (!args.quiet).then(|| Progress::start(control.clone(), args.warm_up));
    let result = aquests::load::run(&job.plan, &control);
    drop(progress);
    drop(target);

    let report = result?;
    let interrupted = interrupted.load(Ordering::SeqCst);
    let written = match args.output_format {
        Format::Json => json::write(&job, &report, embedded, interrupted),
        Format::Text => text(&job, &report, embedded, interrupted),
    };
    sink.write(written.as_bytes())?;
    complain(&job, &report, interrupted)
}

/// Says on standard error, where the report may not be, that something failed and what did most often.
fn complain(job: &Job<'_>, report: &Report, interrupted: bool) -> Result<(), Failure> {
    let (failed, all) = (report.failed(), report.requests());
    if let Some((kind, _)) = report.errors().iter().max_by_key(|(_, count)| **count) {
        let words = report.sample(*kind).unwrap_or(kind.name());
        note(&format!("aquests: {failed} of {all} requests failed: {words}"));
        return Err(Failure::Said);
    }
    // Where nobody was reached nothing failed, and nothing worked.
    if report.responses() == 0 && report.connecting() > 0 && !interrupted {
        note(&format!("aquests: no connection to {} was made in the time that was given", job.plan.peer()));
        return Err(Failure::Said);
    }
    Ok(())
}

fn text(job: &Job<'_>, report: &Report, embedded: bool, interrupted: bool) -> String {
    let mut text = format!("{job}\n");
    if embedded {
        text += "the target is embedded: it runs in this process, and its CPU is counted with that of the client\n";
    }
    if interrupted {
        text += "interrupted before its end\n";
    }
    text + &report.to_string()
}

/// A free port that nobody else can reach.
const LOOPBACK: Place =
    Place::Tcp(std::net::SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0)));

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
