from pathlib import Path

import pytest

from ssnan.recipes import CONFIGS, RecipeError, expand, shipped


def files(*arguments):
    """The files that ``arguments`` are expanded to, by their places in the package or their names."""
    expanded = [Path(word) for word in expand(arguments) if word != "--config"]
    return [str(path.relative_to(CONFIGS)) if path.is_relative_to(CONFIGS) else path.name for path in expanded]


@pytest.mark.parametrize(
    "arguments", [["--config", "lip/ss_nan"], ["--config=lip/ss_nan.yaml"], ["-c", "lip/ss_nan"], ["-c=lip/ss_nan"]]
)
def test_a_name_is_a_dataset_and_a_system(arguments):
    assert files(*arguments) == ["data/lip.yaml", "paper/ss_nan.yaml"]


def test_what_one_dataset_alone_needs_comes_last():
    named = files("-c", "pascal_person_part/hazn")
    assert named == ["data/pascal_person_part.yaml", "paper/hazn.yaml", "paper/hazn.pascal_person_part.yaml"]
    assert files("-c", "lip/hazn") == ["data/lip.yaml", "paper/hazn.yaml"]


def test_a_base_comes_first_and_once():
    both = ["data/lip.yaml", "paper/ss_nan.yaml", "paper/ss_nan_step2.yaml"]
    assert files("-c", "lip/ss_nan_step2") == both
    assert files("-c", "lip/ss_nan", "-c", "lip/ss_nan_step2") == both
    assert files("-c", "lip/ss_nan_literal_step2") == [
        *both,
        "paper/ss_nan_literal.yaml",
        "paper/ss_nan_literal_step2.yaml",
    ]
    assert files("-c", "bundled/context_end") == ["bundled/context.yaml", "bundled/context_end.yaml"]


def test_bases_of_your_own_lie_beside_the_file_or_come_with_ssnan(tmp_path):
    (tmp_path / "first.yaml").write_text("base: lip/segnet\n")
    (tmp_path / "second.yaml").write_text("base: [first, bundled/skip]\n")
    assert files("-c", str(tmp_path / "second.yaml")) == [
        "data/lip.yaml", "paper/segnet.yaml", "first.yaml", "bundled/skip.yaml", "second.yaml",
    ]  # fmt: skip


def test_other_arguments_stay():
    assert expand(["--model.sgd.power", "0", "--output=runs/config=1", "--config"]) == [
        "--model.sgd.power", "0", "--output=runs/config=1", "--config",
    ]  # fmt: skip


def test_a_recipe_that_is_not_there():
    with pytest.raises(RecipeError, match=r"recipe 'lip/ss_nam': no such file.*did you mean 'lip/ss_nan'"):
        expand(["-c", "lip/ss_nam"])


def test_a_base_that_is_not_there(tmp_path):
    (tmp_path / "own.yaml").write_text("base: other\n")
    with pytest.raises(RecipeError, match=r"recipe 'other': .*own\.yaml has it as its base, but there is no such file"):
        expand(["-c", str(tmp_path / "own.yaml")])


@pytest.mark.parametrize("base", ["3", "[a, 2]", "{a: b}"])
def test_a_base_that_is_not_a_name(tmp_path, base):
    (tmp_path / "own.yaml").write_text(f"base: {base}\n")
    with pytest.raises(RecipeError, match=r"own\.yaml: base: expected the name of a recipe or a list of names, got"):
        expand(["-c", str(tmp_path / "own.yaml")])


def test_a_recipe_that_is_not_yaml_is_named_with_the_line(tmp_path):
    (tmp_path / "own.yaml").write_text("data:\n  crop: [257\n  batch_size: 8\n")
    with pytest.raises(RecipeError, match=r"own\.yaml: cannot be read \(line 3: "):
        expand(["-c", str(tmp_path / "own.yaml")])
    (tmp_path / "own.yaml").write_bytes("name: größe".encode("latin-1"))
    with pytest.raises(RecipeError, match=r"own\.yaml: expected text in UTF-8"):
        expand(["-c", str(tmp_path / "own.yaml")])


def test_a_recipe_with_a_key_twice_is_refused(tmp_path):
    """YAML itself would keep the second ``data`` alone."""
    (tmp_path / "own.yaml").write_text("data:\n  batch_size: 8\ndata:\n  crop: [257, 257]\n")
    with pytest.raises(RecipeError, match=r"own\.yaml: cannot be read \(line 1: 'data' occurs twice\)"):
        expand(["-c", str(tmp_path / "own.yaml")])
    (tmp_path / "own.yaml").write_text("[" * 1000)
    with pytest.raises(RecipeError, match=r"own\.yaml: cannot be read"):
        expand(["-c", str(tmp_path / "own.yaml")])


def test_a_recipe_cannot_build_on_itself(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b\n")
    (tmp_path / "b.yaml").write_text("base: a\n")
    with pytest.raises(RecipeError, match=r"a\.yaml: is its own base"):
        expand(["-c", str(tmp_path / "a.yaml")])


def test_every_file_belongs_to_a_recipe():
    every = {str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.yaml")}
    used = {file for folder, names in shipped().items() for name in names for file in files("-c", f"{folder}/{name}")}
    assert used == every
