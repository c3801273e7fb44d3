//! The live view: looks at a run a few times a second and shows it on a screen of its own. What is shown is in `draw`,
//! of which pictures are made in `paint`; nothing here changes the run.

mod draw;
mod paint;

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aquests::load::Control;

use super::job::Job;
use crate::terminal::{self, Screen};
use draw::{Goal, Scene};

/// How often it is drawn.
const FRAME: Duration = Duration::from_millis(250);

/// Ends, and gives the screen back, when it is dropped.
#[derive(Debug)]
pub(super) struct View {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl View {
    pub(super) fn start(control: Arc<Control>, job: &Job<'_>) -> Self {
        let (end, ended) = mpsc::channel::<()>();
        let title = job.to_string();
        let goal = Goal { requests: job.requests, duration: job.args.duration, warm_up: job.args.warm_up };
        // Here, so that the screen is up before the run begins.
        let screen = Screen::open();
        let thread = thread::spawn(move || {
            let begin = Instant::now();
            loop {
                let report = control.report();
                let scene = Scene { title: &title, goal: &goal, report: report.as_ref(), time: begin.elapsed() };
                screen.show(&draw::lines(&scene, terminal::size(), terminal::has_colours()));
                if ended.recv_timeout(FRAME) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // The screen is given back however it ended.
            let _ = thread.join();
        }
        terminal::restore();
    }
}
