"""Cut a thousand photos out of those in this folder, into a WebDataset tar, to try a catalog on.

python examples/thousand.py thousand.tar
"""

import argparse
import io
import random
import tarfile
from pathlib import Path

from PIL import Image


def main(tar: Path, count: int = 1000) -> None:
    chance = random.Random(0)
    photos = [Image.open(path).convert("RGB") for path in sorted(Path(__file__).parent.glob("*.[jp][pn]g"))]
    tar.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(tar, "w") as members:
        for number in range(count):
            photo = photos[number % len(photos)]
            width, height = (round(whole * chance.uniform(0.5, 1)) for whole in photo.size)
            left, top = chance.randint(0, photo.width - width), chance.randint(0, photo.height - height)
            content = io.BytesIO()
            photo.crop((left, top, left + width, top + height)).save(content, "JPEG", quality=90)
            member = tarfile.TarInfo(f"{number:04d}.jpg")
            member.size = content.tell()
            content.seek(0)
            members.addfile(member, content)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tar", type=Path)
    main(parser.parse_args().tar)
