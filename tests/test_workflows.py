"""What the workflows on GitHub and the package say about themselves agrees."""

import re
import tomllib
from pathlib import Path

import yaml

import ssnan

ROOT = Path(__file__).parent.parent
WORKFLOWS = ROOT / ".github" / "workflows"


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_python_of_the_package_is_tested():
    jobs = yaml.safe_load((WORKFLOWS / "tests.yml").read_text())["jobs"]
    prefix = "Programming Language :: Python :: 3."
    named = [line.rpartition(" ")[2] for line in project()["classifiers"] if line.startswith(prefix)]
    assert jobs["core"]["strategy"]["matrix"]["python"] == named
    assert [cell["python"] for cell in jobs["everything"]["strategy"]["matrix"]["include"]] == named
    assert project()["requires-python"] == f">={named[0]}"


def test_the_experiments_are_tested():
    steps = yaml.safe_load((WORKFLOWS / "tests.yml").read_text())["jobs"]["everything"]["steps"]
    assert any(step.get("run", "").endswith("pytest experiments") for step in steps)


def test_the_core_tests_exist():
    lines = (ROOT / "tests" / "core.txt").read_text().splitlines()
    paths = [line.removeprefix("--ignore=") for line in lines if re.match(r"(--ignore=)?tests/", line)]
    assert len(paths) > 3
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_release_is_named_once():
    """As release.yml checks it on a tag."""
    assert f"\nversion: {ssnan.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f'\n__version__ = "{ssnan.__version__}"\n' in (ROOT / "src" / "ssnan" / "__init__.py").read_text()
    assert project()["dynamic"] == ["version"]
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text()


def test_every_extra_that_is_named_exists():
    """In errors and help, in the documents and in the Makefile."""
    files = [*ROOT.glob("src/**/*.py"), *ROOT.glob("docs/*.md"), *ROOT.glob("*.md"), *ROOT.glob("[!.]*/*/README.md")]
    named = re.compile(r"""(?:ssnan|'\.)\[([a-z,]+)\]|lacks\(.*, "(\w+)"\)""")
    found = {name for path in files for match in named.findall(path.read_text()) for name in "".join(match).split(",")}
    assert {"heif", "train", "video", "cluster"} <= found <= project()["optional-dependencies"].keys()
