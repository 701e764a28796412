import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fakes.lip import person
from ssnan.labels import LIP
from ssnan.models import ParsingNetwork, ParsingOutput
from ssnan.training.cli import train
from ssnan.training.results import flops, seconds


def results(run):
    return json.loads((run / "results.json").read_text())


class Convolution(ParsingNetwork):
    def __init__(self):
        super().__init__()
        self.only = torch.nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, images):
        return ParsingOutput(self.only(images))

    def new_parameters(self):
        return [*self.parameters()]

    def load_backbone(self, weights):
        raise ValueError("it has none")


def test_a_multiply_add_is_two_operations_and_the_mode_stays():
    network = Convolution().train()
    assert flops(network, 21) == 2 * 3 * 8 * 3 * 3 * 21 * 21
    assert 0 < seconds(network, 21) < 1
    assert network.training


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
    [last] = events.Scalars("val/mean_iou")
    assert last.value == pytest.approx(results(plain_run)["mean_iou_last"])


def test_photos_are_logged_beside_truth_and_prediction(plain_run):
    events = EventAccumulator(str(plain_run / "logs"))
    events.Reload()
    assert sorted(events.Tags()["images"]) == ["val/val_0", "val/val_1"]
    [logged] = events.Images("val/val_0")
    photo, truth, predicted = np.split(np.array(Image.open(io.BytesIO(logged.encoded_image_string))), 3, axis=1)
    drawn, labels = person()
    assert np.abs(photo.astype(int) - drawn).mean() < 10
    np.testing.assert_array_equal(truth, LIP.color_table[labels])
    assert {tuple(color) for color in predicted.reshape(-1, 3).tolist()} <= {*LIP.palette}
