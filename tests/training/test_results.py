import json
import shutil

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ssnan.training.cli import train


def results(run):
    return json.loads((run / "results.json").read_text())


def test_a_finished_run_that_is_given_again_keeps_its_results(config, plain_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(plain_run, run)
    before = (run / "results.json").read_bytes()
    again = ["--config", config, "--output", str(run), "--trainer.max_epochs", "1"]
    train(again)
    assert (run / "results.json").read_bytes() == before
    (run / "results.json").unlink()  # as if killed before they were written
    train(again)
    assert results(run) | {"seconds_321": 0, "minutes": 0} == json.loads(before) | {"seconds_321": 0, "minutes": 0}


def test_a_run_in_pieces_counts_its_crops_and_measures_its_last_weights(config, tmp_path):
    """An epoch has two batches, one step of three; no epoch is validated, except Lightning's check on one photo."""
    run = ["--config", config, "--output", str(tmp_path), "--data.seed", "7", "--trainer.num_sanity_val_steps", "1"]
    run += ["--trainer.accumulate_grad_batches", "3", "--trainer.check_val_every_n_epoch", "5"]
    assert train([*run, "--stop_after", "0"]) is None
    train(run)
    found = results(tmp_path)
    assert (found["epochs"], found["images_seen"]) == (2, 8)
    assert (found["seed"], found["data_seed"]) == (0, 7)
    assert found["mean_iou_last"] == found["present"]["mean_iou"]  # without a validation, the last is the best


def test_the_curves_do_not_have_the_best_at_their_end(plain_run):
    events = EventAccumulator(str(plain_run / "logs"))
    events.Reload()
    assert len(events.Scalars("val/mean_iou")) == 1
