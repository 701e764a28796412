"""Make small copies of the data of runs and of their weights, in pieces of some megabytes, to move them to a GPU.

    python -m experiments.full_size.pack data small ss_nan -o packed --limit athletes=5500 --limit viton-lip=1500
    python -m experiments.full_size.pack unpack packed -o .           the same folders, with smaller photos
    python -m experiments.full_size.pack split last.ckpt -o pieces    weights in 16 bits, without the optimizer
    python -m experiments.full_size.pack join pieces -o last.ckpt     and back

``data`` stores the training photos of these runs, the scenes that people are pasted onto and the validation photos as
WebP, masks as PNG, in tars. ``--limit 8`` makes a tiny copy of all, for trying.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from experiments.description import described
from experiments.full_size.recipes import BUNDLED, SYSTEMS, arguments_of
from ssnan.data.custom import BACKGROUND, DESCRIPTION, all_background
from ssnan.data.datamodule import ParsingData
from ssnan.data.folder import ParsingFolder, photos_by_stem
from ssnan.data.layouts import open_split
from ssnan.io.images import read_rgb
from ssnan.training.cli import command_line

KEPT = ("hyper_parameters", "datamodule_hyper_parameters", "pytorch-lightning_version", "epoch", "global_step")
"""Of a checkpoint beside its weights, what building the network again takes."""

ROOM = 4096
"""Bytes that a file and the end of the tar take at most beside its content."""


class Pieces:
    """Files in ``pieceNN.tar.gz`` of at most ``megabytes`` MiB each, if no single file is larger."""

    def __init__(self, output: Path, megabytes: float) -> None:
        output.mkdir(parents=True, exist_ok=True)
        self.output, self.limit, self.count = output, megabytes * 2**20, 0
        self._open()

    def add(self, name: str, content: bytes) -> None:
        self.stream.flush(zlib.Z_SYNC_FLUSH)
        if not self.empty and self.raw.tell() + len(content) + ROOM > self.limit:
            self.close()
            self._open()
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        self.tar.addfile(entry, io.BytesIO(content))
        self.empty = False

    def __enter__(self) -> Pieces:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.tar.close()
        self.stream.close()
        self.raw.close()

    def _open(self) -> None:
        self.raw = (self.output / f"piece{self.count:02d}.tar.gz").open("wb")
        self.stream = gzip.GzipFile(fileobj=self.raw, mode="wb")
        self.tar = tarfile.TarFile(fileobj=self.stream, mode="w")
        self.count, self.empty = self.count + 1, True


class Smaller(Dataset[tuple[str, bytes, bytes]]):
    """Name, WebP and PNG of the photos ``index`` of a folder, with a longer side of at most ``side`` pixels."""

    def __init__(self, folder: ParsingFolder, index: Sequence[int], side: int, quality: int) -> None:
        self.folder, self.index, self.side, self.quality = folder, index, side, quality

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> tuple[str, bytes, bytes]:
        sample = self.folder[self.index[number]]
        mask = shrunk(sample.labels, self.side, Image.Resampling.NEAREST)
        return sample.id, webp(sample.image, self.side, self.quality), encoded(mask, "png", optimize=True)


def shrunk(pixels: NDArray[np.uint8], side: int, how: Image.Resampling) -> Image.Image:
    """With a longer side of at most ``side`` pixels."""
    image = Image.fromarray(pixels)
    factor = side / max(image.size)
    return image if factor >= 1 else image.resize([max(1, round(factor * length)) for length in image.size], how)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def webp(pixels: NDArray[np.uint8], side: int, quality: int) -> bytes:
    return encoded(shrunk(pixels, side, Image.Resampling.LANCZOS), "webp", quality=quality, method=4)


def splits_of(data: Sequence[ParsingData], others: Sequence[Path]) -> dict[Path, set[str]]:
    """The splits of every dataset that trainings read, and train and val of the datasets ``others``."""
    splits = defaultdict[Path, set[str]](set)
    for training in data:
        splits[Path(training.validation)].add("val")
        for root in [source.root for source in training.sources] + (
            training.pasting.people if training.pasting else []
        ):
            splits[Path(root)].add("train")
    for root in others:
        splits[root] |= {"train", "val"}
    return dict(splits)


def chosen(count: int, limit: int | None) -> list[int]:
    """``limit`` of ``count`` photos, the same in every call."""
    return list(range(count)) if limit is None else sorted(random.Random(0).sample(range(count), min(limit, count)))


def pack(
    names: Sequence[str],
    pieces: Pieces,
    side: int,
    quality: int,
    limits: dict[str, int],
    workers: int,
    others: Sequence[Path] = (),
) -> Iterator[str]:
    """Store what the runs ``names`` read, and say what after each dataset. Folders keep their relative places.

    Args:
        side: longer side of the stored photos, in pixels.
        limits: the most photos of a split by the name of a dataset; that of all others is under "".
        others: datasets whose train and val splits are stored too.
    """
    data = [command_line(arguments_of(name)).datamodule for name in names]
    for root, splits in splits_of(data, others).items():
        if root.is_absolute():
            raise SystemExit(f"{root}: expected a folder below the working directory, to be unpacked at the same place")
        limit = limits.get(root.name, limits.get(""))
        folders = {split: open_split(root, split) for split in sorted(splits)}
        joints: dict[str, Any] = {}
        for split, folder in folders.items():
            smaller = Smaller(folder, chosen(len(folder), limit), side, quality)
            stored = []
            for name, photo, mask in DataLoader(smaller, batch_size=None, num_workers=workers, collate_fn=_as_it_is):
                pieces.add(f"{root}/photos/{name}.webp", photo)
                if folder.read_mask is not all_background:
                    pieces.add(f"{root}/masks/{name}.png", mask)
                stored.append(name)
            pieces.add(f"{root}/{split}.txt", "".join(f"{name}\n" for name in stored).encode())
            joints |= {name: _joints(folder.keypoints[name]) for name in stored if name in folder.keypoints}
            yield f"{root}: {len(stored)} photos of {split}"
        if joints:
            pieces.add(f"{root}/joints.json", json.dumps(joints, separators=(",", ":")).encode())
        folder = next(iter(folders.values()))
        masks = BACKGROUND if folder.read_mask is all_background else "masks"
        keypoints = "joints.json" if joints else None
        description = described(folder.label_set, folders, masks=masks, keypoints=keypoints)
        pieces.add(f"{root}/{DESCRIPTION}", yaml.safe_dump(description, sort_keys=False).encode())
    for place in sorted({Path(training.pasting.scenes) for training in data if training.pasting}):
        scenes = list(photos_by_stem(place).items())
        for index in chosen(len(scenes), limits.get(place.name, limits.get(""))):
            name, path = scenes[index]
            pieces.add(f"{place}/{name}.webp", webp(read_rgb(path), side, quality))
        yield f"{place}: scenes"


def _joints(people: NDArray[np.float32]) -> dict[str, Any]:
    main, *others = np.round(people.astype(float), 4).tolist()
    return {"joints": main, "others": others}


def _as_it_is(sample: Any) -> Any:
    return sample


def unpack(pieces: Path, output: Path) -> None:
    """Extract all tars in the folder ``pieces``."""
    found = sorted(pieces.glob("*.tar.gz"))
    if not found:
        raise SystemExit(f"{pieces}: no .tar.gz in this folder")
    for path in found:
        with tarfile.open(path) as tar:
            tar.extractall(output, filter="data")


def split(checkpoint: Path, output: Path, megabytes: float) -> None:
    """Store a checkpoint without its optimizer in files of at most ``megabytes`` MiB: weights in 16 bits, biases and
    norms as they are."""
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    pieces: list[dict[str, Any]] = [{"rest": {key: content[key] for key in KEPT if key in content}}]
    filled, limit = 0.0, megabytes * 2**20 - 2**16
    for name, value in content["state_dict"].items():
        half = value.half().contiguous() if value.is_floating_point() and value.ndim > 1 else value
        stored = half if half.isfinite().all() else value
        if filled + stored.nbytes + ROOM > limit:
            pieces.append({})
            filled = 0.0
        pieces[-1][name] = stored.clone()  # a view would store all of its tensor
        filled += stored.nbytes + ROOM
    output.mkdir(parents=True, exist_ok=True)
    for number, piece in enumerate(pieces, start=1):
        torch.save(piece, output / f"weights{number:02d}of{len(pieces):02d}.pt")


def join(pieces: Path, checkpoint: Path) -> None:
    """Make a checkpoint of what :func:`split` stored, with weights of 32 bits again."""
    found = sorted(pieces.glob("weights*of*.pt"))
    if not found or len(found) != int(found[0].stem[-2:]):
        raise SystemExit(f"{pieces}: expected all of weights01ofNN.pt to weightsNNofNN.pt, found {len(found)}")
    content: dict[str, Any] = {}
    for path in found:
        content |= torch.load(path, weights_only=True)
    rest: dict[str, Any] = content.pop("rest")
    state: dict[str, Tensor] = {
        name: value.float() if value.dtype == torch.float16 else value for name, value in content.items()
    }
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    torch.save(rest | {"state_dict": state}, checkpoint)


def limit_of(told: str) -> tuple[str, int]:
    """The dataset, or "" for all others, and the number in ``8`` or ``NAME=8``."""
    name, _, limit = told.rpartition("=")
    return name, int(limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("data")
    packing.add_argument("runs", nargs="+", metavar="RUN", choices=[*BUNDLED, *SYSTEMS])
    packing.add_argument("--side", type=int, default=385, help="longer side of the photos, in pixels")
    packing.add_argument("--quality", type=int, default=56, help="of WebP, 0..100")
    packing.add_argument(
        "--limit", action="append", default=[], type=limit_of, metavar="[DATASET=]N", help="photos of a split"
    )
    packing.add_argument(
        "--dataset", action="append", default=[], type=Path, help="whose train and val photos are stored too"
    )
    packing.add_argument("--workers", type=int, default=2)
    for name in ("unpack", "split", "join"):
        commands.add_parser(name).add_argument("source", type=Path)
    for command in commands.choices.values():
        command.add_argument("-o", "--output", type=Path, required=True)
    for name, megabytes in (("data", 56.0), ("split", 15.0)):
        commands.choices[name].add_argument("--megabytes", type=float, default=megabytes, help="of a piece, in MiB")
    told = parser.parse_args()
    match told.command:
        case "data":
            with Pieces(told.output, told.megabytes) as pieces:
                limits = dict(told.limit)
                for line in pack(told.runs, pieces, told.side, told.quality, limits, told.workers, told.dataset):
                    print(line, flush=True)
        case "unpack":
            unpack(told.source, told.output)
        case "split":
            split(told.source, told.output, told.megabytes)
        case "join":
            join(told.source, told.output)


if __name__ == "__main__":
    main()
