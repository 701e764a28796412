import pytest

from fakes.runs import write_run


@pytest.fixture
def runs(tmp_path):
    for seed, hits in enumerate((4, 6)):
        write_run(tmp_path / "runs" / "neural" / f"seed{seed}", hits)
    write_run(tmp_path / "runs" / "average", 5)
    return tmp_path / "runs"
