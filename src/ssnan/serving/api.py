"""The HTTP service: pictures in, maps out, and nothing kept."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

import ssnan
from ssnan.errors import unknown
from ssnan.labels import LabelSet
from ssnan.parsing.card import ModelCard
from ssnan.parsing.outputs import KINDS
from ssnan.parsing.remapping import TARGETS, RemapError, Remapping, remapping
from ssnan.parsing.result import ParsingResult
from ssnan.serving.answers import ANSWERS, as_files, chosen
from ssnan.serving.guard import Guard, refusal
from ssnan.serving.limits import Limits, RefusedError
from ssnan.serving.page import add_page
from ssnan.serving.queue import RequestQueue


class Problem(BaseModel):
    """What every request gets that is refused: one line that says why."""

    error: str


class _InMemory(MultiPartParser):
    """A form whose file never touches the disk; how large it may grow was decided before."""

    spool_max_size = 1 << 62


def application(queue: RequestQueue, cards: Mapping[str, ModelCard | None], hosts: Collection[str] = ()) -> ASGIApp:
    """The page and the service as an ASGI application.

    Args:
        queue: what parses.
        cards: of its models, by name; None for a checkpoint, which has none.
        hosts: names by which it may be asked, beside those of the loopback.
    """
    app = FastAPI(
        title="ssnan",
        version=ssnan.__version__,
        description="Human parsing: a photograph in, the map of its parts out.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=_REFUSED_ANYWHERE,
    )
    add_page(app)

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        return refusal(error.status, str(error))

    @app.exception_handler(RequestValidationError)
    async def misunderstood(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return refusal(422, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if headers.get("Allow") == "GET":
            headers["Allow"] = "GET, HEAD"
        return refusal(error.status_code, _SAID.get(error.status_code, error.detail), headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return refusal(500, "something went wrong here; the log says what")

    @app.post("/api/parse", responses=_DOCUMENTED, openapi_extra=_BODY)
    async def parse(
        request: Request,
        parts: Annotated[str, Query(description="parts alone, joined by commas")] = "",
        model: Annotated[str | None, Query(description="one of /api/models")] = None,
        labels: Annotated[str | None, Query(description=f"other labels: {', '.join(TARGETS)}")] = None,
        colors: Annotated[
            Literal["labels", "distinct"],
            Query(description="the labels' own, or ones that stay apart for all eyes"),
        ] = "labels",
        save: Annotated[
            str, Query(description=f"what a zip holds beside the map, joined by commas: {', '.join(KINDS)}")
        ] = "",
    ) -> Response:
        """Parse a picture: multipart field `image`, or the picture as the body. `Accept` says what comes back: JSON,
        the map (PNG), the photo under it (JPEG), or a zip: of a mask a part, or of what `save` names."""
        kind = chosen(request.headers.get("accept", ""))
        parser = queue.parser(model)
        how = _remapping(parser.result_labels, labels)
        wanted = _named(parts, (parser.result_labels if how is None else how.target).classes, "part")
        kinds = _named(save, tuple(KINDS), "file to save")
        if kinds and kind != "application/zip":
            raise RefusedError(422, "save= says what is in a zip; expected Accept: application/zip")

        def answer(result: ParsingResult) -> bytes:
            result = result.in_distinct_colors() if colors == "distinct" else result
            return as_files(result, wanted, kinds) if kinds else ANSWERS[kind](result, wanted)

        with queue.place():
            image = await _image(request, queue.limits)
            made = await queue.parse(image, parser, answer, how)
        return Response(made, media_type=kind, headers={"Cache-Control": "no-store"})

    @app.get("/api/labels")
    async def labels(
        model: Annotated[str | None, Query(description="one of /api/models")] = None,
    ) -> dict[str, Any]:
        """The classes that a model tells apart: ids by position, colours, and which are left and right."""
        return queue.parser(model).result_labels.to_dict()

    @app.get("/api/models")
    async def models() -> list[dict[str, Any]]:
        """The models that may be asked for, the usual one first, with what their cards say."""
        return [
            {"name": name, "label_set": parser.result_labels.name, "about": card.about if (card := cards[name]) else {}}
            for name, parser in queue.parsers.items()
        ]

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether requests are answered."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(generate_latest(queue.registry), media_type=CONTENT_TYPE_LATEST)

    return Guard(app, queue, hosts)


def _refusals(texts: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem, "description": text} for status, text in texts.items()}


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
    **_refusals(
        {
            400: "the upload broke off",
            406: "none of what can come back is accepted",
            408: "the upload took too long",
            415: "not a picture in a format that can be read",
            422: "a damaged picture, or no such part, model or label set",
            429: "too many requests are waiting",
        }
    ),
}
_REFUSED_ANYWHERE = _refusals(
    {
        403: "asked by a page of another site",
        413: "the file or the picture is too large",
        421: "asked by a name that is not the service's",
        422: "no such model",
        503: "it took too long, or the service is being stopped",
    }
)
_SAID = {
    404: "nothing is here; /docs lists what can be asked",
    405: "this cannot be asked with that method; Allow names those that can",
}


def _named(text: str, known: Sequence[str], what: str) -> tuple[str, ...]:
    """Names joined by commas, each once.

    Raises:
        RefusedError: 422, one is not known.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if problem := unknown(what, names, known):
        raise RefusedError(422, problem)
    return names


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
    """The picture in a request."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    try:
        async with asyncio.timeout(limits.seconds):
            if kind.lower() == b"multipart/form-data":
                image = await _of_form(request, options.get(b"boundary", b""))
            else:
                image = await request.body()
    except TimeoutError:
        raise RefusedError(408, f"the upload was not complete within {limits.seconds:g} seconds") from None
    except ClientDisconnect:
        raise RefusedError(400, "the upload broke off") from None
    if not image:
        raise RefusedError(422, "expected a picture as the body, or as the field 'image' of a form; got nothing")
    return image


async def _of_form(request: Request, boundary: bytes) -> bytes:
    # What else its header says, a charset say, is of no use for a picture.
    headers = Headers(raw=[(b"content-type", b'multipart/form-data; boundary="' + boundary + b'"')])
    try:
        form = await _InMemory(headers, request.stream(), max_files=1, max_fields=10).parse()
    except MultiPartException as error:
        raise RefusedError(422, f"the form cannot be read ({error.message})") from None
    try:
        image = form.get("image")
        if not isinstance(image, UploadFile):
            raise RefusedError(422, "expected a file in the form's field 'image'")
        return await image.read()
    finally:
        await form.close()
