"""Drawn people who stand side by side, in the layouts of CIHP, MHP and COCO."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from fakes.lip import person
from ssnan.labels import ATR, LIP


def crowd(count: int, shift: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photo, labels and people of a row of figures."""
    figures = [person(shift=shift + number % 3) for number in range(count)]
    photo, labels = (np.concatenate([figure[i] for figure in figures], axis=1) for i in (0, 1))
    width = figures[0][1].shape[1]
    people = np.repeat(np.arange(1, count + 1, dtype=np.uint8), width)[None] * (labels > 0)
    return photo, labels, people.astype(np.uint8)


def write_cihp(root: Path, counts: tuple[int, ...] = (1, 2, 3)) -> Path:
    folder = root / "instance-level_human_parsing" / "Validation"
    for name in ("Images", "Category_ids", "Human_ids"):
        (folder / name).mkdir(parents=True)
    for number, count in enumerate(counts):
        photo, labels, people = crowd(count, number)
        labels = labels.copy()
        labels[-4:, :4] = 10  # torso-skin
        Image.fromarray(photo).save(folder / "Images" / f"{number:07}.jpg", quality=95)
        Image.fromarray(labels).save(folder / "Category_ids" / f"{number:07}.png")
        Image.fromarray(people).save(folder / "Human_ids" / f"{number:07}.png")
    (folder / "val_id.txt").write_text("".join(f"{number:07}\n" for number in range(len(counts))))
    return root


def write_mhp(root: Path, version: int, counts: tuple[int, ...] = (1, 2)) -> Path:
    """Version 1 has grey masks, version 2 repeats the ids in each colour. Everybody carries a bag of version 2."""
    home = root / f"LV-MHP-v{version}"
    images, masks = (home / "images", home / "annotations") if version == 1 else (
        home / "val" / "images", home / "val" / "parsing_annos")  # fmt: skip
    images.mkdir(parents=True)
    masks.mkdir(parents=True)
    names = {"hair": 4, "face": 3, "upper-clothes": 12, "left-arm": 5, "right-arm": 6, "pants": 17, "left-shoe": 22,
             "right-shoe": 23}  # fmt: skip
    for number, count in enumerate(counts):
        photo, labels, people = crowd(count, number)
        Image.fromarray(photo).save(images / f"{number}.jpg", quality=95)
        for own in range(1, count + 1):
            ids = np.zeros_like(labels)
            for name, class_id in names.items():
                ids[(labels == LIP.classes.index(name)) & (people == own)] = (
                    ATR.classes.index(name) if version == 1 else class_id
                )
            left = np.flatnonzero((people == own).any(axis=0))[0]
            ids[90:94, left : left + 4] = ATR.classes.index("bag") if version == 1 else 45
            mask = Image.fromarray(ids)
            (mask if version == 1 else Image.merge("RGB", [mask] * 3)).save(masks / f"{number}_{count:02}_{own:02}.png")
    listed = "".join(f"{number}.jpg\n" for number in range(len(counts)))
    if version == 1:
        (home / "test_list.txt").write_text(listed)
        (home / "train_list.txt").write_text(listed)
    else:
        (home / "list").mkdir()
        (home / "list" / "val.txt").write_text(listed.replace(".jpg", ""))
    return root


def runs(mask: np.ndarray) -> dict[str, object]:
    """COCO's run lengths of a mask, not compressed."""
    values = np.concatenate([[False], mask.T.ravel()])
    counts = np.diff(np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]), [mask.size]]))
    return {"size": list(mask.shape), "counts": counts.tolist()}


def write_coco(root: Path, counts: tuple[int, ...] = (0, 1, 2, 3)) -> Path:
    """A category of bags too. In the last photo, the last figure is a crowd."""
    (root / "annotations").mkdir(parents=True)
    (root / "val2017").mkdir()
    images, annotations = [], []
    for number, count in enumerate(counts):
        photo, labels, people = crowd(max(1, count), number)
        height, width = labels.shape
        Image.fromarray(photo).save(root / "val2017" / f"{number:012}.jpg", quality=95)
        images.append({"id": number + 40, "file_name": f"{number:012}.jpg", "height": height, "width": width})
        for own in range(1, count + 1):
            last = number == len(counts) - 1 and own == count
            annotations.append({"id": len(annotations), "image_id": number + 40, "category_id": 5,
                                "iscrowd": int(last), "segmentation": runs(people == own)})  # fmt: skip
        annotations.append({"id": len(annotations), "image_id": number + 40, "category_id": 9, "iscrowd": 0,
                            "segmentation": [[0, 0, 4, 0, 4, 4]]})  # fmt: skip
    categories = [{"id": 5, "name": "person"}, {"id": 9, "name": "handbag"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(document))
    return root
