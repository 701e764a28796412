"""The HTTP service: pictures in, maps out, and nothing kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import ssnan
from ssnan.errors import did_you_mean
from ssnan.labels import LabelSet
from ssnan.parsing.card import ModelCard
from ssnan.parsing.remapping import TARGETS, RemapError, Remapping, remapping
from ssnan.serving.answers import ANSWERS, chosen
from ssnan.serving.limits import Limits, RefusedError
from ssnan.serving.service import Service

NO_OTHER_HOST = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob:; "
    "frame-ancestors 'self'; object-src 'none'; base-uri 'self'"
)
"""What a browser may load for a page of ours: what we serve, from nowhere else."""

HEADERS = (
    (b"content-security-policy", NO_OTHER_HOST.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
"""Of every answer."""


class _InMemory(MultiPartParser):
    """A form whose file never touches the disk; how large it may grow was decided before."""

    spool_max_size = 1 << 62


class _Guard:
    """Tells browsers what they may load, and counts what the service answers."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                if scope["path"].startswith("/api/"):
                    self.service.answered.labels(str(message["status"])).inc()
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self.app(scope, receive, guarded if scope["type"] == "http" else send)


def application(service: Service, cards: Mapping[str, ModelCard | None]) -> FastAPI:
    """The service as an ASGI application.

    Args:
        service: what parses.
        cards: of its models, by name; None for a checkpoint, which has none.
    """
    app: FastAPI = FastAPIOffline(
        title="ssnan",
        version=ssnan.__version__,
        description="Human parsing: a photograph in, the map of its parts out.",
    )

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        headers = {"Retry-After": "1"} if error.status in (429, 503) else {}
        return JSONResponse({"error": str(error)}, error.status, headers)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    app.add_middleware(_Guard, service=service)

    @app.post("/api/parse", responses=_DOCUMENTED, openapi_extra=_BODY)
    async def parse(
        request: Request,
        parts: Annotated[str, Query(description="parts alone, joined by commas")] = "",
        model: Annotated[str | None, Query(description="one of /api/models")] = None,
        labels: Annotated[str | None, Query(description=f"other labels: {', '.join(TARGETS)}")] = None,
    ) -> Response:
        """Parse a picture: multipart field `image`, or the picture as the body. `Accept` says what comes back: JSON,
        the map (PNG), the photo under it (JPEG), or a zip of a mask a part."""
        kind = chosen(request.headers.get("accept", ""))
        parser = service.parser(model)
        how = _remapping(parser.result_labels, labels)
        wanted = _parts(parts, parser.result_labels if how is None else how.target)
        with service.place():
            image = await _image(request, service.limits)
            made = await service.parse(image, parser, partial(_made, kind, wanted), how)
        return Response(made, media_type=kind, headers={"Cache-Control": "no-store"})

    @app.get("/api/labels")
    async def labels(
        model: Annotated[str | None, Query(description="one of /api/models")] = None,
    ) -> dict[str, Any]:
        """The classes that a model tells apart: ids by position, colours, and which are left and right."""
        return service.parser(model).result_labels.as_dict()

    @app.get("/api/models")
    async def models() -> list[dict[str, Any]]:
        """The models that may be asked for, the usual one first, with what their cards say."""
        return [
            {"name": name, "label_set": parser.result_labels.name, "about": card.about if (card := cards[name]) else {}}
            for name, parser in service.parsers.items()
        ]

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether requests are answered."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)

    return app


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {"image": {"type": "string", "format": "binary"}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
_DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in ANSWERS}},
    406: {"description": "none of what can come back is accepted"},
    408: {"description": "the upload took too long"},
    413: {"description": "the file or the picture is too large"},
    415: {"description": "not a picture in a format that can be read"},
    422: {"description": "a damaged picture, or no such part, model or label set"},
    429: {"description": "too many requests are waiting"},
    503: {"description": "it took too long"},
}


def _made(kind: str, parts: tuple[str, ...], result: ssnan.ParsingResult) -> bytes:
    return ANSWERS[kind](result, parts)


def _parts(text: str, label_set: LabelSet) -> tuple[str, ...]:
    parts = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in parts:
        if name not in label_set.classes:
            known = label_set.classes[1:]
            raise RefusedError(422, f"no part {name[:40]!r}{did_you_mean(name, known)}; there are {', '.join(known)}")
    return parts


def _remapping(source: LabelSet, target: str | None) -> Remapping | None:
    if target is None:
        return None
    if target not in TARGETS:  # a file's name would be one of this machine
        raise RefusedError(422, f"no labels {target[:40]!r}; there are {', '.join(TARGETS)}")
    try:
        return remapping(source, target)
    except RemapError as error:
        raise RefusedError(422, str(error)) from None


async def _image(request: Request, limits: Limits) -> bytes:
    """The picture in a request, never more of it than is allowed."""
    too_large = RefusedError(413, f"the upload is larger than the {limits.upload_bytes / 1e6:g} MB that are allowed")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.upload_bytes:
        raise too_large

    async def body() -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in request.stream():
            seen += len(chunk)
            if seen > limits.upload_bytes:
                raise too_large
            yield chunk

    try:
        async with asyncio.timeout(limits.seconds):
            if request.headers.get("content-type", "").startswith("multipart/form-data"):
                image = await _of_form(request, body())
            else:
                image = b"".join([chunk async for chunk in body()])
    except TimeoutError:
        raise RefusedError(408, f"the upload was not complete within {limits.seconds:g} seconds") from None
    if not image:
        raise RefusedError(422, "expected a picture as the body, or as the field 'image' of a form; got nothing")
    return image


async def _of_form(request: Request, body: AsyncIterator[bytes]) -> bytes:
    try:
        form = await _InMemory(request.headers, body, max_files=1, max_fields=10).parse()  # type: ignore[arg-type]
    except MultiPartException as error:
        raise RefusedError(422, f"the form cannot be read ({error.message})") from None
    try:
        image = form.get("image")
        if not isinstance(image, UploadFile):
            raise RefusedError(422, "expected a file in the form's field 'image'")
        return await image.read()
    finally:
        await form.close()
