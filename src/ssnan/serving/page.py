"""The web page: files of the package at fixed addresses. Nothing else is read from disk."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import FastAPI, Response

WEB = files("ssnan.serving") / "web"
SWAGGER = files("fastapi_offline") / "static"

EXAMPLES = ("grace_hopper.jpg", "astronaut.jpg", "camera.jpg")

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "jpg": "image/jpeg"}
"""Media types by suffix; those of the system may differ."""

ADDRESSES: dict[str, Traversable] = {
    "/": WEB / "page.html",
    "/page.css": WEB / "page.css",
    "/page.js": WEB / "page.js",
    "/view.js": WEB / "view.js",
    "/icon.svg": WEB / "icon.svg",
    **{f"/examples/{name}": WEB / "examples" / name for name in EXAMPLES},
    "/docs": WEB / "docs.html",
    "/docs.js": WEB / "docs.js",
    "/swagger-ui.css": SWAGGER / "swagger-ui.css",
    "/swagger-ui-bundle.js": SWAGGER / "swagger-ui-bundle.js",
}


def add_page(app: FastAPI) -> None:
    """Add the page at ``/`` and the documentation of the service at ``/docs``."""
    for address, file in ADDRESSES.items():
        app.add_api_route(address, partial(_content, file), include_in_schema=False, response_class=Response)


async def _content(file: Traversable) -> Response:
    kind = KINDS[file.name.rpartition(".")[2]]
    return Response(file.read_bytes(), media_type=kind, headers={"cache-control": "no-cache"})
