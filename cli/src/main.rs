//! The command `aquests`: reads its arguments and runs one of its commands. Everything that others could use lives in
//! the library; here are arguments, terminals, files and signals.
//!
//! Exit codes: 0 done, 1 something did not work, 2 wrong usage, 130 told to end before it was done.

mod args;
mod database;
mod fetch;
mod load;
mod open_files;
mod output;
mod request;
mod signal;
mod target;
mod terminal;
mod threshold;
mod tls;
mod units;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use database::Database;
use output::{Failure, note};

fn main() -> ExitCode {
    output::hear_warnings();
    let result = match &parse().command {
        Command::Fetch(args) => fetch::run(args),
        Command::Load(args) => load::run(args),
        Command::Target(args) => target::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Said) => ExitCode::from(1),
        Err(Failure::Interrupted) => ExitCode::from(signal::KILLED),
        Err(Failure::Run(sentence)) => {
            note(&format!("aquests: {sentence}"));
            ExitCode::from(1)
        }
        Err(Failure::Usage(sentence)) => {
            note(&format!("aquests: {sentence}"));
            ExitCode::from(2)
        }
    }
}

/// What stands behind the URL of a database is a word, whatever it begins with: `LRANGE list 0 -1`.
fn parse() -> Cli {
    let mut command = Cli::command();
    // What is wrong with the rest is said when all of it is read.
    let glance = command.clone().ignore_errors(true).try_get_matches();
    let fetch = glance.as_ref().ok().and_then(|matches| matches.subcommand_matches("fetch"));
    let url = fetch.and_then(|fetch| fetch.try_get_one::<String>("url").ok().flatten());
    if url.is_some_and(|url| Database::of(url).is_some()) {
        command = command.mut_subcommand("fetch", |fetch| fetch.mut_arg("more", |more| more.allow_hyphen_values(true)));
    }
    let matches = command.get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}
