"""The page: a photograph in, its parts to look at and to take away."""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

# Gradio reads these once, when it is imported.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
if "GRADIO_TEMP_DIR" not in os.environ:
    os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="ssnan-page-")
    atexit.register(shutil.rmtree, os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)

import gradio as gr
import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image

from ssnan.errors import printable
from ssnan.parsing.outputs import files
from ssnan.parsing.render import OVERLAY_SIDE, for_a_screen, heat, joints_over, map_over
from ssnan.parsing.result import ParsingResult
from ssnan.serving.answers import only
from ssnan.serving.limits import RefusedError
from ssnan.serving.service import Service

HERE = Path(__file__).parent
EXAMPLES = sorted((HERE / "examples").glob("*.jpg"))
STYLE = HERE / "page.css"

KEPT = 600
"""Seconds for which a photo, its result and its downloads are kept for whoever looks at them."""

VISITORS = 64
"""Those whose last result is kept; the one who was away longest makes room."""

MOST_PHOTOS = 24
"""Of a gallery."""

QUIET: Any = {"show_progress": "hidden", "api_visibility": "private"}
"""Of what follows a click at once."""


@dataclass(frozen=True)
class Shown:
    """What somebody is looking at.

    Attributes:
        name: of the photo, without its ending.
        result: at the photo's own size.
        preview: the same in clear colours on ``photo``, which is made smaller for the screen, RGB (h, w, 3).
        weights: of the scales, (S, h, w); None where the model gives none.
    """

    name: str
    result: ParsingResult
    preview: ParsingResult
    photo: NDArray[np.uint8]
    weights: NDArray[np.float32] | None

    @classmethod
    def of(cls, name: str, result: ParsingResult, weights: NDArray[np.float32] | None) -> Shown:
        photo, labels = for_a_screen(result.reduced_photo(OVERLAY_SIDE), result.labels)
        return cls(name, result, replace(result, labels=labels).in_clear_colors(), photo, weights)

    @property
    def parts(self) -> list[str]:
        """The parts that are there, largest first."""
        areas = self.result.areas
        return sorted((name for name in areas if name != self.result.label_set.classes[0]), key=lambda n: -areas[n])


def with_page(app: FastAPI, service: Service) -> FastAPI:
    """The application with the page at ``/``."""
    blocks = page(service)
    blocks.queue(default_concurrency_limit=service.limits.waiting, max_size=service.limits.waiting)
    blocks.state_session_capacity = VISITORS
    system = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")  # none to be fetched
    theme = gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        radius_size="lg",
        font=system,
        font_mono=("ui-monospace", "monospace"),
    )
    return gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=theme,
        css_paths=[STYLE],
        max_file_size=service.limits.upload_bytes,
        footer_links=[],
        show_error=True,
        ssr_mode=False,
        allowed_paths=[str(HERE / "examples")],
    )


def page(service: Service) -> gr.Blocks:
    """The page itself; what happens on it is in the functions below."""
    models = list(service.parsers)
    with gr.Blocks(title="ssnan – human parsing", analytics_enabled=False, delete_cache=(60, KEPT)) as blocks:
        shown = gr.State(None, time_to_live=KEPT)
        gr.HTML("<h1>ssnan</h1><p>Hair, face, coat, left arm, right shoe: every pixel of a person, named.</p>")
        with gr.Row(elem_id="columns"):
            with gr.Column(scale=4, min_width=300):
                photo = gr.Image(
                    label="Photo: drop, paste, choose or take one", sources=["upload", "webcam", "clipboard"],
                    elem_id="photo", height=380, buttons=[],
                )  # fmt: skip
                notice = gr.HTML(elem_id="notice")
                model = gr.Dropdown(models, value=models[0], label="Model", visible=len(models) > 1)
                gr.Examples([[str(path)] for path in EXAMPLES], photo, label="Or one of these", elem_id="examples")
            with gr.Column(scale=6, min_width=300):
                parsed = gr.AnnotatedImage(label="Parts: click a name to see it alone", elem_id="parsed", height=560)
                with gr.Row():
                    chosen = gr.Dropdown([], multiselect=True, label="Only these parts", elem_id="chosen", scale=2)
                    opacity = gr.Slider(0, 1, 0.65, step=0.05, label="Opacity", elem_id="opacity", scale=1)
                with gr.Row(elem_id="downloads"):
                    buttons = [
                        gr.DownloadButton(label, interactive=False, size="sm", min_width=90)
                        for label in ("Map", "Overlay", "Cut-out", "JSON")
                    ]
                with gr.Tabs(elem_id="views"):
                    with gr.Tab("Parts"):
                        table = gr.HTML(elem_id="parts")
                    with gr.Tab("Joints"):
                        joints = gr.Image(show_label=False, elem_id="joints", buttons=["fullscreen"])
                    with gr.Tab("Confidence"):
                        confidence = gr.Image(show_label=False, elem_id="confidence", buttons=["fullscreen"])
                    with gr.Tab("Scales"):
                        weights = gr.Gallery(show_label=False, elem_id="weights", columns=2)
        with gr.Accordion("Several photos", open=False, elem_id="several"):
            several = gr.File(file_count="multiple", label=f"Up to {MOST_PHOTOS} photos")
            problems = gr.HTML()
            gallery = gr.Gallery(label="Parsed", columns=4)

        seen = [notice, shown, chosen, parsed, table, joints, confidence, weights]
        # Gradio would open the picture itself, in whatever format, and say "Error" where it cannot.
        look: Any = {
            "inputs": [photo, model, opacity],
            "outputs": seen,
            "preprocess": False,
            "api_visibility": "private",
        }
        draw: Any = {"inputs": [shown, chosen, opacity], "outputs": parsed, **QUIET}
        write: Any = {"inputs": [shown, chosen], "outputs": buttons, **QUIET}
        # What is behind the buttons is taken away before it is made anew, so that nobody gets the one before.
        for another in (photo.change, model.change):
            another(unwritten, outputs=buttons, **QUIET).then(looker(service), **look).then(download_files, **write)
        opacity.release(annotated, **draw)
        clicked = parsed.select(picked, inputs=[shown, chosen], outputs=chosen, **QUIET)
        for other_parts in (chosen.input, clicked.then):
            other_parts(unwritten, outputs=buttons, **QUIET).then(annotated, **draw).then(download_files, **write)
        several.upload(gallery_of(service), [several, model], [problems, gallery], api_visibility="private")
    return blocks


def looker(service: Service) -> Callable[..., Any]:
    """What happens when there is another photo."""

    async def look(sent: dict[str, Any] | None, model: str, opacity: float) -> list[Any]:
        nothing = [None, gr.Dropdown(choices=[], value=[]), None, "", None, None, None]
        if sent is None:
            return ["", *nothing]
        try:
            parser = service.parser(model)
            with service.place():
                path = _sent(sent)
                image, name = path.read_bytes(), printable(Path(sent.get("orig_name") or path.name).stem)
                found = await service.parse(image, parser, lambda result: Shown.of(name, result, None))
                found = replace(found, weights=await service.scale_weights(image, parser))
        except RefusedError as error:
            return [_notice(str(error)), *nothing]
        # Drawn in a thread: whoever else asks meanwhile is not kept waiting.
        return ["", found, *await asyncio.to_thread(views, found, opacity)]

    return look


def _sent(payload: dict[str, Any]) -> Path:
    """The file that a browser sent, or picked among the examples; a word from elsewhere names no other.

    Raises:
        RefusedError: 422, it does.
    """
    path = Path(str(payload.get("path"))).resolve()
    allowed = (Path(os.environ["GRADIO_TEMP_DIR"]).resolve(), HERE / "examples")
    if not any(path.is_relative_to(folder) for folder in allowed) or not path.is_file():
        raise RefusedError(422, "the photo did not arrive; send it again")
    return path


def views(shown: Shown, opacity: float) -> list[Any]:
    """What there is to see of a photo, in the order of the page's components."""
    return [
        gr.Dropdown(choices=shown.parts, value=[]),
        annotated(shown, [], opacity),
        parts_table(shown),
        joints_over(shown.photo, [shown.preview]),
        heat(shown.preview.confidence, shown.photo.shape[1::-1]),
        weight_maps(shown),
    ]


def annotated(shown: Shown | None, chosen: Sequence[str], opacity: float) -> Any:
    """The photo with a mask a part, those that are not chosen empty so that their names stay."""
    if shown is None:
        return None
    colors = zip(shown.preview.label_set.classes, shown.preview.label_set.palette, strict=True)
    masks: Any = [
        (shown.preview.mask(part) * (opacity if not chosen or part in chosen else 0.0), part) for part in shown.parts
    ]
    return gr.AnnotatedImage(
        (shown.photo, masks), color_map={name: "#{:02x}{:02x}{:02x}".format(*color) for name, color in colors}
    )


def picked(shown: Shown | None, chosen: list[str], event: gr.SelectData) -> list[str]:
    """A part that is clicked is seen alone; clicked again, all are back."""
    part = event.value if isinstance(event.value, str) else event.value[1]
    return [] if shown is None or chosen == [part] else [part]


def parts_table(shown: Shown) -> str:
    """Colour, name, share of the photo and confidence of every part."""
    if not shown.parts:
        return "<p>Nobody was found in this photo.</p>"
    size, areas = shown.result.labels.size, shown.result.areas
    rows = []
    for part in shown.parts:
        color = shown.preview.label_set.palette[shown.result.label_set.classes.index(part)]
        share = areas[part] / size
        mask = shown.preview.mask(part)
        sure = f"{shown.preview.confidence[mask].mean():.0%}" if mask.any() else ""
        rows.append(
            f'<tr><td><i style="background:rgb{color}"></i>{escape(part)}</td><td><b style="width:{100 * share:.1f}%">'
            f"</b></td><td>{share:.1%}</td><td>{sure}</td></tr>"
        )
    head = "<tr><th>part</th><th></th><th>of the photo</th><th>sure</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def weight_maps(shown: Shown) -> list[tuple[Image.Image, str]]:
    """How much each place trusts each scale (Figure 5), the coarsest first."""
    if shown.weights is None:
        return []
    count = len(shown.weights)
    words = ["coarsest", *["middle"] * (count - 2), "finest"][:count]
    return [
        (heat(one, shown.photo.shape[1::-1]), f"scale {number} of {count}, {word}")
        for number, (one, word) in enumerate(zip(shown.weights, words, strict=True), start=1)
    ]


def unwritten() -> list[Any]:
    """The buttons while their files are made."""
    return [gr.DownloadButton(interactive=False)] * 4


def download_files(shown: Shown | None, chosen: Sequence[str]) -> list[Any]:
    """Files behind the buttons: map, overlay, cut-out of the chosen parts, JSON."""
    if shown is None:
        return [gr.DownloadButton(value=None, interactive=False)] * 4
    folder = _folder()
    result = only(shown.result, chosen)
    made = files(result, shown.name, ("json",), ())
    made |= files(result.in_clear_colors(), shown.name, ("overlay",), ()) | {".png": made[".png"]}
    made[".cutout.png"] = files(shown.result, shown.name, ("cutout",), tuple(chosen))[".cutout.png"]
    buttons = []
    for ending in (".png", ".overlay.png", ".cutout.png", ".json"):
        path = folder / f"{_plain(shown.name)}{ending}"
        path.write_bytes(made[ending]())
        buttons.append(gr.DownloadButton(value=path, interactive=True))
    return buttons


def gallery_of(service: Service) -> Callable[..., AsyncIterator[Any]]:
    """What happens when there are several photos: they appear one by one."""

    async def several(paths: Sequence[str] | None, model: str) -> AsyncIterator[Any]:
        done: list[tuple[Image.Image, str]] = []
        wrong: list[str] = []
        for path in (paths or ())[:MOST_PHOTOS]:
            name = printable(Path(path).name)
            try:
                with service.place():
                    done.append((await service.parse(Path(path).read_bytes(), service.parser(model), _small), name))
            except RefusedError as error:
                wrong.append(_notice(f"{name}: {error}"))
            yield "".join(wrong), done
        if paths and len(paths) > MOST_PHOTOS:
            yield "".join([*wrong, _notice(f"the first {MOST_PHOTOS} of {len(paths)} photos were parsed")]), done

    return several


def _small(result: ParsingResult) -> Image.Image:
    shown = Shown.of("", result, None)
    return map_over(shown.photo, shown.preview.labels, shown.preview.label_set)


def _notice(message: str) -> str:
    return f'<p class="problem" role="alert">{escape(message)}</p>'


def _plain(name: str) -> str:
    """A file's name of letters that every system allows."""
    return "".join(one if one.isalnum() or one in "-_ ." else "_" for one in name)[:80].strip(" .") or "photo"


def _folder() -> Path:
    """A new folder for downloads; those of a while ago go."""
    root = Path(os.environ["GRADIO_TEMP_DIR"]) / "downloads"
    root.mkdir(parents=True, exist_ok=True)
    for folder in root.iterdir():
        if time.time() - folder.stat().st_mtime > KEPT:
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(dir=root))
