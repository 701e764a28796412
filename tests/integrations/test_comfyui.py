"""The node as ComfyUI uses it: its package loaded from a folder of any name, its class called with tensors."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ssnan
from ssnan.io.images import read_rgb

ROOT = Path(__file__).parent.parent.parent
PHOTO = ROOT / "examples" / "camera.png"


@pytest.fixture(scope="module")
def package():
    place = ROOT / "integrations" / "comfyui" / "__init__.py"
    spec = importlib.util.spec_from_file_location("custom_nodes_human_parsing", place)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def node(package):
    return package.NODE_CLASS_MAPPINGS["HumanParsing"]


@pytest.fixture(scope="module")
def images():
    photo = torch.from_numpy(read_rgb(PHOTO)[None].astype(np.float32) / 255)
    return torch.cat([photo, photo.flip(2)])


def defaults(node, **changes):
    inputs = node.INPUT_TYPES()["required"]
    values = {name: kind[0][0] if isinstance(kind[0], list) else kind[1]["default"]
              for name, kind in inputs.items() if name != "image"}  # fmt: skip
    return values | changes


def test_masks_overlay_and_map_are_those_of_the_parser(node, images):
    assert set(defaults(node)) | {"image"} == set(node.INPUT_TYPES()["required"])
    outputs = getattr(node(), node.FUNCTION)(image=images, **defaults(node, parts="hair, face", edge="hard"))
    mask, overlay, label_map = outputs
    assert len(outputs) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    assert mask.shape == (2, 512, 512)
    assert overlay.shape == label_map.shape == (2, 512, 512, 3)
    assert all(output.dtype == torch.float32 and output.min() >= 0 and output.max() <= 1 for output in outputs)
    expected = ssnan.load()(read_rgb(PHOTO))
    np.testing.assert_array_equal(mask[0].numpy() > 0, expected.mask("hair", "face"))
    colors = (255 * label_map[0].numpy()).round().astype(np.uint8)
    np.testing.assert_array_equal(colors, expected.label_set.color_table[expected.labels])


def test_a_soft_mask_is_the_probability(node, images):
    mask, _, _ = node().parse(image=images[:1], **defaults(node, parts="", edge="soft"))
    assert ((mask > 0.05) & (mask < 0.95)).any()
    np.testing.assert_allclose(mask[0].numpy(), ssnan.load()(read_rgb(PHOTO)).probability(), atol=1e-6)


def test_parts_that_do_not_exist_are_told_before(node):
    assert node.VALIDATE_INPUTS(parts="coat", model="small") is True
    assert "no part 'arm'" in node.VALIDATE_INPUTS(parts="coat, arm", model="small")


def test_inputs_from_other_nodes_are_not_known_before(node):
    assert node.VALIDATE_INPUTS(parts=None, model="small") is True
    assert node.VALIDATE_INPUTS(parts="coat", model=None) is True


def test_only_models_of_the_package_are_loaded(node, images, monkeypatch):
    monkeypatch.setattr(ssnan, "load", lambda name: pytest.fail(f"{name} would be downloaded"))
    for parts in ("hair", None):
        assert "no model 'stranger/model'" in node.VALIDATE_INPUTS(parts=parts, model="stranger/model")
    with pytest.raises(ValueError, match="no model 'stranger/model'"):
        node().parse(image=images, **defaults(node, model="stranger/model"))


def test_it_has_a_name_in_the_menu(package):
    assert package.NODE_CLASS_MAPPINGS.keys() == package.NODE_DISPLAY_NAME_MAPPINGS.keys()
