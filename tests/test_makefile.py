import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OLD = """#!/bin/sh
exec python3 -c 'import sys; sys.version_info = (3, 9, 0); sys.version = "3.9.0 x"; exec(sys.argv[1])' "$2"
"""


pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def test_an_old_python_is_told_so_before_anything_is_installed(tmp_path):
    python = tmp_path / "python3.9"
    python.write_text(OLD)
    python.chmod(0o755)
    done = subprocess.run(["make", "demo", f"PYTHON={python}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "ssnan needs Python 3.11 or newer" in done.stderr
    assert "pip" not in done.stdout


def test_only_make_browser_installs_packages_of_the_system():
    def commands(target):
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout

    assert "apt-get install" in commands("browser")
    for target in ("demo", "catalog", "test", "site", "floor", "audit", "clean"):
        assert "apt-get" not in commands(target)


def test_every_direct_dependency_is_installed_in_a_version_that_was_tested():
    def named(line):
        return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", line)[0]).lower()

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {*map(named, sum(project["optional-dependencies"].values(), project["dependencies"]))} - {"ssnan"}
    pinned = {named(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert needed - pinned == set()
