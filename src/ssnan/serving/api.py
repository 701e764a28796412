"""The HTTP service: parses photos and stores nothing."""

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
from ssnan.results.outputs import KINDS
from ssnan.results.remapping import TARGETS, RemapError, Remapping, remapping
from ssnan.results.result import ParsingResult
from ssnan.scores.grouping import MOST_PEOPLE
from ssnan.serving.answers import ANSWERS, as_files, chosen, keep_person
from ssnan.serving.guard import Guard, refusal
from ssnan.serving.limits import Limits, RefusedError
from ssnan.serving.page import add_page
from ssnan.serving.queue import RequestQueue


class Problem(BaseModel):
    """The body of every error: one line with the reason."""

    error: str


class _InMemory(MultiPartParser):
    """A form parser that never writes files to disk; the guard already limits their size."""

    spool_max_size = 1 << 62


def application(queue: RequestQueue, cards: Mapping[str, ModelCard | None], hosts: Collection[str] = ()) -> ASGIApp:
    """The page and the service as an ASGI application.

    Args:
        queue: parses the photos.
        cards: cards of its models by name; None for a checkpoint.
        hosts: host names of the service, besides those of the loopback.
    """
    app = FastAPI(
        title="ssnan",
        version=ssnan.__version__,
        description="Human parsing: from a photo to a label map of its parts.",
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
    async def unmatched(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        if headers.get("Allow") == "GET":
            headers["Allow"] = "GET, HEAD"
        return refusal(error.status_code, _SAID.get(error.status_code, error.detail), headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        return refusal(500, "internal error; see the log of the service")

    @app.post("/api/parse", responses=_DOCUMENTED, openapi_extra=_BODY)
    async def parse(
        request: Request,
        parts: Annotated[str, Query(description="keep only these parts, separated by commas")] = "",
        person: Annotated[
            int | None,
            Query(ge=1, le=MOST_PEOPLE, description="keep only this person of the JSON, 1 for the largest"),
        ] = None,
        model: Annotated[str | None, Query(description="a model from /api/models")] = None,
        labels: Annotated[str | None, Query(description=f"another label set: {', '.join(TARGETS)}")] = None,
        colors: Annotated[
            Literal["labels", "distinct"],
            Query(description="colours of the label set, or distinct colours"),
        ] = "labels",
        save: Annotated[
            str, Query(description=f"files in the zip besides the map, separated by commas: {', '.join(KINDS)}")
        ] = "",
    ) -> Response:
        """Parse the photo in the body or in the multipart field `image`. `Accept` chooses the response: JSON, the label
        map (PNG), the overlay (JPEG), or a zip with one mask per part or with the files that `save` names."""
        _refuse_unknown(request, "parts", "person", "model", "labels", "colors", "save")
        kind = chosen(request.headers.get("accept", ""))
        parser = queue.parser(model)
        how = _remapping(parser.result_labels, labels)
        wanted = _named(parts, (parser.result_labels if how is None else how.target).classes, "part")
        kinds = _named(save, tuple(KINDS), "file to save")
        if kinds and kind != "application/zip":
            raise RefusedError(422, "save= chooses the files of a zip; expected Accept: application/zip")

        def answer(result: ParsingResult) -> bytes:
            result = result.in_distinct_colors() if colors == "distinct" else result
            result = result if person is None else keep_person(result, person)
            return as_files(result, wanted, kinds) if kinds else ANSWERS[kind](result, wanted)

        with queue.place():
            image = await _image(request, queue.limits)
            made = await queue.parse(image, parser, answer, request.is_disconnected, how)
        return Response(made, media_type=kind, headers={"Cache-Control": "no-store"})

    @app.get("/api/labels")
    async def labels(
        request: Request,
        model: Annotated[str | None, Query(description="a model from /api/models")] = None,
    ) -> dict[str, Any]:
        """The classes of a model, in the order of their ids, with colours and pairs of left and right."""
        _refuse_unknown(request, "model")
        return queue.parser(model).result_labels.to_dict()

    @app.get("/api/models")
    async def models(request: Request) -> list[dict[str, Any]]:
        """The available models with their cards, the default first."""
        _refuse_unknown(request)
        return [
            {"name": name, "label_set": parser.result_labels.name, "about": card.about if (card := cards[name]) else {}}
            for name, parser in queue.parsers.items()
        ]

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the service answers."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Metrics for Prometheus."""
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
            406: "the client accepts no available format",
            408: "the upload took too long",
            415: "not an image in a known format",
            422: "a damaged image, or no such part, model or label set",
            429: "too many requests are waiting",
        }
    ),
}
_REFUSED_ANYWHERE = _refusals(
    {
        403: "the request comes from a page of another site",
        413: "the request or the photo is too large",
        421: "the request names another host",
        422: "no such model or option",
        503: "the request took too long, or the service is stopping",
    }
)
_SAID = {
    404: "no such address; /docs lists all addresses",
    405: "this address does not take this method; Allow lists its methods",
}


def _refuse_unknown(request: Request, *known: str) -> None:
    """Refuse options that would have no effect: all but ``known``.

    Raises:
        RefusedError: 422, an option is unknown or given twice.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if names and not known:
        raise RefusedError(422, f"no option {names[0][:40]!r}; expected none")
    if problem := unknown("option", names, known):
        raise RefusedError(422, problem)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RefusedError(422, f"{twice[0]}: expected once, got {names.count(twice[0])}; separate names by commas")


def _named(text: str, known: Sequence[str], what: str) -> tuple[str, ...]:
    """Names separated by commas, without duplicates.

    Raises:
        RefusedError: 422, a name is unknown.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if problem := unknown(what, names, known):
        raise RefusedError(422, problem)
    return names


def _remapping(source: LabelSet, target: str | None) -> Remapping | None:
    if target is None:
        return None
    if target not in TARGETS:  # a file name would read from this machine
        raise RefusedError(422, f"no label set {target[:40]!r}; expected one of {', '.join(TARGETS)}")
    try:
        return remapping(source, target)
    except RemapError as error:
        raise RefusedError(422, str(error)) from None


async def _image(request: Request, limits: Limits) -> bytes:
    """Read the photo in a request."""
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
        raise RefusedError(422, "expected a photo in the body or in the field 'image' of a form, got nothing")
    return image


async def _of_form(request: Request, boundary: bytes) -> bytes:
    # Other parameters of the header, such as a charset, do not matter for a photo.
    headers = Headers(raw=[(b"content-type", b'multipart/form-data; boundary="' + boundary + b'"')])
    try:
        form = await _InMemory(headers, request.stream(), max_files=1, max_fields=10).parse()
    except MultiPartException as error:
        raise RefusedError(422, f"the form cannot be read ({error.message})") from None
    try:
        image = form.get("image")
        if not isinstance(image, UploadFile):
            raise RefusedError(422, "expected a file in the field 'image' of the form")
        return await image.read()
    finally:
        await form.close()
