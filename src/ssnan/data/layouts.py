"""Open a dataset in the layout that its files show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssnan.data.cihp import is_cihp, open_cihp
from ssnan.data.coco import is_coco, open_coco
from ssnan.data.custom import DESCRIPTION, open_custom, read_label_set
from ssnan.data.folder import DatasetError, ParsingFolder
from ssnan.data.lip import open_lip
from ssnan.data.mhp import is_mhp, open_mhp
from ssnan.data.packed import INDEX, open_packed
from ssnan.data.pascal_person_part import PLACES, open_pascal_person_part
from ssnan.errors import of_file, quoted
from ssnan.labels import LabelSet, label_set_by_name


def open_split(root: str | Path, split: str) -> ParsingFolder:
    """Open one complete split of the dataset in ``root``.

    Raises:
        DatasetError: the folder does not match its layout, or the list of the split is empty or names missing files.
    """
    folder = find_split(root, split)
    if folder.missing:
        more = f" (and {len(folder.missing) - 1} more)" if len(folder.missing) > 1 else ""
        raise DatasetError(f"{folder.missing[0]}{more}; 'ssnan data check {root}' shows all")
    if not folder.pairs:
        raise DatasetError(f"{root}: the list of {split} is empty")
    return folder


def find_split(root: str | Path, split: str) -> ParsingFolder:
    """Open one split of the dataset in ``root``, even if files are missing. A ``packed.json`` means a packed dataset, a
    ``dataset.yaml`` your own layout, a ``JPEGImages`` that of PASCAL-Person-Part, ``Category_ids`` that of CIHP, masks
    of one person each that of MHP, ``annotations/instances_….json`` that of COCO, and anything else that of LIP.

    Raises:
        DatasetError: the folder does not match its layout.
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
        if is_cihp(root):
            return open_cihp(root, split)
        if is_mhp(root):
            return open_mhp(root, split)
        if is_coco(root):
            return open_coco(root, split)
        return open_lip(root, split)
    except OSError as error:
        raise DatasetError(of_file(error, root)) from None
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{quoted(root)}: a list of {split} is not text in UTF-8 or UTF-16 ({error.reason})"
        ) from None


def label_set_of(value: str | dict[str, Any] | LabelSet) -> LabelSet:
    """A label set from its name, its ``dataset.yaml`` or its plain values.

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
