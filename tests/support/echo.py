"""A server that tells what it was sent: `echo.py PORT`.

Any path: a JSON object with method, path, headers (as name-value pairs, in order), body (base64), and the parts of a body
that is a form with files, as the standard library reads them (name, filename, type, base64). Query arguments change the
answer: `status=404`, `chunked=7` (in chunks of so many bytes), `location=/x`, `header=name:value` (several), `size=N`
(so many bytes instead of the object), `close=1`.
"""

import base64
import email
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def parts(self, body):
        kind = self.headers.get("content-type", "")
        if not kind.startswith("multipart/"):
            return []
        form = email.message_from_bytes(b"content-type: " + kind.encode() + b"\r\n\r\n" + body)
        return [
            [
                part.get_param("name", header="content-disposition"),
                part.get_filename(),
                part.get_content_type(),
                base64.b64encode(part.get_payload(decode=True)).decode(),
            ]
            for part in form.get_payload()
        ]

    def answer(self):
        query = parse_qs(urlsplit(self.path).query)
        sent = self.body()
        told = {
            "method": self.command,
            "path": self.path,
            "headers": self.headers.items(),
            "body": base64.b64encode(sent).decode(),
            "parts": self.parts(sent),
        }
        body = b"x" * int(query["size"][0]) if "size" in query else json.dumps(told).encode()
        self.send_response(int(query.get("status", ["200"])[0]))
        for location in query.get("location", []):
            self.send_header("location", location)
        for header in query.get("header", []):
            self.send_header(*header.split(":", 1))
        if "close" in query:
            self.send_header("connection", "close")
        size = int(query.get("chunked", ["0"])[0])
        if size:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if not size:
            self.wfile.write(body)
            return
        for start in range(0, len(body), size):
            part = body[start : start + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
