import json
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


def test_the_slurm_script_calls_our_train_as_it_is(tmp_path):
    """With an srun that prints what it is given, which the parser of ``ssnan train`` then reads."""
    (tmp_path / "srun").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_NUM_NODES": "1", "SLURM_NTASKS_PER_NODE": "1"}
    script = DEPLOY / "slurm.sh"
    done = subprocess.run([script, "lip/ss_nan"], env=environment, capture_output=True, text=True, check=True)
    program, command, *arguments = done.stdout.splitlines()
    assert (program, command) == ("ssnan", "train")
    with pytest.raises(SystemExit) as ended:
        train([*arguments, "--print_config"])
    assert ended.value.code == 0
    refused = subprocess.run([script], env=environment, capture_output=True, text=True)
    assert "the name of a recipe" in refused.stderr
