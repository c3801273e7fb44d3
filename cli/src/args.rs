//! The command line as it is written: names, letters, defaults and help. What the words mean together is for each
//! command to say, in one place of its own.

use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use aquests::Versions;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::threshold::Threshold;
use crate::units::{self, Detour, Field, Known, Place};

/// Asks many servers many things at once: fetches, loads, and serves a target to try both on
#[derive(Debug, Parser)]
#[command(name = "aquests", version, arg_required_else_help = true, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Fetch(Box<FetchArgs>),
    Load(Box<LoadArgs>),
    Target(TargetArgs),
}

/// Fetches URLs and prints what they answer, or asks a database
///
/// URLs are fetched 64 at once, and their bodies are printed in the order in which the URLs were given. What a server
/// says, a 404 too, is an answer; --fail takes it for a failure.
///
/// Behind the URL of a database (redis://host:port/0) stand the words of a command, and no options. Without words, or with a
/// single dash, commands are read from standard input, one a line. Replies are printed as people read them on a terminal,
/// and raw elsewhere; errors go to standard error. SUBSCRIBE prints messages until Ctrl-C.
///
/// PostgreSQL (postgres://user@host/database, or 'host=… dbname=…') is asked statements, or one with values for $1, $2, …
/// behind it, or what standard input has. NULL is the value '\N', as COPY writes it, and '\\N' a backslash with an N. Results are tables on a terminal, and CSV elsewhere. COPY copies to standard output, and from standard
/// input or a file (-D). LISTEN prints notifications until Ctrl-C, which stops at the server whatever else
/// runs there.
#[derive(Debug, Args)]
#[command(after_help = "\
The password of a database may stand in its URL or in the environment (REDISCLI_AUTH; PGPASSWORD, PGPASSFILE and \
all else that psql looks at).\n\
Exit status: 0 all requests were answered, 1 some were not (or a database answered with an error), 2 the command line \
is wrong, 130 a statement was stopped by Ctrl-C.")]
pub(crate) struct FetchArgs {
    /// What to fetch, or whom to ask
    pub(crate) url: String,

    /// More to fetch; behind the URL of a database, the words of a command
    #[arg(value_name = "URL|WORD")]
    pub(crate) more: Vec<String>,

    /// Print the replies of a database as JSON, one a line; of PostgreSQL an object for each row
    #[arg(long)]
    pub(crate) json: bool,

    /// End after so many messages of a subscription, or notifications
    #[arg(long, value_parser = units::positive, value_name = "NUMBER")]
    pub(crate) count: Option<u64>,

    /// Print the heads of answers, too
    #[arg(short, long)]
    pub(crate) include: bool,

    /// Say on standard error what is sent, what comes, and how long it takes
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// A status of 400 or above is a failure, and its body is not printed
    #[arg(short, long)]
    pub(crate) fail: bool,

    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// A field of a form with files (multipart/form-data), as often as wanted: NAME=TEXT, or NAME=@FILE with
    /// ;filename=NAME and ;type=TYPE behind it where they are other
    #[arg(short = 'F', long = "form", value_parser = units::field, value_name = "NAME=CONTENT")]
    #[arg(conflicts_with_all = ["body", "body_file"])]
    pub(crate) form: Vec<Field>,

    /// Ask whether the server wants the body before sending it, for a second at most
    #[arg(long)]
    pub(crate) expect_continue: bool,

    #[command(flatten)]
    pub(crate) request: RequestArgs,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,

    /// Ask these name servers instead of those of the system
    #[arg(long, value_delimiter = ',', value_parser = units::name_server, value_name = "ADDRESS,…")]
    pub(crate) dns_servers: Option<Vec<SocketAddr>>,

    /// How long one answer may take in all [default: as long as it is not silent for 10s]
    #[arg(short, long, value_parser = units::time, value_name = "DURATION")]
    pub(crate) timeout: Option<Duration>,

    /// How long connecting may take
    #[arg(long, default_value = "10s", value_parser = units::time, value_name = "DURATION")]
    pub(crate) connect_timeout: Duration,
}

/// Loads a server and reports what came of it
///
/// Sends a request over and over on many connections, and reports how many were answered, with what, and how long the
/// answers took. Ctrl-C ends the run and prints the report.
#[derive(Debug, Args)]
#[command(after_help = "\
Numbers may end in k, m or g (10k is 10000). Durations have units (500ms, 10s, 1m30s); without one they are seconds.\n\
In URL, headers, body and words, {rand:1:100000}, {seq}, {uuid} and {bytes:64} are filled in anew for each request.\n\
A threshold names min, mean, p50, p99.9 or any other percentile, max, errors (a number, or % of requests), or rps.\n\
Exit status: 0 all requests were answered (a status of 500 and an error of a database are answers, too), 1 some were \
not or a threshold was missed, 2 the command line is wrong.")]
pub(crate) struct LoadArgs {
    /// What to load. Without it, or with a path only (/bytes/1000), a target in this process is loaded
    pub(crate) url: Option<String>,

    /// What to ask a database: the words of a command of Redis, or a statement and its values ('\N' is NULL); templates
    /// too. No options stand behind the first
    #[arg(value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) words: Vec<String>,

    /// Without a URL: let the target in this process speak TLS
    #[arg(long = "tls")]
    pub(crate) with_tls: bool,

    /// Connections in all
    #[arg(short, long, default_value = "50", value_parser = units::size, value_name = "NUMBER")]
    pub(crate) connections: usize,

    /// End after so many requests [default: 200, without -z]
    #[arg(short = 'n', long, value_parser = units::positive, value_name = "NUMBER")]
    pub(crate) requests: Option<u64>,

    /// End after so much time
    #[arg(short = 'z', long, value_parser = units::time, value_name = "DURATION")]
    pub(crate) duration: Option<Duration>,

    /// Start so many requests a second in all, whatever the answers do; latency is then also told from the moment a
    /// request was meant to start
    #[arg(short = 'q', long, value_parser = units::rate, value_name = "NUMBER")]
    pub(crate) rate: Option<f64>,

    /// Requests on their way at once on one connection: streams of HTTP/2, or the pipeline of HTTP/1.1, Redis or
    /// PostgreSQL
    #[arg(short = 'p', long, default_value = "1", value_parser = units::depth, value_name = "NUMBER")]
    pub(crate) depth: u16,

    /// How statements are sent to PostgreSQL: prepared once on each connection (as by default), prepared each time, or
    /// with their values written into them
    #[arg(short = 'M', long, value_name = "PROTOCOL")]
    pub(crate) protocol: Option<Sending>,

    /// Ask for HTTP/2 on plain http with the first request of each connection
    #[arg(long, conflicts_with_all = ["http1", "http2"])]
    pub(crate) upgrade: bool,

    /// Threads, each with its share of the connections
    #[arg(long, default_value = "1", value_parser = units::size, value_name = "NUMBER")]
    pub(crate) threads: usize,

    /// Load for so long before anything is counted
    #[arg(long, default_value = "0s", value_parser = units::duration, value_name = "DURATION")]
    pub(crate) warm_up: Duration,

    /// When the time of -z is over, wait for answers that are on their way
    #[arg(short = 'w', long)]
    pub(crate) wait: bool,

    /// Use each connection for one request (connection: close)
    #[arg(long, conflicts_with_all = ["http2", "upgrade"])]
    pub(crate) disable_keepalive: bool,

    /// Send what looks like a template ({seq}, {rand:1:9}, …) as it is
    #[arg(long)]
    pub(crate) no_template: bool,

    /// Look at each answer as soon as it comes, also where so many wait at the server that it is cheaper for both to let
    /// some gather
    #[arg(long)]
    pub(crate) no_coalesce: bool,

    #[command(flatten)]
    pub(crate) request: RequestArgs,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,

    /// How long one answer may take in all
    #[arg(short, long, default_value = "20s", value_parser = units::time, value_name = "DURATION")]
    pub(crate) timeout: Duration,

    /// How long connecting may take
    #[arg(long, default_value = "5s", value_parser = units::time, value_name = "DURATION")]
    pub(crate) connect_timeout: Duration,

    /// Write the report to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// The form of the report; json has a documented, stable schema, csv has a row for each interval
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub(crate) output_format: Format,

    /// What must be true of the run, as often as wanted: 'p99<50ms', 'errors<0.1%', 'rps>1000'
    #[arg(long = "threshold", value_parser = Threshold::parse, value_name = "CONDITION")]
    pub(crate) thresholds: Vec<Threshold>,

    /// Show what changed since an earlier run, whose report is this file (of --output-format json)
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,

    /// Print a line of progress each second, even to a terminal, instead of the live view
    #[arg(long)]
    pub(crate) no_tui: bool,

    /// Show neither progress nor the live view
    #[arg(long)]
    pub(crate) quiet: bool,
}

impl FetchArgs {
    /// Everything to be fetched.
    pub(crate) fn urls(&self) -> impl Iterator<Item = &String> {
        iter::once(&self.url).chain(&self.more)
    }

    /// The options that were given and that only HTTP has.
    pub(crate) fn of_http(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            ("--include", self.include),
            ("--fail", self.fail),
            ("--form", !self.form.is_empty()),
            ("--expect-continue", self.expect_continue),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).chain(self.request.of_http())
    }
}

impl LoadArgs {
    /// The options that were given and that only HTTP has.
    pub(crate) fn of_http(&self) -> impl Iterator<Item = &'static str> {
        let given = [("--upgrade", self.upgrade), ("--disable-keepalive", self.disable_keepalive)];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).chain(self.request.of_http())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
    Csv,
    Html,
}

/// How statements are sent, in the words of pgbench.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sending {
    #[default]
    Prepared,
    Extended,
    Simple,
}

/// What a request has beside its URL.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    /// The method [default: GET, or POST with a body]
    #[arg(short, long, value_name = "METHOD")]
    pub(crate) method: Option<String>,

    /// A header, as often as wanted
    #[arg(short = 'H', long = "header", value_parser = units::header, value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<(String, String)>,

    /// The body
    #[arg(short = 'd', long, value_name = "TEXT")]
    pub(crate) body: Option<String>,

    /// The body, from a file (- is standard input). fetch reads it as it sends it
    #[arg(short = 'D', long, value_name = "FILE", conflicts_with = "body")]
    pub(crate) body_file: Option<PathBuf>,

    /// The content-type header
    #[arg(short = 'T', long, value_name = "TYPE")]
    pub(crate) content_type: Option<String>,

    /// The accept header
    #[arg(short = 'A', long, value_name = "TYPES")]
    pub(crate) accept: Option<String>,

    /// Speak HTTP/1.1 only
    #[arg(long = "http1.1", conflicts_with = "http2")]
    pub(crate) http1: bool,

    /// Speak HTTP/2 only, on plain http without asking whether the server knows it
    #[arg(long)]
    pub(crate) http2: bool,

    /// Connect to this unix socket, whatever the URL names
    #[cfg(unix)]
    #[arg(long, value_name = "PATH")]
    pub(crate) unix_socket: Option<PathBuf>,
}

impl RequestArgs {
    /// Which versions of HTTP the server is asked in.
    pub(crate) fn versions(&self) -> Versions {
        match (self.http1, self.http2) {
            (true, _) => Versions::Http1,
            (_, true) => Versions::Http2,
            _ => Versions::Any,
        }
    }

    /// The options that were given and that only HTTP has.
    fn of_http(&self) -> impl Iterator<Item = &'static str> + use<> {
        let given = [
            ("--method", self.method.is_some()),
            ("--header", !self.headers.is_empty()),
            ("--body", self.body.is_some()),
            ("--body-file", self.body_file.is_some()),
            ("--content-type", self.content_type.is_some()),
            ("--accept", self.accept.is_some()),
            ("--http1.1", self.http1),
            ("--http2", self.http2),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name)
    }
}

/// Where connections lead.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Connect to this host and port, whatever the URL names; or, for one host and port, to another
    /// (HOST1:PORT1:HOST2:PORT2), as often as wanted
    #[arg(long, value_parser = units::detour, value_name = "[HOST1:PORT1:]HOST:PORT")]
    #[cfg_attr(unix, arg(conflicts_with = "unix_socket"))]
    pub(crate) connect_to: Vec<Detour>,

    /// The addresses of a host, for this port, as often as wanted
    #[arg(long, value_parser = units::known, value_name = "HOST:PORT:ADDRESS,…")]
    #[cfg_attr(unix, arg(conflicts_with = "unix_socket"))]
    pub(crate) resolve: Vec<Known>,
}

impl PlaceArgs {
    /// Where connections to a host and port are to lead, if elsewhere.
    pub(crate) fn detour(&self, host: &str, port: u16) -> Option<Place> {
        self.connect_to.iter().find_map(|detour| detour.of(host, port))
    }

    /// The addresses of a host, for connections to this port, if they were named.
    pub(crate) fn addresses(&self, host: &str, port: u16) -> Option<&[IpAddr]> {
        let known = self.resolve.iter().find(|known| known.host.eq_ignore_ascii_case(host) && known.port == port)?;
        Some(&known.addresses)
    }
}

/// Whom to trust over TLS, and who to be.
#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// Believe any certificate: who is on the way can read and change everything
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,

    /// Trust the certificates in this file (PEM) instead of those of the system
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,

    /// Show this certificate (PEM, its chain behind it) to servers that ask for one
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,

    /// The key of the certificate (PEM) [default: in the file of --cert]
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,

    /// Ask for this name, and want it in the certificate, whatever the URL names
    #[arg(long, value_name = "NAME")]
    pub(crate) sni: Option<String>,

    /// Speak TLS 1.2 only
    #[arg(long = "tls1.2", conflicts_with = "tls13")]
    pub(crate) tls12: bool,

    /// Speak TLS 1.3 only
    #[arg(long = "tls1.3")]
    pub(crate) tls13: bool,

    /// Begin every connection with a full handshake
    #[arg(long)]
    pub(crate) no_resume: bool,
}

/// Serves a target to try requests and loads on
///
/// An HTTP/1.1 server that answers from memory: / (a short text), /bytes/N and /chunked/N (N bytes, announced or in
/// chunks), /status/N, /delay/MS, /echo (the request itself), /redirect/N (N redirects to /), /close (and the
/// connection ends). Ctrl-C stops it.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// Where to listen; port 0 lets the system choose
    #[arg(short, long, default_value = "127.0.0.1:8080", value_name = "ADDRESS:PORT")]
    pub(crate) listen: SocketAddr,

    /// Listen on a unix socket instead
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", conflicts_with = "listen")]
    pub(crate) unix_socket: Option<PathBuf>,

    /// Speak TLS, with a certificate for localhost, 127.0.0.1 and ::1 that is made now; says where its authority is
    #[arg(long)]
    pub(crate) tls: bool,

    /// Speak TLS with this certificate (PEM, its chain behind it)
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,

    /// The key of the certificate (PEM) [default: in the file of --cert]
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
}
