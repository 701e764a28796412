"""Parsers of photos that are no photos, for processes that are meant to die."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssnan.cluster.isolation import ParseOptions
from ssnan.labels import LIP
from ssnan.parsing.parser import Decoded, Parser
from ssnan.parsing.preprocessing import Preprocessing


class WordParser(Parser):
    """Does what a photo's bytes tell it, or finds one that is all hair."""

    def __init__(self):
        super().__init__(self.hair, LIP, Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))

    def decode(self, image):
        word, _, where = image.partition(b":")
        if word == b"dies once" and not Path(where.decode()).exists():
            Path(where.decode()).touch()
            word = b"dies"
        match word:
            case b"dies":
                os.kill(os.getpid(), signal.SIGKILL)
            case b"exits":
                os._exit(3)
            case b"hangs":
                time.sleep(3600)
            case b"broken":
                return super().decode(image)
        return Decoded(np.full((4, 6, 3), 255 * (word == b"nan"), dtype=np.uint8), 4, 6)

    @staticmethod
    def hair(pixels):
        scores = np.zeros((len(pixels), 20, 2, 2), dtype=np.float32)
        scores[:, 2] = np.where(pixels.max() > 0, np.nan, 9)
        return scores


@dataclass(frozen=True)
class WordOptions(ParseOptions):
    def parser(self):
        return WordParser()


@dataclass(frozen=True)
class DyingOptions(ParseOptions):
    def parser(self):
        os.kill(os.getpid(), signal.SIGKILL)
