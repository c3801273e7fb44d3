"""Programs as child processes: where they are, what they used, and that none outlives this one. Knows no server and no
tool."""

import ctypes
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
INSTALL = {name: name for name in ("nginx", "wrk", "openssl", "curl", "valgrind", "strace")}
INSTALL.update({
    "h2load": "nghttp2-client",
    "initdb": "postgresql",
    "pgbench": "postgresql",
    "postgres": "postgresql",
    "psql": "postgresql-client",
    "redis-benchmark": "redis-tools",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "setpriv": "util-linux",
})
# The user `nobody` and its group, who own nothing.
NOBODY = 65534
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A reason to stop, told without a traceback."""


def find(program):
    """The path of a program, or nothing."""
    # Servers live in folders that are not on everybody's path, PostgreSQL in one for each version.
    versions = [str(folder) for folder in Path("/usr/lib/postgresql").glob("*/bin")]
    folders = [os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", *versions]
    return shutil.which(program, path=":".join(folders))


def need(program):
    """The path of a program, or the line that installs it."""
    path = find(program)
    if path is None:
        raise Failed(f"{program} is missing; install it with: apt-get install {INSTALL[program]}")
    return path


def unprivileged(command, farewell="TERM"):
    """The same command without the rights of root, for programs that refuse to have them."""
    if os.geteuid() != 0:
        return command
    # Whoever changes the user forgets at whose end the child is to end.
    change = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--pdeathsig", farewell]
    return [need("setpriv"), *change, "--", *command]


def prepare_child(core):
    """Runs in the child before it becomes another program."""
    libc = ctypes.CDLL(None)

    def prepare():
        # Nothing that was started here outlives this program, even when this program is killed.
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if core is not None:
            os.sched_setaffinity(0, {core})

    return prepare


@dataclass
class Usage:
    """What a finished process used."""

    output: str
    cpu: float
    peak: int
    wall: float


def peak_memory(pid):
    """The high-water mark of resident memory so far, in bytes.

    Not ru_maxrss: that one remembers the memory of the process that forked, which is an interpreter.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else 0


def execute(command, core, limit):
    """Runs a program to its end, at most for `limit` seconds."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, preexec_fn=prepare_child(core)
        )
        begin = time.monotonic()
        end = begin + limit
        peak = 0
        try:
            while True:
                peak = max(peak, peak_memory(process.pid))
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    wall = time.monotonic() - begin
                    break
                if time.monotonic() > end:
                    raise Failed(f"no end after {limit:.0f} s: {' '.join(command)}")
                time.sleep(0.02)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode != 0:
        raise Failed(f"exit code {process.returncode}: {' '.join(command)}\n{text}")
    return Usage(text, usage.ru_utime + usage.ru_stime, peak, wall)


def free_port(first=None):
    """A port below the ephemeral range, so that no outgoing connection takes it meanwhile."""
    for port in range(first or 20000 + os.getpid() % 10000, 32768):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
                return port
            except OSError:
                continue
    raise Failed("no free port below 32768")


class Server:
    """A process that listens, ended with this object."""

    def __init__(self, command, port, core, farewell=signal.SIGTERM):
        self.port = port
        self.farewell = farewell
        # A file, as nobody reads a pipe while the server runs.
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=prepare_child(core)
        )
        for _ in range(500):
            if self.process.poll() is not None:
                self.log.seek(0)
                raise Failed(f"{command[0]} ended at once: {self.log.read().decode(errors='replace')}")
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    return
            time.sleep(0.01)
        self.stop()
        raise Failed(f"{command[0]} does not answer on port {port}")

    def stop(self):
        self.process.send_signal(self.farewell)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
