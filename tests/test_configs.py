from pathlib import Path

import pytest

from ssnan.training.main import train

CONFIGS = Path(__file__).parent.parent / "configs"
FIRST_STEPS = sorted(path for path in CONFIGS.glob("*/ss_nan.yaml"))


@pytest.mark.parametrize("first", FIRST_STEPS, ids=lambda path: path.parent.name)
def test_both_steps_of_every_recipe_are_accepted(first, capsys):
    for overlays in ([], [first.with_name("ss_nan_step2.yaml")]):
        arguments = [argument for path in (first, *overlays) for argument in ("--config", str(path))]
        with pytest.raises(SystemExit) as ended:
            train([*arguments, "--print_config"])
        assert ended.value.code == 0
        printed = capsys.readouterr().out
        assert ("joint_form: weighted" in printed) == bool(overlays)
        assert "class_path: ssnan.models.SSNAN" in printed
