"""A hub of one machine: as much of the Hugging Face hub's HTTP as its client asks for."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

from huggingface_hub import constants

REVISION = "1" * 40


@contextmanager
def fake_hub(repositories, monkeypatch, cache):
    """The client's hub is one on this machine that holds ``{"owner/name": folder}``; yields what it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            asked.append(f"{self.command} {self.path}")
            path = unquote(urlparse(self.path).path)
            for name, folder in repositories.items():
                files = sorted(file for file in folder.rglob("*") if file.is_file())
                if path.startswith(f"/api/models/{name}"):
                    names = [file.relative_to(folder).as_posix() for file in files]
                    if "/tree/" in path:
                        entries = [
                            {"type": "file", "path": file_name, "size": file.stat().st_size, "oid": "0" * 40}
                            for file_name, file in zip(names, files, strict=True)
                        ]
                        return self.answer(json.dumps(entries).encode())
                    siblings = [{"rfilename": file_name} for file_name in names]
                    return self.answer(json.dumps({"id": name, "sha": REVISION, "siblings": siblings}).encode())
                if path.startswith(f"/{name}/resolve/"):
                    file = folder / path.split("/", 5)[5]
                    if file.is_file():
                        return self.answer(file.read_bytes())
            return self.answer(b"{}", 404, {"X-Error-Code": "RepoNotFound"})

        def answer(self, content, status=200, headers=()):
            self.send_response(status)
            headers = {
                "Content-Length": len(content), "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Repo-Commit": REVISION, **dict(headers),
            }  # fmt: skip
            for name, value in headers.items():
                self.send_header(name, str(value))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
