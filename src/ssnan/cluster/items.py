"""Find and read photos: files, members of tars, rows of tables."""

from __future__ import annotations

import csv
import hashlib
import io
import posixpath
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ssnan.errors import UserError, cause, did_you_mean, quoted
from ssnan.io.lists import text_of, without_case
from ssnan.io.opening import A_RAW_FILE, UnknownFormatError, refuse_unless_regular
from ssnan.io.signatures import HEAD, RAW, is_photo
from ssnan.parsing.inputs import is_file_or_lost, is_result, result_it_could_be_of, result_names

MOST_BYTES = 1 << 30
"""The most bytes of a photo; larger files are refused before they fill the memory."""

COLUMNS = ("image", "path", "uri", "url", "file", "filename", "file_name", "key")
"""Column names to look for in a table, in order of preference."""


class ItemsError(UserError):
    """Photos cannot be listed; the message says why."""


class StoreError(OSError):
    """A photo cannot be read now, because of its disk, store or network; a later run may read it."""


class Item(NamedTuple):
    """One photo.

    Attributes:
        name: the name of its results, a relative path without suffix.
        uri: the absolute path of a file, or an address that fsspec can read.
        place: byte offset in a tar, or row of a table; None for a file.
        size: bytes of a member of a tar.
        column: column of a table.
    """

    name: str
    uri: str
    place: int | None = None
    size: int | None = None
    column: str | None = None

    @property
    def key(self) -> str:
        """A unique key, in Unicode."""
        return _in_unicode(self.uri if self.place is None else f"{self.uri}#{self.place}")

    @property
    def image(self) -> str:
        """The name of the photo in its results. Photos in tars and tables have no files of their own."""
        return posixpath.basename(self.uri) if self.place is None else self.name


def find_items(inputs: Sequence[str], recursive: bool = False, column: str | None = None) -> list[Item]:
    """Find the photos of folders, patterns, files, lists (``.txt``, one path or address per line), tables (``.csv`` and
    ``.parquet``, with a column of paths, addresses or bytes) and WebDataset tars, on any file system that fsspec knows.
    Returns each photo once, in the order of the inputs. Paths in lists and tables are relative to the list. Results of
    earlier runs in local folders and patterns are left out.

    Args:
        inputs: paths, patterns and addresses.
        recursive: include subfolders.
        column: column of tables; the first of :data:`COLUMNS` that exists if None.

    Raises:
        ItemsError: an input cannot be listed, or has no photo.
    """
    found: dict[str, Item] = {}
    for given in inputs:
        try:
            items = list(_items_of(_absolute(given), recursive, column))
            deeper = not items and not recursive and any(True for _ in _items_of(_absolute(given), True, column))
        except ItemsError:
            raise
        except Exception as error:
            known = (OSError, ImportError, ValueError, tarfile.TarError, pa.ArrowException, csv.Error)
            if not isinstance(error, known) and "://" not in given:  # remote stores raise their own errors
                raise
            text = isinstance(error, UnicodeDecodeError)
            problem = "expected text in UTF-8 or UTF-16; Excel saves it as 'CSV UTF-8'" if text else cause(error)
            raise ItemsError(f"{quoted(given)}: cannot be listed: {problem}") from None
        if not items:
            hint = f"; subfolders of {quoted(given)} contain photos; --recursive includes them" if deeper else ""
            raise ItemsError(f"no photo in {quoted(given)}{hint}")
        for item in items:
            found.setdefault(item.key, item)
    # Paths, because find_inputs names results after paths; here a key is only a key.
    names = result_names({Path(key): Path(_in_unicode(item.name)) for key, item in found.items()})
    return [item._replace(name=names[Path(key)].as_posix()) for key, item in found.items()]


def named_apart(items: Sequence[Item], done: Mapping[str, str] | None = None, dots: bool = True) -> list[Item]:
    """The same items with unique names. Photos with the same name in different folders get a checksum of their key, as
    in ``a-0123456789ab``. Names that differ only in case count as the same, because they are on some disks.

    Args:
        items: from :func:`find_items`.
        done: names of existing results by key; no other photo gets one of these names.
        dots: whether names may contain dots; WebDataset reads what follows the first dot as a field.
    """
    if not dots:
        items = [item._replace(name=_without_dots(item.name)) for item in items]
    wanted = {item.key: item.name for item in items}
    before = (name for key, name in (done or {}).items() if wanted.get(key) != name)
    uses = Counter(PurePosixPath(without_case(name)) for name in [*wanted.values(), *before])
    owners = {result_it_could_be_of(name) for name in uses}

    def apart(item: Item) -> Item:
        name = PurePosixPath(without_case(item.name))
        if uses[name] == 1 and name not in owners and result_it_could_be_of(name) not in uses:
            return item
        return item._replace(name=f"{item.name}-{hashlib.sha256(item.key.encode()).hexdigest()[:12]}")

    return [apart(item) for item in items]


def _in_unicode(name: str) -> str:
    """A name with all bytes escaped that are not UTF-8, because tables cannot hold them: ``\\udcff``."""
    return name.encode(errors="backslashreplace").decode()


def _without_dots(name: str) -> str:
    folder, own = posixpath.split(name)
    return posixpath.join(folder, own.replace(".", "_"))


def _items_of(given: str, recursive: bool, column: str | None) -> Iterator[Item]:
    fs, path = place_of(given)
    ending = posixpath.splitext(path)[1].lower()
    if ending == ".tar" and not fs.isdir(path):
        yield from _in_tar(given)
    elif ending == ".parquet" and not fs.isdir(path):
        yield from _in_parquet(given, column)
    elif ending in (".csv", ".txt") and not fs.isdir(path):
        with _opened(given) as file:
            text = text_of(file.read())
        lines = [line.strip() for line in text.splitlines()] if ending == ".txt" else _in_csv(given, text, column)
        for line in filter(None, lines):
            yield _file(_beside(given, line))
    elif fs.isdir(path):
        depth = None if recursive else 1
        for child in sorted(fs.find(path, maxdepth=depth)):
            # First whether it is an input, because opening a pipe would wait forever.
            if _is_input(fs, child) and is_photo(child, lambda: fs.cat_file(child, start=0, end=HEAD)):  # noqa: B023
                yield Item(posixpath.relpath(child, path), _address(fs, child, given))
    elif any(sign in path for sign in "*?[") and not fs.exists(path):
        for child in sorted(fs.glob(path)):
            if not fs.isdir(child) and _is_input(fs, child):
                yield _file(_address(fs, child, given))
    else:
        yield _file(given)


def place_of(uri: str) -> tuple[Any, str]:
    """The file system of a path or an address, and the path in it.

    Raises:
        Exception: fsspec does not know the address, or lacks a package for it; its file systems raise their own errors.
    """
    if "://" in uri:
        fs, path = url_to_fs(uri)
        return fs, path
    local = fsspec.filesystem("file")  # url_to_fs would take a::b as two addresses
    return local, local._strip_protocol(uri)


def _opened(uri: str) -> Any:
    fs, path = place_of(uri)
    return fs.open(path, "rb")


def _is_input(fs: Any, child: str) -> bool:
    """Whether a folder or a pattern gives this file: no local pipe, which nothing may open, nor a local result of an
    earlier run. Elsewhere there are no pipes, and looking at every PNG would take a request each."""
    return not isinstance(fs, LocalFileSystem) or (is_file_or_lost(child) and not is_result(Path(child)))


def _file(uri: str) -> Item:
    uri = _absolute(uri)
    name = posixpath.basename(uri.rstrip("/"))
    if not PurePosixPath(name).name:
        raise ItemsError(f"{quoted(uri)}: expected the path or address of a photo, got a folder")
    return Item(name, uri)


def _absolute(uri: str) -> str:
    """A path as one absolute path for all its spellings, because a key must not depend on the working directory;
    addresses stay. A link to a photo keeps its own name."""
    if "://" in uri:
        return uri
    path = Path(uri).absolute()
    if ".." in path.parts:  # on the disk, because it may come after a link
        path = path.parent.resolve() / path.name
    return str(path)


def _address(fs: Any, child: str, given: str) -> str:
    """The address of a child, in the form of the input: a path stays a path."""
    return str(fs.unstrip_protocol(child)) if "://" in given else child


def _beside(given: str, line: str) -> str:
    if "://" in line or posixpath.isabs(line):
        return line
    if "\\" in line and "/" not in line:  # a Windows path
        line = line.replace("\\", "/")
    return posixpath.join(posixpath.dirname(given), line)


def _head(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read(HEAD)


def _in_tar(given: str) -> Iterator[Item]:
    stem = posixpath.splitext(posixpath.basename(given))[0]
    try:
        with _opened(given) as file, tarfile.open(fileobj=file, mode="r:") as tar:  # photos are read by their offsets
            for member in tar:
                if member.isfile() and is_photo(member.name, lambda: _head(tar, member)):  # noqa: B023 - called at once
                    inside = posixpath.normpath(posixpath.join("/", member.name))[1:]
                    yield Item(f"{stem}/{inside}", given, member.offset_data, member.size)
    except tarfile.ReadError as error:
        problem = f"cannot be listed: expected a tar without compression ({cause(error)})"
        raise ItemsError(f"{quoted(given)}: {problem}; unpack it and pack it again") from None


def _in_parquet(given: str, column: str | None) -> Iterator[Item]:
    with _opened(given) as file:
        table = pq.ParquetFile(file)
        name = _column(given, table.schema_arrow.names, column)
        kind = table.schema_arrow.field(name).type
        if pa.types.is_dictionary(kind):  # a category of pandas
            kind = kind.value_type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            for batch in table.iter_batches(columns=[name]):
                yield from (_file(_beside(given, line)) for line in batch.column(0).to_pylist() if line)
            return
        stem = posixpath.splitext(posixpath.basename(given))[0]
        for row in range(table.metadata.num_rows):
            yield Item(f"{stem}/{row:08d}", given, row, None, name)


def _in_csv(given: str, text: str, column: str | None) -> list[str]:
    file = io.StringIO(text, newline="")
    header = file.readline()
    if header.lower().startswith("sep="):  # for Excel
        header = file.readline()
    separator = max(",;\t", key=header.count)  # a comma if none occurs
    reader = csv.DictReader(file, next(csv.reader([header], delimiter=separator), None), delimiter=separator)
    name = _column(given, list(reader.fieldnames or ()), column)
    return [row[name] or "" for row in reader]


def _column(given: str, names: Sequence[str], wanted: str | None) -> str:
    known = {name.strip().lower(): name for name in reversed(names)} | {name: name for name in names}
    for name in [wanted] if wanted is not None else COLUMNS:
        if name in known:
            if names.count(known[name]) > 1:
                raise ItemsError(f"{quoted(given)}: has several columns {known[name]!r}; rename all but one")
            return known[name]
    hint = "" if wanted is None else did_you_mean(wanted, names)
    expected = repr(wanted) if wanted is not None else "one of " + ", ".join(COLUMNS)
    raise ItemsError(
        f"{quoted(given)}: expected a column {expected}{hint}; it has {', '.join(names)}; --column names it"
    )


def contents(items: Sequence[Item]) -> Iterator[tuple[Item, bytes | OSError]]:
    """Yield the bytes of every photo, in order, or the error: a :class:`StoreError` if a later run may succeed. Opens
    each tar or table once per run of its photos."""
    for _, several in groupby(items, key=lambda item: (item.uri, item.column)):
        stretch, answered = list(several), 0
        problem = OSError("no longer exists")
        try:
            for content in _of_one_place(stretch):
                yield stretch[answered], content
                answered += 1
        except (FileNotFoundError, IsADirectoryError, UserError) as error:
            problem = OSError(cause(error))
        except Exception as error:  # remote stores raise their own errors
            problem = StoreError(cause(error))
        yield from ((item, problem) for item in stretch[answered:])


def _of_one_place(items: Sequence[Item]) -> Iterator[bytes | OSError]:
    uri, column = items[0].uri, items[0].column
    if column is not None:
        yield from _rows(uri, column, [item.place or 0 for item in items])
        return
    if PurePosixPath(uri).suffix.lower() in RAW:  # only the name shows some of them
        raise UnknownFormatError(A_RAW_FILE)
    if "://" not in uri:
        refuse_unless_regular(uri)
    with _opened(uri) as file:
        yield from (_read(file, item) for item in items)


def _read(file: Any, item: Item) -> bytes | OSError:
    size = MOST_BYTES + 1 if item.size is None else item.size
    if item.place is not None:
        file.seek(item.place)
    if size > MOST_BYTES and item.size is not None:
        return OSError(f"has {size} bytes, more than {MOST_BYTES}")
    read = file.read(size)
    return read if len(read) <= MOST_BYTES else OSError(f"has more than {MOST_BYTES} bytes")


def _rows(uri: str, column: str, rows: Sequence[int]) -> Iterator[bytes | OSError]:
    with _opened(uri) as file:
        table, first = pq.ParquetFile(file), 0
        for group in range(table.num_row_groups):
            count = table.metadata.row_group(group).num_rows
            inside = [row for row in rows if first <= row < first + count]
            if inside:
                values = table.read_row_group(group, columns=[column]).column(0)
                for row in inside:
                    value = values[row - first].as_py()
                    value = value.get("bytes") if isinstance(value, dict) else value
                    yield value if isinstance(value, bytes) else OSError(f"row {row} of {column!r} has no bytes")
            first += count
