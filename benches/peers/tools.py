"""Load generators: the command line of each, and how to read what it prints."""

import json
import re
from dataclasses import dataclass

from processes import HOST, Failed


@dataclass
class Load:
    """What a tool is asked to do: for so many seconds, or (where it can) so many requests."""

    url: str
    connections: int
    seconds: int
    requests: int = 0
    # The authority to trust; wrk trusts everybody.
    root: str = ""
    # A connection for each request, and no session resumed.
    fresh: bool = False
    # Requests at once on each connection, in HTTP/2; none in HTTP/1.1.
    streams: int = 0
    # What is asked of a server that speaks no HTTP: a command and its arguments, or a statement and its values.
    words: tuple = ()
    # Commands on their way at once on each connection, where there is such a thing.
    depth: int = 0


class Aquests:
    name = "aquests"

    def __init__(self, binary):
        self.binary = binary

    def command(self, load):
        options = ["-n", str(load.requests)] if load.requests else ["-z", f"{load.seconds}s"]
        if load.words:
            options += ["-c", str(load.connections), *(["-p", str(load.depth)] if load.depth else [])]
            return [self.binary, "load", load.url, "--quiet", "--output-format", "json", *options, *load.words]
        if load.root:
            options += ["--cacert", load.root]
        options += ["--http2", "-p", str(load.streams)] if load.streams else ["--http1.1"]
        if load.fresh:
            options += ["--disable-keepalive", "--no-resume"]
        form = ["--quiet", "--output-format", "json"]
        return [self.binary, "load", *form, "-c", str(load.connections), *options, load.url]

    def report(self, output):
        try:
            return json.loads(output)
        except ValueError:
            raise Failed(f"this is no report of aquests:\n{output}") from None

    def seconds(self, output):
        return self.report(output)["elapsed"]

    def requests(self, output):
        """Requests that were answered; anything else is not worth comparing."""
        requests = self.report(output)["requests"]
        if requests["failed"]:
            raise Failed(f"aquests met errors:\n{output}")
        return requests["answered"]


class Wrk:
    name = "wrk"

    def __init__(self, binary):
        self.binary = binary

    def command(self, load):
        return [self.binary, "-t1", f"-c{load.connections}", f"-d{load.seconds}s", "--timeout", "60s", load.url]

    def seconds(self, output):
        number, unit = re.search(r"requests in ([\d.]+)(us|ms|s|m)", output).groups()
        return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]

    def requests(self, output):
        if re.search(r"Non-2xx|Socket errors", output):
            raise Failed(f"wrk met errors:\n{output}")
        return int(re.search(r"(\d+) requests in", output).group(1))


class H2load:
    name = "h2load"

    def __init__(self, binary):
        self.binary = binary

    def command(self, load):
        return [self.binary, "-t1", f"-c{load.connections}", f"-m{load.streams}", f"-D{load.seconds}", load.url]

    def seconds(self, output):
        number, unit = re.search(r"finished in ([\d.]+)(us|ms|s)", output).groups()
        return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]

    def requests(self, output):
        counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
        succeeded, *wrong = (int(count) for count in counts.groups())
        if any(wrong):
            raise Failed(f"h2load met errors:\n{output}")
        return succeeded


class OpensslTime:
    """One connection after the other, each with a full handshake and one request."""

    name = "openssl s_time"

    def __init__(self, binary):
        self.binary = binary

    def command(self, load):
        place, path = load.url.removeprefix("https://").split("/", 1)
        check = ["-verify", "2", "-CAfile", load.root]
        return [self.binary, "s_time", "-new", "-connect", place, "-www", f"/{path}", "-time", str(load.seconds), *check]

    def seconds(self, output):
        return float(re.search(r"connections in (\d+) real seconds", output).group(1))

    def requests(self, output):
        return int(re.search(r"(\d+) connections in \d+ real seconds", output).group(1))


class RedisBenchmark:
    name = "redis-benchmark"

    def __init__(self, binary, port, keys):
        self.binary, self.port, self.keys = binary, port, keys

    def command(self, load):
        where = ["-h", HOST, "-p", str(self.port), "-c", str(load.connections), "-P", str(load.depth)]
        what = ["-n", str(load.requests), "-t", load.words[0].lower(), "-r", str(self.keys)]
        return [self.binary, *where, *what]

    def seconds(self, output):
        return float(re.search(r"requests completed in ([\d.]+) seconds", output).group(1))

    def requests(self, output):
        if re.search(r"^Error|WARNING", output, re.MULTILINE):
            raise Failed(f"redis-benchmark met errors:\n{output}")
        return int(re.search(r"(\d+) requests completed in", output).group(1))


class Pgbench:
    """Its transaction of one SELECT, prepared once on each connection."""

    name = "pgbench"

    def __init__(self, binary, host, port):
        self.binary, self.host, self.port = binary, host, port

    def command(self, load):
        where = ["-h", self.host, "-p", str(self.port), "-U", "postgres"]
        what = ["-S", "-M", "prepared", "-n", "-c", str(load.connections), "-j", "1", "-T", str(load.seconds)]
        return [self.binary, *where, *what, "postgres"]

    def seconds(self, output):
        # Its rate leaves out how long it took to connect; ours does not.
        connecting = float(re.search(r"initial connection time = ([\d.]+) ms", output).group(1)) / 1000
        return self.requests(output) / float(re.search(r"tps = ([\d.]+)", output).group(1)) + connecting

    def requests(self, output):
        failed = int(re.search(r"number of failed transactions: (\d+)", output).group(1))
        if failed or "aborted" in output:
            raise Failed(f"pgbench met errors:\n{output}")
        return int(re.search(r"number of transactions actually processed: (\d+)", output).group(1))


class Rows:
    """A tool that asks PostgreSQL one thing and throws away what comes: a request is a row here."""

    def __init__(self, name, command, rows):
        self.name, self.ask, self.rows = name, command, rows

    def command(self, load):
        # psql takes no option behind the URL, and ours nothing but the statement.
        words = ["-c", *load.words, load.url] if self.name == "psql" else [load.url, *load.words]
        return [*self.ask, "-o", "/dev/null", *words]

    def seconds(self, output):
        return None

    def requests(self, output):
        return self.rows


class Download:
    """A tool that fetches one URL and throws it away: a request is a MiB here."""

    def __init__(self, name, command, megabytes):
        self.name, self.fetch, self.megabytes = name, command, megabytes

    def command(self, load):
        return [*self.fetch, "-o", "/dev/null", *(["--cacert", load.root] if load.root else []), load.url]

    def seconds(self, output):
        return None

    def requests(self, output):
        return self.megabytes
