"""Which layout a folder has, told by what lies in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssnan.data.custom import DESCRIPTION, open_custom, read_label_set
from ssnan.data.folder import DatasetError, ParsingFolder
from ssnan.data.lip import open_lip
from ssnan.data.packed import INDEX, open_packed
from ssnan.data.pascal_person_part import PLACES, open_pascal_person_part
from ssnan.errors import quoted
from ssnan.labels import LabelSet, label_set_by_name


def open_split(root: str | Path, split: str) -> ParsingFolder:
    """One split of the dataset in ``root``, complete.

    Raises:
        DatasetError: the folder does not hold what its layout asks for, or the split's list names
            pictures or masks that are not there, or nothing at all.
    """
    folder = find_split(root, split)
    if folder.missing:
        more = f" (and {len(folder.missing) - 1} more)" if len(folder.missing) > 1 else ""
        raise DatasetError(f"{folder.missing[0]}{more}; 'ssnan data check {root}' shows all")
    if not folder.pairs:
        raise DatasetError(f"{root}: the list of {split} is empty")
    return folder


def find_split(root: str | Path, split: str) -> ParsingFolder:
    """One split of the dataset in ``root``, with what it lacks: packed if there is a ``packed.json``, your own
    layout if there is a ``dataset.yaml``, PASCAL-Person-Part's if there is a ``JPEGImages``, LIP's otherwise.

    Raises:
        DatasetError: the folder does not hold what its layout asks for.
    """
    root = Path(root)
    try:
        if not root.is_dir():
            raise DatasetError(f"{quoted(root)}: no such folder; expected a dataset")
        if (root / INDEX).is_file():
            return open_packed(root, split)
        if (root / DESCRIPTION).is_file():
            return open_custom(root, split)
        if any((root / place / "JPEGImages").is_dir() for place in PLACES):
            return open_pascal_person_part(root, split)
        return open_lip(root, split)
    except OSError as error:
        raise DatasetError(f"{quoted(error.filename or root)}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{quoted(root)}: a list of {split} is no text in UTF-8 or UTF-16 ({error.reason})"
        ) from None


def label_set_of(value: str | dict[str, Any] | LabelSet) -> LabelSet:
    """A label set from its name, from the ``dataset.yaml`` that defines it, or from its plain values.

    Raises:
        ValueError: there is no such label set or file.
    """
    if isinstance(value, LabelSet):
        return value
    if isinstance(value, dict):
        return LabelSet.from_dict(value)
    if value.endswith((".yaml", ".yml")):
        return read_label_set(Path(value))
    return label_set_by_name(value)
