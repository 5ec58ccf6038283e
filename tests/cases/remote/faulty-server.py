#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A web server with ranges and PUT over a directory, that does one thing wrong
# at every N-th request:
#
#	faulty-server.py DIR FAULT N
#
# FAULT is a status (500, 413, 507, 404), down (the connection ends without an
# answer), slow (a second passes first), wrong (a byte differs), truncated (it
# ends early), short (a shorter body, and says so), long (a longer one),
# endless, whole (all in place of a part), or late (its clock is an hour behind).
# Prints its port, and ends with its standard input.
import http.server
import os
import re
import sys
import threading
import time

root, fault, every = sys.argv[1], sys.argv[2], int(sys.argv[3])
calls = 0
lock = threading.Lock()


def is_faulty():
    global calls
    with lock:
        calls += 1
        return calls % every == 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def date_time_string(self, timestamp=None):
        now = time.time() - 3600 * (fault == "late")
        return super().date_time_string(timestamp or now)

    def path_of(self):
        return os.path.join(root, self.path.lstrip("/"))

    def answer(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length",
                         str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # True where the request is answered, or not to be.
    def fail(self):
        if not is_faulty():
            return None
        if fault.isdigit():
            self.answer(int(fault))
        elif fault == "down":
            self.close_connection = True
        elif fault == "slow":
            time.sleep(1)
            return None
        else:
            return fault
        return "done"

    def endless(self):
        self.send_response(206 if self.headers.get("Range") else 200)
        if self.headers.get("Range"):
            first, last = self.wanted(1 << 62)
            self.send_header("Content-Range",
                             "bytes %d-%d/*" % (first, last))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(b"10000\r\n" + b"\0" * 65536 + b"\r\n")
        except OSError:
            pass

    def wanted(self, size):
        m = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not m:
            return 0, size - 1
        return int(m[1]), min(int(m[2]) if m[2] else size - 1, size - 1)

    def do_GET(self):
        how = self.fail()
        if how == "done":
            return
        try:
            with open(self.path_of(), "rb") as f:
                data = f.read()
        except OSError:
            self.answer(404)
            return
        if self.command == "HEAD":
            self.answer(200, length=len(data) + (how == "long"))
            return
        if how == "endless":
            self.endless()
            return
        first, last = self.wanted(len(data))
        body, headers, status = data[first:last + 1], [], 200
        if how == "whole":
            body = data
        elif self.headers.get("Range"):
            status = 206
            headers = [("Content-Range",
                        "bytes %d-%d/%d" % (first, last, len(data)))]
        length = len(body)
        if how == "wrong" and body:
            n = len(body) // 2
            body = body[:n] + bytes([body[n] ^ 64]) + body[n + 1:]
        if how in ("truncated", "short"):
            body = body[:len(body) // 2]
        if how == "long":
            body += b"x"
        self.answer(status, body, headers,
                    length if how == "truncated" else len(body))
        if how == "truncated":
            self.close_connection = True

    do_HEAD = do_GET

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        how = self.fail()
        if how == "done":
            return
        os.makedirs(os.path.dirname(self.path_of()), exist_ok=True)
        temporary = self.path_of() + ".%d" % threading.get_ident()
        with open(temporary, "wb") as f:
            f.write(body)
        os.rename(temporary, self.path_of())
        self.answer(201)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
