//! What a load is to be, from the arguments as they were written: the only place where one option looks at another.
//! Starts nothing.

use std::fmt;
use std::net::SocketAddr;

use aquests::load::{Mode, Plan};

use crate::args::{LoadArgs, Sending};
use crate::database::{self, Database};
use crate::output::Failure;
use crate::request::Parts;
use crate::tls;

/// A load that can be run.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) args: &'a LoadArgs,
    pub(super) plan: Plan,
    /// What is loaded.
    pub(super) url: String,
    /// Where to connect instead of where the URL leads.
    pub(super) connect_to: Option<String>,
    /// How many requests end it.
    pub(super) requests: Option<u64>,
    pub(super) parts: Parts,
}

/// As hey and oha.
const REQUESTS: u64 = 200;

/// Where a target in this process listens, and what is to be trusted there (PEM) if that is not known.
#[derive(Debug)]
pub(super) struct Embedded {
    pub(super) url: String,
    pub(super) authority: Option<String>,
}

/// Whether the target is to be one in this process: where no server is named.
pub(super) fn is_embedded(args: &LoadArgs) -> Result<bool, Failure> {
    let embedded = args.url.as_deref().is_none_or(|url| url.starts_with('/'));
    if args.with_tls && !embedded {
        let sentence = "--tls is for a target in this process: a URL says so itself, as https://";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    if embedded && leads_elsewhere(args) {
        let sentence =
            "with --connect-to, --resolve or --unix-socket, a URL must say what to ask for: http://localhost/";
        return Err(Failure::Usage(sentence.to_owned()));
    }
    Ok(embedded)
}

fn leads_elsewhere(args: &LoadArgs) -> bool {
    #[cfg(unix)]
    if args.request.unix_socket.is_some() {
        return true;
    }
    !args.places.connect_to.is_empty() || !args.places.resolve.is_empty()
}

impl<'a> Job<'a> {
    /// `embedded`: the target in this process.
    pub(super) fn new(args: &'a LoadArgs, embedded: Option<&Embedded>) -> Result<Self, Failure> {
        let path = args.url.as_deref().unwrap_or("/");
        let url = match embedded {
            Some(target) => format!("{}{path}", target.url.trim_end_matches('/')),
            None => path.to_owned(),
        };
        let tls = tls::settings(&args.tls, embedded.and_then(|target| target.authority.as_deref()))?;
        let requests = args.requests.or(if args.duration.is_none() { Some(REQUESTS) } else { None });
        let database = Database::of(&url);
        if args.protocol.is_some() && database != Some(Database::Postgres) {
            return Err(Failure::Usage("--protocol is for PostgreSQL: postgres://… \"SELECT 1\"".to_owned()));
        }
        let (mut plan, url, parts) = match database {
            Some(Database::Redis) => redis(&url, args)?,
            Some(Database::Postgres) => postgres(&url, args)?,
            None => {
                let parts = Parts::read(&args.request)?;
                (http(&url, args, &parts)?, url, parts)
            }
        };
        plan = plan
            .templates(!args.no_template)
            .coalesce(!args.no_coalesce)
            .connections(args.connections)
            .depth(args.depth)
            .threads(args.threads)
            .warm_up(args.warm_up)
            .timeout(args.timeout)
            .connect_timeout(args.connect_timeout)
            .wait_for_ongoing(args.wait)
            .tls(tls);
        if let Some(requests) = requests {
            plan = plan.requests(requests);
        }
        if let Some(duration) = args.duration {
            plan = plan.duration(duration);
        }
        if let Some(rate) = args.rate {
            plan = plan.rate(rate);
        }
        let mut connect_to = None;
        let mut place = plan.host().map(|(host, port)| (host.to_owned(), port)).unwrap_or_default();
        if let Some(elsewhere) = args.places.detour(&place.0, place.1) {
            place = elsewhere;
            plan = plan.connect_to_host(&place.0, place.1);
            connect_to = Some(format!("{}:{}", place.0, place.1));
        }
        if let Some(addresses) = args.places.addresses(&place.0, place.1) {
            plan = plan.connect_to_any(addresses.iter().map(|ip| SocketAddr::new(*ip, place.1)));
            connect_to = Some(plan.peer());
        }
        #[cfg(unix)]
        if let Some(path) = &args.request.unix_socket {
            plan = plan.unix_socket(path);
            connect_to = Some(plan.peer());
        }
        plan.check()?;
        Ok(Self { args, plan, url, connect_to, requests, parts })
    }
}

impl From<Sending> for Mode {
    fn from(sending: Sending) -> Self {
        match sending {
            Sending::Prepared => Mode::Prepared,
            Sending::Extended => Mode::Extended,
            Sending::Simple => Mode::Simple,
        }
    }
}

fn http(url: &str, args: &LoadArgs, parts: &Parts) -> Result<Plan, Failure> {
    if !args.words.is_empty() {
        return Err(Failure::Usage("words behind the URL are for databases: redis://… GET key".to_owned()));
    }
    let mut plan = Plan::new(url)?
        .method(&parts.method)
        .body(parts.body.clone().unwrap_or_default())
        .versions(args.request.versions())
        .upgrade(args.upgrade);
    for (name, value) in &parts.headers {
        plan = plan.header(name, value);
    }
    if args.disable_keepalive {
        // HTTP/2 has no word for it.
        plan = plan.header("connection", "close").versions(aquests::Versions::Http1);
    }
    Ok(plan)
}

/// The plan, the URL without what is secret in it, and the name of the command in the place of a method: its arguments may
/// be secrets.
type Asked = (Plan, String, Parts);

fn postgres(url: &str, args: &LoadArgs) -> Result<Asked, Failure> {
    let db = database::postgres(url, &args.tls, args.of_http().next())?;
    let Some((sql, values)) = args.words.split_first() else {
        return Err(Failure::Usage("a statement is missing behind the URL: postgres://… \"SELECT 1\"".to_owned()));
    };
    let name = sql.trim_start().split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
    let values = values.iter().map(|word| database::value(word));
    let plan = Plan::postgres(&db, sql, values, args.protocol.unwrap_or_default().into())?;
    Ok((plan, db.url().to_string(), Parts::named(name)))
}

fn redis(url: &str, args: &LoadArgs) -> Result<Asked, Failure> {
    let db = database::redis(url, args.of_http().next())?;
    let Some(name) = args.words.first() else {
        return Err(Failure::Usage("a command of Redis is missing behind the URL: redis://… GET key".to_owned()));
    };
    Ok((Plan::redis(&db, &args.words)?, database::shown(&db), Parts::named(name)))
}

impl fmt::Display for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args = self.args;
        write!(f, "{} {}", self.parts.method, self.url)?;
        if let Some(place) = &self.connect_to {
            write!(f, " at {place}")?;
        }
        write!(f, ": {} on {}", plural(args.connections as u64, "connection"), plural(args.threads as u64, "thread"))?;
        if args.depth > 1 {
            write!(f, ", {} at once on each", args.depth)?;
        }
        if let Some(requests) = self.requests {
            write!(f, ", {}", plural(requests, "request"))?;
        }
        if let Some(duration) = args.duration {
            write!(f, ", for {duration:?}")?;
        }
        if !args.warm_up.is_zero() {
            write!(f, " after {:?} of warm-up", args.warm_up)?;
        }
        if let Some(rate) = args.rate {
            write!(f, ", {rate} a second")?;
        }
        Ok(())
    }
}

fn plural(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
