"""CVAT for images 1.1: one XML file per folder. https://docs.cvat.ai/docs/manual/advanced/xml_format/"""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree import ElementTree as Xml

from ssnan.errors import printable
from ssnan.formats.folder import NamedResult
from ssnan.formats.polygons import TOLERANCE, one_ring, polygons_of_people

UNKNOWN_TO_XML = r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
"""A character that XML 1.0 cannot hold. https://www.w3.org/TR/xml/#charsets"""


def document(results: Iterable[NamedResult], tolerance: float = TOLERANCE) -> Xml.ElementTree[Xml.Element]:
    """The document, with one polygon per connected region of each part of each person. The parts of a person form a
    group; parts of nobody have none.

    Raises:
        FormatError, ImageError: from ``results``.
    """
    root = Xml.Element("annotations")
    Xml.SubElement(root, "version").text = "1.1"
    labels = Xml.SubElement(Xml.SubElement(Xml.SubElement(root, "meta"), "task"), "labels")
    for number, named in enumerate(results):
        label_set = named.result.label_set
        if not number:
            for name, color in zip(label_set.classes[1:], label_set.palette[1:], strict=True):
                label = Xml.SubElement(labels, "label")
                Xml.SubElement(label, "name").text = name
                Xml.SubElement(label, "color").text = "#{:02x}{:02x}{:02x}".format(*color)
                Xml.SubElement(label, "attributes")
        height, width = named.result.labels.shape
        image = Xml.SubElement(
            root, "image", id=str(number), name=_in_xml(named.file_name), width=str(width), height=str(height)
        )
        for (person, name), pieces in polygons_of_people(named.result, tolerance).items():
            for piece in pieces:
                points = ";".join(f"{x:.2f},{y:.2f}" for x, y in one_ring(piece))
                shape = Xml.SubElement(
                    image, "polygon", label=name, source="auto", occluded="0", points=points, z_order="0"
                )
                if person:
                    shape.set("group_id", str(person))
    Xml.indent(root)
    return Xml.ElementTree(root)


def _in_xml(text: str) -> str:
    """``text`` with the characters escaped that XML cannot hold, such as ``\\x01``; the others are as CVAT has them."""
    return re.sub(UNKNOWN_TO_XML, lambda found: printable(found[0]), text)
