import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import ray
import yaml

from ssnan.training.cli import train

DEPLOY = Path(__file__).parent.parent / "deploy"


def test_the_cluster_is_one_to_ray():
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(yaml.safe_load((DEPLOY / "ray.yaml").read_text()), schema)


def _told():
    """The example in the script's head."""
    (line,) = (line for line in (DEPLOY / "slurm.sh").read_text().splitlines() if line.startswith("#   sbatch "))
    return line.split("slurm.sh ")[1].split()


def test_the_batch_of_the_slurm_example_is_shared_by_its_tasks():
    lines = dict(re.findall(r"^#SBATCH --([\w-]+)=(\d+)$", (DEPLOY / "slurm.sh").read_text(), re.MULTILINE))
    tasks = int(lines["nodes"]) * int(lines["ntasks-per-node"])
    told = _told()
    assert int(told[told.index("--data.batch_size") + 1]) % tasks == 0
    assert " ".join(told) in (DEPLOY.parent / "docs" / "scale.md").read_text()


def test_the_slurm_script_calls_our_train_as_it_is(tmp_path):
    """With an srun that prints what it is given, which the parser of ``ssnan train`` then reads."""
    (tmp_path / "srun").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_NUM_NODES": "1", "SLURM_NTASKS_PER_NODE": "1"}
    script = DEPLOY / "slurm.sh"
    told = _told()
    done = subprocess.run([script, *told], env=environment, capture_output=True, text=True, check=True)
    program, command, *arguments = done.stdout.splitlines()
    assert (program, command) == ("ssnan", "train")
    with pytest.raises(SystemExit) as ended:
        train([*arguments, "--print_config"])
    assert ended.value.code == 0
    assert arguments[-len(told) + 1 :] == told[1:]
    refused = subprocess.run([script], env=environment, capture_output=True, text=True)
    assert "the name of a recipe" in refused.stderr
