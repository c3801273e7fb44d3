//! Servers as child processes: ended by their own pid when dropped, and by the system when this process dies.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    farewell: Signal,
    pub(crate) port: u16,
}

/// How long a server may take to answer after its start, or to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How a server is started and ended.
#[derive(Clone, Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) program: PathBuf,
    /// Where it gives up being root before it begins: some servers refuse to be that.
    pub(crate) unprivileged: bool,
    /// What ends it, and its clients with it.
    pub(crate) farewell: Signal,
    /// The file that takes what it says. Without one, what it says must be little: it is not read before its end.
    pub(crate) log: Option<&'a Path>,
    /// The port that it had before, if it is to have that again; otherwise a free one.
    pub(crate) port: Option<u16>,
}

impl<'a> Launch<'a> {
    /// `package` is what to install where the program is missing.
    pub(crate) fn new(program: &str, package: &str) -> Self {
        Self::at(find(program, package))
    }

    pub(crate) fn at(program: PathBuf) -> Self {
        Self { program, unprivileged: false, farewell: Signal::TERM, log: None, port: None }
    }

    /// Starts it on a port, which `command` puts into its arguments, and waits until it accepts.
    pub(crate) fn start(self, mut arguments: impl FnMut(&mut Command, u16)) -> Server {
        let mut last = None;
        // Another process may take the port between the probe and the start.
        for _ in 0..5 {
            let port = self.port.unwrap_or_else(free_port);
            let farewell = if self.farewell == Signal::INT { "INT" } else { "TERM" };
            let mut command = Command::new(find("setpriv", "util-linux"));
            if self.unprivileged {
                command.args(unprivileged());
            }
            // The kernel ends the server when the thread that started it ends, whatever ended that.
            command.args(["--pdeathsig", farewell, "--"]).arg(&self.program);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            if let Some(log) = self.log {
                let file = File::create(log).unwrap_or_else(|error| panic!("cannot make {}: {error}", log.display()));
                command.stdout(file.try_clone().expect("a file can be shared")).stderr(file);
            }
            arguments(&mut command, port);
            let child =
                spawn(command).unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
            let mut server = Server { child, farewell: self.farewell, port };
            match server.wait_until_it_accepts() {
                None => return server,
                Some(status) => last = Some((status, server.complaint(self.log))),
            }
        }
        let (status, complaint) = last.expect("there was a first time");
        panic!("{} ended at its start with {status}: {complaint}", self.program.display());
    }
}

impl Server {
    /// Starts a server on a free port, which `command` puts into its arguments, and waits until it accepts. `package` is
    /// what to install where the program is missing.
    pub(crate) fn start(program: &str, package: &str, arguments: impl FnMut(&mut Command, u16)) -> Self {
        Launch::new(program, package).start(arguments)
    }

    /// Starts a server of ours, which takes a port from the system and says on its first line which. `build` is the line
    /// that builds it where it is missing.
    pub(crate) fn announced(program: &Path, build: &str, arguments: &[&str]) -> Self {
        assert!(program.is_file(), "{} is missing; build it with: {build}", program.display());
        let mut command = Command::new(find("setpriv", "util-linux"));
        command.args(["--pdeathsig", "TERM", "--"]).arg(program).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = spawn(command).unwrap_or_else(|error| panic!("cannot start {}: {error}", program.display()));
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("it was piped"));
        stdout.read_line(&mut line).expect("its first line can be read");
        let port = line.trim().parse().unwrap_or_else(|_| panic!("{} said no port: '{line}'", program.display()));
        Self { child, farewell: Signal::TERM, port }
    }

    /// Its end, if it came before it accepted.
    fn wait_until_it_accepts(&mut self) -> Option<ExitStatus> {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return Some(status);
            }
            assert!(start.elapsed() < PATIENCE, "the server on port {} does not accept", self.port);
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    fn complaint(&mut self, log: Option<&Path>) -> String {
        if let Some(log) = log {
            return fs::read_to_string(log).unwrap_or_default();
        }
        let mut text = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = io::Read::read_to_string(&mut stderr, &mut text);
        }
        text
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet, or nobody has seen that it has.
    pub(crate) fn runs(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {pid:?}: {error}"));
    }

    /// Holds it still, and waits until it is.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
        let pid = Pid::from_child(&self.child);
        wait_until("a server that is to be held still is", || state(pid) == 'T');
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for something that it does when it is ready. What it says is in its log.
    #[track_caller]
    pub(crate) fn wait_until(&mut self, what: &str, log: &Path, mut is_so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_so() {
            let (runs, late) = (self.runs(), start.elapsed() > PATIENCE);
            assert!(runs && !late, "no sign that {what}; it runs: {runs}; {}", self.complaint(Some(log)));
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it as a crash does, and waits for that.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it and waits for that.
    pub(crate) fn stop(&mut self) {
        if !self.runs() {
            return;
        }
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, self.farewell);
        // One that is held still would not see that.
        let _ = kill_process(pid, Signal::CONT);
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.kill();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts a child from a thread that lives as long as this process: "parent death" means the thread that forked, and the
/// threads of tests end early.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, result) = mpsc::channel();
    starter.send((command, answer)).expect("the starter lives as long as the process");
    result.recv().expect("the starter answers every order")
}

/// Where a program is. Servers live in folders that are not on everybody's path.
pub(crate) fn find(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"].map(|folder| Path::new(folder).to_path_buf());
    // PostgreSQL has a folder for each version.
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(OsStr::new(&path))
        .chain(usual)
        .chain(versions.map(|version| version.path().join("bin")))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{program} is missing; install it with: apt-get install {package}"))
}

/// The user `nobody` and its group, who own nothing.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What makes `setpriv` give up being root, where this process is root.
pub(crate) fn unprivileged() -> Vec<String> {
    if !is_root() {
        return Vec::new();
    }
    vec![format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".into()]
}

/// Whom [`unprivileged`] servers run as can start a program in a folder of somebody else.
#[track_caller]
pub(crate) fn assert_reachable(program: &Path) {
    if !is_root() {
        return;
    }
    for path in program.ancestors() {
        let about = fs::metadata(path).unwrap_or_else(|error| panic!("cannot look at {}: {error}", path.display()));
        let open = std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o001 != 0;
        assert!(open, "nobody but its owner can get at {}; let others: chmod o+x {0}", path.display());
    }
}

/// Gives a file to whom [`unprivileged`] servers run as.
pub(crate) fn hand_over(path: &Path) {
    if is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY))
            .unwrap_or_else(|error| panic!("cannot give {} away: {error}", path.display()));
    }
}

/// What a program says that comes to its end, or what it complains about.
pub(crate) fn run(command: &mut Command, input: &str) -> Result<String, String> {
    let name = command.get_program().display().to_string();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
    let mut stdin = child.stdin.take().expect("it was piped");
    let output = thread::scope(|scope| {
        // Beside the reading: neither pipe may fill up while nobody reads.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output().unwrap_or_else(|error| panic!("cannot wait for {name}: {error}"))
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches(['\r', '\n']).to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr) + &text(&output.stdout)) }
}

/// The state of a process (proc(5)): `T` is held still, `Z` has ended, and so has one that is not there.
pub(crate) fn state(pid: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // "pid (name) state …", and a name may hold anything.
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('Z')
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not after {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A port on which nobody listens, below the ephemeral range, so that no outgoing connection takes it meanwhile.
pub(crate) fn free_port() -> u16 {
    const FROM: u16 = 12_000;
    const PORTS: u16 = 32_768 - FROM;
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    // Test binaries that run at the same time begin at different places.
    let next = NEXT.get_or_init(|| AtomicU16::new((std::process::id().wrapping_mul(7919) % u32::from(PORTS)) as u16));
    (0..PORTS)
        .map(|_| FROM + next.fetch_add(1, Ordering::Relaxed) % PORTS)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("a free port below 32768")
}

/// Raises the soft limit of open files to the hard one, for this process and what it starts from here on.
#[track_caller]
pub(crate) fn raise_open_files(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum;
    assert!(
        hard.is_none_or(|hard| hard >= needed),
        "this needs {needed} open files and the hard limit is {}: raise it (ulimit -Hn)",
        hard.unwrap_or(u64::MAX)
    );
    let limit = Rlimit { current: hard, maximum: hard };
    setrlimit(Resource::Nofile, limit).unwrap_or_else(|error| panic!("cannot raise the limit of open files: {error}"));
}
