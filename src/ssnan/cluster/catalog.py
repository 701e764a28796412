"""The folder of a catalog's results.

    settings.json        the settings of all results
    maps/                one PNG per photo, one tar per shard, or nothing if the tables contain the maps
    results/*.parquet    one row per photo
    pending/             files that workers have written and the driver has not moved yet

A shard is done when its table is in ``results``. Workers write to ``pending``, and only the driver moves complete
files.
A worker, a node or the driver may be killed at any time: the next run discards their files in ``pending`` and parses
the photos that no table lists. Nothing else is removed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import posixpath
import re
import tarfile
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ssnan.cluster.isolation import Parsed, without_result
from ssnan.cluster.items import Item, StoreError, place_of
from ssnan.errors import UserError, cause, quoted
from ssnan.io.writing import appearing_together, naming, sweep
from ssnan.parsing.batch import is_result_of

Into = Literal["files", "parquet", "webdataset"]
"""Where maps are stored: in files, in a column of the tables, or in WebDataset tars."""

PENDING = re.compile(r"[0-9a-f]{16}\.[0-9a-f]{8}\.(tar|parquet)")
"""Names of the files that :meth:`Catalog.write` writes to ``pending``."""

_PART = pa.struct(
    [("name", pa.string()), ("area", pa.int64()), ("confidence", pa.float32()), ("box", pa.list_(pa.int32(), 4))]
)
_JOINT = pa.struct([("name", pa.string()), ("x", pa.float32()), ("y", pa.float32())])
SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("name", pa.string()),
        ("sha256", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("parts", pa.list_(_PART)),
        ("joints", pa.list_(_JOINT)),
        ("model", pa.string()),
        ("checksum", pa.string()),
        ("seconds", pa.float32()),
    ]
)
"""Columns of a row. ``status`` is parsed, failed (the photo is unusable; ``reason`` says why) or quarantined (its
process died or hung twice). ``box`` is left, top, right and bottom of a part's largest connected region, in pixels,
right and bottom exclusive. Joints are in pixels. ``checksum`` is the model's. A photo whose outcome is ``unfinished``
has no row, so that the next run tries it again."""


class CatalogError(UserError):
    """Results cannot be written to the folder; the message says why."""


class Shard(NamedTuple):
    """Photos that are parsed and stored together; ``id`` identifies them."""

    id: str
    items: tuple[Item, ...]


class Written(NamedTuple):
    """A shard that a worker has finished: its files in ``pending`` with their targets, the table last."""

    shard: str
    moves: tuple[tuple[str, str], ...]
    counts: dict[str, int]
    problems: tuple[tuple[str, str], ...]


@contextlib.contextmanager
def _errors_of_store() -> Iterator[None]:
    """Within the block, an error of a store is an OSError. Remote stores raise their own errors."""
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        raise StoreError(cause(error)) from None


def shards(items: Sequence[Item], size: int) -> list[Shard]:
    """Split ``items`` into shards of ``size``, in order."""
    chunks = [tuple(items[first : first + size]) for first in range(0, len(items), size)]
    return [Shard(hashlib.sha256("\n".join(i.key for i in chunk).encode()).hexdigest()[:16], chunk) for chunk in chunks]


@dataclass(frozen=True)
class Catalog:
    """Results in ``root``, a folder or an address that fsspec can write to.

    Attributes:
        root: the folder.
        into: where maps are stored.
        settings: the settings of all results; every row repeats ``model`` and ``checksum``.
    """

    root: str
    into: Into
    settings: dict[str, Any]

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Open the folder for one driver. A second driver is refused on a local disk; elsewhere, the user must avoid
        it.

        Raises:
            CatalogError: another driver is running, the folder has results with other or unreadable settings, it is no
                catalog but has files where the catalog's would be, or its store cannot be used.
        """
        with contextlib.ExitStack() as stack:
            try:
                self._refuse_if_foreign()  # before the lock, which leaves a file
                stack.enter_context(self._locked())
                self._begin()
            except (CatalogError, OSError):
                raise
            except Exception as error:  # remote stores raise their own errors
                raise CatalogError(f"{quoted(self.root)}: cannot be opened: {cause(error)}") from None
            yield
            self._discard()

    def _begin(self) -> None:
        """Write the settings, or refuse results with others, and discard what a killed run has left."""
        path = self._path("settings.json")
        mine = {**self.settings, "into": self.into}
        if self._fs.exists(path):
            self._refuse_unless_equal(_settings(path, self._fs.cat_file(path)), mine)
        else:
            self._put_together({"settings.json": (json.dumps(mine, indent=2) + "\n").encode()})
        self._discard()

    @_errors_of_store()
    def done(self) -> dict[str, str]:
        """The keys of photos with a row, and the names of their results.

        Raises:
            CatalogError: a table is damaged.
            OSError: of the store.
        """
        names: dict[str, str] = {}
        for path in self._tables():
            try:
                with self._fs.open(path, "rb") as file:
                    table = pq.read_table(file, columns=["key", "name"])
                names.update(zip(table["key"].to_pylist(), table["name"].to_pylist(), strict=True))
            except (pa.ArrowException, KeyError, OSError) as error:
                if isinstance(error, OSError) and (error.errno is not None or type(error) is not OSError):
                    raise  # it is not pyarrow's
                raise CatalogError(
                    f"{quoted(path)}: not a table of results ({cause(error)}); remove it to parse its photos again"
                ) from None
        return names

    def sweep(self, items: Sequence[Item]) -> None:
        """Remove the unfinished files of killed runs from the local folders to which maps of ``items`` go."""
        if self._local:
            for folder in {posixpath.dirname(f"maps/{item.name}") for item in items}:
                sweep(Path(self._path(folder)))

    def write(self, shard: Shard, parsed: Iterator[tuple[Item, Parsed]]) -> Written:
        """Write maps and then the table to ``pending``; called by workers. Maps in files go to their final place at
        once, because the same photo always writes the same file.

        Raises:
            OSError: of the store.
            Exception: from ``parsed``.
        """
        attempt, rows, problems = f"{shard.id}.{uuid.uuid4().hex[:8]}", [], []
        counts, schema = {"parsed": 0, "failed": 0, "quarantined": 0, "unfinished": 0}, SCHEMA
        members: dict[str, bytes] = {}
        for item, outcome in parsed:
            one = self._with_maps(item, outcome) if self.into == "files" else outcome
            row: dict[str, Any] = {"key": item.key, "name": item.name, **one.row, **self._stamp()}
            counts[one.row["status"]] += 1
            if one.row["reason"] is not None:
                problems.append((item.key, one.row["reason"]))
            if self.into == "parquet":
                row["map"] = one.files.get(".png")
            if self.into == "webdataset":
                members |= {f"{item.name}{ending}": file for ending, file in one.files.items()}
            if one.row["status"] != "unfinished":
                rows.append(row)
        moves: list[tuple[str, str]] = []
        if not rows:
            return Written(shard.id, (), counts, tuple(problems))
        if self.into == "webdataset":
            moves.append((f"pending/{attempt}.tar", f"maps/{shard.id}.tar"))
            self._put(self._path(moves[0][0]), _tar(members))
        if self.into == "parquet":
            schema = SCHEMA.append(pa.field("map", pa.binary()))
        moves.append((f"pending/{attempt}.parquet", f"results/{shard.id}.parquet"))
        table = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema), table)
        self._put(self._path(moves[-1][0]), table.getvalue().to_pybytes())
        return Written(shard.id, tuple(moves), counts, tuple(problems))

    def _with_maps(self, item: Item, parsed: Parsed) -> Parsed:
        """Write the files of a photo to ``maps``.

        Returns:
            The outcome of the photo, which is another one if a local file of someone else has such a name, or if the
            name is too long for the disk.
        """
        files = {f"maps/{item.name}{ending}": file for ending, file in parsed.files.items()}
        for place in (Path(self._path(name)) for name in files if self._local):
            if os.path.lexists(place) and not is_result_of(place, item.image):
                return without_result(
                    "unfinished",
                    f"its result would overwrite {quoted(place)}, which is not a result of {quoted(item.image)}; "
                    "move that file away and run the same command again",
                )
        try:
            self._put_together(files)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            return without_result("failed", "the name of its result is too long for the disk; rename the photo")
        return parsed

    @_errors_of_store()
    def take(self, written: Written) -> None:
        """Move the files of a complete shard to their final place, the table last; called by the driver.

        Raises:
            OSError: of the store.
        """
        for source, target in written.moves:
            self._fs.makedirs(posixpath.dirname(self._path(target)), exist_ok=True)
            if self._local:
                with naming(self._path(target)):
                    Path(self._path(source)).replace(self._path(target))
            else:
                self._fs.copy(self._path(source), self._path(target))
                self._fs.rm(self._path(source))

    def _refuse_if_foreign(self) -> None:
        """Raise CatalogError if the folder has no settings, so that it is no catalog, but a folder of a catalog's."""
        for name in ("maps", "results", "pending"):
            if self._fs.exists(self._path(name)) and not self._fs.exists(self._path("settings.json")):
                raise CatalogError(
                    f"{quoted(self.root)}: has {name} but no settings.json, so it is not a catalog; choose another "
                    "folder for the results"
                )

    def _refuse_unless_equal(self, theirs: dict[str, Any], mine: dict[str, Any]) -> None:
        """Raise CatalogError for the first setting of the results that is not that of this run."""
        for name in sorted(theirs.keys() | mine.keys(), key=lambda name: (name not in theirs, name)):
            if theirs.get(name) == mine.get(name):
                continue
            if name not in theirs:  # older versions stored fewer settings
                raise CatalogError(
                    f"{quoted(self.root)}: its settings.json has no {name}; choose another folder, or, if nothing has "
                    f"changed since, add {json.dumps({name: mine[name]})[1:-1]} there"
                )
            raise CatalogError(
                f"{quoted(self.root)}: has results with {name} {theirs[name]!r}, this run has {mine.get(name)!r}; "
                "choose another folder"
            )

    def _stamp(self) -> dict[str, str]:
        return {name: self.settings[name] for name in ("model", "checksum")}

    def _tables(self) -> list[str]:
        return sorted(path for path in self._listed("results") if path.endswith(".parquet"))

    def _listed(self, name: str) -> list[str]:
        """The paths in a folder of the catalog, which may be missing."""
        self._fs.invalidate_cache()  # other processes write here
        folder = self._path(name)
        return list(self._fs.ls(folder, detail=False)) if self._fs.exists(folder) else []

    @_errors_of_store()
    def _discard(self) -> None:
        """Remove what workers have left in ``pending``, and the folder if it is empty then."""
        for path in self._listed("pending"):
            if PENDING.fullmatch(posixpath.basename(path)):
                self._fs.rm_file(path)
        with contextlib.suppress(OSError):  # it is missing, or has files of others
            self._fs.rmdir(self._path("pending"))

    @_errors_of_store()
    def _put_together(self, files: dict[str, bytes]) -> None:
        if not self._local:
            for name, content in files.items():
                self._fs.pipe_file(self._path(name), content)
            return
        with appearing_together() as written_at:
            for name, content in files.items():
                written_at(Path(self._path(name))).write_bytes(content)

    @_errors_of_store()
    def _put(self, path: str, content: bytes) -> None:
        self._fs.makedirs(posixpath.dirname(path), exist_ok=True)
        self._fs.pipe_file(path, content)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._local:
            yield
            return
        import fcntl

        Path(self._path("")).mkdir(parents=True, exist_ok=True)
        with naming(self.root):
            lock = Path(self._path(".lock")).open("a")  # noqa: SIM115 - the next line closes it
        with lock as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CatalogError(
                    f"{quoted(self.root)}: another run is writing to it; wait for it or stop it"
                ) from None
            yield

    @property
    def _fs(self) -> Any:
        return place_of(self.root)[0]

    @property
    def _local(self) -> bool:
        return "file" in self._fs.protocol

    def _path(self, name: str) -> str:
        return posixpath.join(place_of(self.root)[1], name)


def _settings(path: str, content: bytes) -> dict[str, Any]:
    """Read the settings of the results.

    Raises:
        CatalogError: the content is not a JSON object.
    """
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise CatalogError(f"{quoted(path)}: damaged; expected settings in JSON; choose another folder for the results")
    return values


def _tar(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()
