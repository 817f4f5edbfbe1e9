"""Serves a folder over HTTP on loopback for download tests. Prints its port, ends when standard input does.

Usage: file_server.py FOLDER MODE. Modes: ranges (answers Range with 206), whole (ignores Range, as python3 -m http.server),
drop (as ranges, but the first answer for a path breaks off half-way), fail (503 for the first two requests), endless
(sends for ever). The requests made are appended to FOLDER/requests.log: path and Range header.
"""
import http.server
import os
import sys
import threading

FOLDER, MODE = sys.argv[1], sys.argv[2]
seen = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        wanted = self.headers.get("Range", "-")
        with open(os.path.join(FOLDER, "requests.log"), "a") as log:
            log.write(f"{self.path} {wanted}\n")
        seen[self.path] = seen.get(self.path, 0) + 1
        if MODE == "fail" and seen[self.path] <= 2:
            return self.answer(503, b"")
        try:
            with open(os.path.join(FOLDER, self.path.lstrip("/")), "rb") as file:
                data = file.read()
        except OSError:
            return self.answer(404, b"")
        if MODE == "endless":
            return self.endless(data)
        start = 0
        if wanted.startswith("bytes=") and MODE != "whole":
            start = int(wanted[6:].rstrip("-"))
            if start >= len(data):
                return self.answer(416, b"")
        extra = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        body = data[start:]
        if MODE == "drop" and seen[self.path] == 1:
            self.answer(206 if start else 200, body[: len(body) // 2], {**extra, "Content-Length": str(len(body))})
            self.close_connection = True
            return None
        return self.answer(206 if start else 200, body, extra)

    def answer(self, code, body, extra=None):
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **(extra or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def endless(self, data):
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            while True:
                self.wfile.write(data)
        except OSError:
            pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
