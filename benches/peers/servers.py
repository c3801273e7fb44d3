"""The servers that are loaded, each in a folder and on ports of its own."""

import os
import signal
import subprocess
import sys
import time

from processes import HOST, NOBODY, Failed, Server, free_port, need, unprivileged

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    http2_max_concurrent_streams 128;
    keepalive_timeout 600s;
    open_file_cache max=100;
    # Head and body leave in one write, as with most application servers.
    sendfile off;
    output_buffers 1 64k;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    server {{
        listen {host}:{port} backlog=8192;
        listen {host}:{secure_port} ssl backlog=8192;
        listen {host}:{http2_port} http2 backlog=8192;
        listen {host}:{secure_http2_port} ssl http2 backlog=8192;
        root {folder};
        location = /2 {{ return 200 "ok"; }}
    }}
}}
"""


def certify(folder):
    """Makes an authority (root.pem) and a certificate of it for HOST: keys of P-256, as most servers have them."""
    openssl = need("openssl")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    (folder / "names").write_text(f"subjectAltName=IP:{HOST}\nextendedKeyUsage=serverAuth\n")
    for command in (
        ["req", "-x509", *key, "-days", "2", "-subj", "/CN=root", "-keyout", "root.key", "-out", "root.pem"],
        ["req", *key, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr"],
        ["x509", "-req", "-in", "server.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "2",
         "-extfile", "names", "-out", "server.pem"],
    ):
        subprocess.run([openssl, *command], cwd=folder, check=True, stderr=subprocess.DEVNULL)


def start_nginx(folder, core):
    certify(folder)
    (folder / "4k").write_bytes(b"x" * 4096)
    port = free_port()
    secure_port = free_port(port + 1)
    config = folder / "nginx.conf"
    http2_port = free_port(secure_port + 1)
    secure_http2_port = free_port(http2_port + 1)
    ports = {"port": port, "secure_port": secure_port, "http2_port": http2_port, "secure_http2_port": secure_http2_port}
    config.write_text(NGINX.format(folder=folder, host=HOST, **ports))
    server = Server([need("nginx"), "-p", str(folder), "-c", str(config)], port, core)
    server.ports = ports
    server.secure_port = secure_port
    return server


SILENT = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=8192)
held = []
while True:
    held.append(listener.accept()[0])
"""


def start_silent(core):
    """A server that accepts and never says a word."""
    port = free_port()
    return Server([sys.executable, "-c", SILENT, str(port)], port, core)


# What `redis-benchmark -r` draws from, and how it writes a number into a key.
REDIS_KEYS = 100_000


def start_redis(core):
    """Redis with one thread that writes nothing to disk, and the keys and values of redis-benchmark."""
    port = free_port()
    quiet = ["--save", "", "--appendonly", "no", "--daemonize", "no"]
    server = Server([need("redis-server"), "--bind", HOST, "--port", str(port), *quiet], port, core)
    try:
        sets = "".join(f"SET key:{number:012} VXK\r\n" for number in range(REDIS_KEYS))
        command = [need("redis-cli"), "-h", HOST, "-p", str(port)]
        subprocess.run([*command, "--pipe"], input=sets.encode(), check=True, stdout=subprocess.DEVNULL)
        held = subprocess.run([*command, "DBSIZE"], check=True, stdout=subprocess.PIPE).stdout
        if int(held) != REDIS_KEYS:
            raise Failed(f"Redis holds {held.decode().strip()} keys instead of {REDIS_KEYS}")
    except BaseException:
        server.stop()
        raise
    return server


def start_postgres(folder, core):
    """PostgreSQL that trusts everybody, with the tables of pgbench in the database `postgres`."""
    folder = folder / "postgres"
    folder.mkdir()
    # It runs as another user, who must come to its folder.
    folder.parent.chmod(0o711)
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    data = str(folder / "data")
    make = [need("initdb"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D", data]
    subprocess.run(unprivileged(make), cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    port = free_port()
    settings = {
        "listen_addresses": HOST,
        "unix_socket_directories": str(folder),
        "fsync": "off",
        "max_connections": "200",
        # Nothing begins by itself in the middle of a run.
        "autovacuum": "off",
        "checkpoint_timeout": "1d",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = unprivileged([need("postgres"), "-D", data, "-p", str(port), *options], "INT")
    # By another signal it would wait for its clients.
    server = Server(command, port, core, signal.SIGINT)
    try:
        fill = [need("pgbench"), "-i", "-q", "-s", "1", "-h", HOST, "-p", str(port), "-U", "postgres", "postgres"]
        for attempt in range(100):
            done = subprocess.run(fill, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode == 0:
                return server
            text = done.stdout.decode(errors="replace")
            # It accepts before it is ready.
            if "starting up" not in text:
                break
            time.sleep(0.05)
        raise Failed(f"pgbench cannot fill its tables: {text}")
    except BaseException:
        server.stop()
        raise
