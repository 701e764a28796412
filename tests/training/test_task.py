from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning import Trainer

from fakes.lip import person
from ssnan.data.folder import Sample
from ssnan.labels import LIP, ClassSet
from ssnan.losses import JointLoss, LossOptions, ParsingLoss
from ssnan.models import SSNAN, AverageAggregation, Backbone
from ssnan.training import ParsingTask
from ssnan.training.task import SGDOptions, TrainingError, optimizer_of


def task(loss=LossOptions(), **options):  # noqa: B008 - frozen
    torch.manual_seed(0)
    options = {"learning_rate": 1e-3, "warmup": 0} | options
    network = SSNAN(20, Backbone("resnet10t", stage=2), scales=(0.5, 1.0), aggregation=AverageAggregation())
    module = ParsingTask(network, loss=loss, sgd=SGDOptions(**options))
    module.criterion = ParsingLoss(LIP, loss)  # as setup builds it, which needs data
    return module


def rates(module, iterations):
    """Learning rates of both groups at every iteration of a run."""
    module.trainer = Trainer(max_steps=iterations, logger=False, enable_checkpointing=False, barebones=True)
    configured = module.configure_optimizers()
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(iterations):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return optimizer, seen


def test_poly_schedule_and_the_faster_classifier():
    optimizer, seen = rates(task(), 10)
    for step, (base, classifier) in enumerate(seen):
        assert base == pytest.approx(0.001 * (1 - step / 10) ** 0.9)
        assert classifier == pytest.approx(10 * base)
    assert optimizer.defaults["momentum"] == 0.9
    assert optimizer.defaults["weight_decay"] == 5e-4


def test_groups_hold_every_trainable_parameter_once():
    module = task()
    optimizer, _ = rates(module, 1)
    backbone, classifier = ([id(p) for p in group["params"]] for group in optimizer.param_groups)
    assert sorted(backbone + classifier) == sorted(id(p) for p in module.network.parameters())
    assert set(classifier) == {id(p) for p in module.network.classifier.parameters()}


def test_biases_may_learn_faster_and_are_not_decayed_then():
    module = task(bias_factor=2.0)
    optimizer, [rate_of_groups] = rates(module, 1)
    names = {id(parameter): name for name, parameter in module.network.named_parameters()}
    groups = [{names[id(p)] for p in group["params"]} for group in optimizer.param_groups]
    assert sorted(set.union(*groups)) == sorted(names.values())
    assert sum(map(len, groups)) == len(names)
    assert [{name.endswith("bias") for name in group} for group in groups] == [{False}, {False}, {True}, {True}]
    assert rate_of_groups == pytest.approx([0.001, 0.01, 0.002, 0.02])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [5e-4, 5e-4, 0, 0]


def test_the_classifier_alone_may_learn_faster():
    network = SSNAN(20, Backbone("resnet10t", stage=2), scales=(0.5, 1.0))
    for faster, expected in ((None, {"classifier", "aggregation"}), (["classifier"], {"classifier"})):
        optimizer, _ = rates(ParsingTask(network, sgd=SGDOptions(learning_rate=1e-3, warmup=0, faster=faster)), 1)
        names = {id(parameter): name.partition(".")[0] for name, parameter in network.named_parameters()}
        assert {names[id(p)] for p in optimizer.param_groups[1]["params"]} == expected


def test_a_faster_part_that_the_network_lacks_is_one_line():
    with pytest.raises(TrainingError, match=r"model.sgd.faster: expected .*\(backbone, classifier.*got 'head'"):
        rates(task(faster=["head"]), 1)


def test_gradients_of_the_terms_are_logged_where_steps_are():
    module, logged = task(LossOptions(JointLoss("weighted"))), []
    module.log = lambda name, value, **options: logged.append(name)
    image, labels = (torch.from_numpy(array) for array in person(33, 33))
    batch = {"images": image.movedim(2, 0)[None] / 127.5 - 1, "labels": labels.long()[None]}
    seen = []
    for step in range(4):
        logged.clear()
        module.trainer = SimpleNamespace(global_step=step, current_epoch=0, log_every_n_steps=2)
        module.training_step(batch, 0)
        seen.append({name for name in logged if name.endswith("_gradient")})
    assert seen[0] == seen[2] == set()
    assert seen[1] == seen[3]
    assert seen[1] >= {"train/fused/parsing_gradient", "train/fused/joint_gradient", "train/scale0/joint_gradient"}


def test_warmup_rises_linearly():
    _, seen = rates(task(warmup=5), 20)
    assert [base / (0.001 * (1 - i / 20) ** 0.9) for i, (base, _) in enumerate(seen[:6])] == pytest.approx(
        [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    )


def test_defaults_suit_a_small_run():
    """The rate in proportion to the batch, and a tenth of the run to reach it."""
    module = task(learning_rate=None, warmup=None)
    module.trainer = Trainer(max_steps=50, logger=False, enable_checkpointing=False, barebones=True)
    module.trainer.datamodule = SimpleNamespace(batch_size=6)
    configured = module.configure_optimizers()
    schedule = configured["lr_scheduler"]["scheduler"].lr_lambdas[0]
    assert [group["initial_lr"] for group in configured["optimizer"].param_groups] == pytest.approx([2e-4, 2e-3])
    assert [schedule(i) / (1 - i / 50) ** 0.9 for i in range(7)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1])
    [long] = optimizer_of(module.network, module.sgd, 1e-3, 5000.0)[1].lr_lambdas[:1]
    assert long(49) == pytest.approx(0.5 * (1 - 49 / 5000) ** 0.9)  # of a hundred steps at most


def test_the_rate_follows_time_if_it_runs_out_before_the_steps():
    module = task()
    _, schedule = optimizer_of(module.network, module.sgd, 1e-3, 100.0, lambda: 0.4)
    assert [schedule.lr_lambdas[0](step) for step in (0, 40, 80)] == pytest.approx([0.6**0.9, 0.6**0.9, 0.2**0.9])


def test_no_steps_may_be_asked_for():
    module = task()
    _, schedule = optimizer_of(module.network, module.sgd, 1e-3, 0.0)
    assert schedule.lr_lambdas[0](0) == 1


@pytest.mark.parametrize("form", ["weighted", "product"])
def test_the_joint_term_pulls_the_joints_together(form):
    """From the same start, steps along the joint loss bring the structure nearer than the cross-entropy's."""
    image, labels = (torch.from_numpy(array) for array in person(97, 65))
    batch = {"images": image.movedim(2, 0)[None] / 127.5 - 1, "labels": labels.long()[None]}
    distance = {}
    for name, loss in (("none", LossOptions()), (form, LossOptions(JointLoss(form, 300.0)))):
        module = task(loss)
        module.log = lambda *args, **kwargs: None
        module.trainer = SimpleNamespace(global_step=0, current_epoch=0, log_every_n_steps=50)
        measure = ParsingLoss(LIP, LossOptions(JointLoss("weighted")))
        optimizer = torch.optim.SGD(module.network.parameters(), lr=0.01)
        for _ in range(12):
            optimizer.zero_grad()
            total = module.training_step(batch, 0)
            (total / total.detach()).backward()
            optimizer.step()
        with torch.no_grad():
            distance[name] = measure(module.network(batch["images"]), batch["labels"])["fused/joint"].item()
    assert distance[form] < 0.8 * distance["none"]


def test_validation_is_at_the_photo_s_own_size():
    module = task().eval()
    photo, labels = person(70, 50)
    assert module.scores_at_own_size(Sample("x", photo, labels)).shape == (1, len(LIP), 70, 50)


def test_dropout_differs_by_process_epoch_and_seed_and_comes_again():
    module = task()

    def drawn(seed=0, epoch=0, rank=0):
        torch.manual_seed(seed)
        module.trainer = SimpleNamespace(
            current_epoch=epoch, global_rank=rank, log_every_n_steps=1, num_training_batches=1
        )
        module.on_train_start()
        module.on_train_epoch_start()
        return tuple(torch.nn.functional.dropout(torch.ones(64)).tolist())

    assert drawn() == drawn()
    assert len({drawn(), drawn(rank=1), drawn(epoch=1), drawn(seed=1), drawn(rank=1, seed=1)}) == 5


def test_joints_of_a_validation_by_hand(monkeypatch):
    """All seven are three columns to the right, but the left arm, which is not there."""
    module, logged = task().eval(), {}
    module.log = lambda name, value, **options: logged.update({name: float(value)})
    photo, labels = person()
    moved = np.roll(labels, 3, axis=1)
    moved[moved == LIP.classes.index("left-arm")] = 0
    scores = 99.0 * torch.nn.functional.one_hot(torch.from_numpy(moved).long(), len(LIP)).movedim(2, 0)[None]
    monkeypatch.setattr(module, "scores_at_own_size", lambda sample: scores)
    module.on_validation_epoch_start()
    module.validation_step(Sample("x", photo, labels), 0)
    offset = 3 / 63
    assert logged["val/joint_offset"] == pytest.approx(offset, rel=1e-4)
    assert logged["val/joints_missed"] == pytest.approx(1 / 7)
    assert logged["val/joint_distance"] == pytest.approx((6 * offset**2 + 0.5) / (2 * 7), rel=1e-4)


def test_a_photo_without_joints_logs_the_same_numbers():
    """The processes add them up, name by name, and wait for each other."""
    module, logged = task().eval(), []
    module.log = lambda name, value, **options: logged.append((name, options.get("sync_dist")))
    photo, labels = person(33, 33)
    module.on_validation_epoch_start()
    seen = []
    for sample in (Sample("x", photo, labels), Sample("y", photo, labels * 0)):
        logged.clear()
        with torch.no_grad():
            module.validation_step(sample, 0)
        seen.append(list(logged))
    assert seen[0] == seen[1]
    assert {name for name, shared in seen[0] if shared} == {
        "val/joint_distance", "val/joint_offset", "val/joints_missed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup": -3}, "model.sgd.warmup: expected a number of at least 0, got -3"),
        ({"learning_rate": -0.1}, "model.sgd.learning_rate: expected a number of at least 0, got -0.1"),
        ({"momentum": 1.0}, "model.sgd.momentum: expected a number from 0 to below 1, got 1.0"),
    ],
)
def test_rates_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SGDOptions(**options)


def test_losses_in_mixed_precision_are_those_of_the_same_scores_in_32_bits():
    module = task()
    module.criterion = ParsingLoss(LIP, LossOptions(), torch.linspace(0.1, 2, len(LIP)))
    photo, labels = (torch.from_numpy(array.copy()) for array in person(97, 65))
    batch = {"images": photo.movedim(2, 0)[None] / 127.5 - 1, "labels": labels.long()[None]}
    with torch.autocast("cpu", torch.bfloat16):
        losses, output = module.losses(batch), module.network(batch["images"])
    assert output.scores.dtype == torch.bfloat16
    assert losses["loss"] == module.criterion(output, batch["labels"])["loss"]


def test_losses_of_a_network_know_the_sets_of_the_data(monkeypatch):
    module = task()
    sets = (ClassSet(100, tuple(range(1, 20))),)
    module.criterion = ParsingLoss(replace(LIP, sets=sets), LossOptions())
    known = []
    monkeypatch.setattr(
        module.network, "auxiliary_losses", lambda output, batch, label_set: known.append(label_set.sets) or {}
    )
    photo, labels = person()
    images = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 255
    module.losses({"images": images, "labels": torch.from_numpy(labels.astype(int))[None]})
    assert known == [sets]


def test_a_run_says_how_large_the_network_is_and_how_much_of_it_trains(monkeypatch):
    said = []
    monkeypatch.setattr("ssnan.training.task.rank_zero_info", said.append)
    module = task()
    module.trainer = SimpleNamespace(log_every_n_steps=1, num_training_batches=1)
    total = sum(tensor.numel() for tensor in module.network.parameters())
    frozen = module.network.backbone.requires_grad_(False)
    left = total - sum(tensor.numel() for tensor in frozen.parameters())
    module.on_train_start()
    assert said == [f"SSNAN: {total / 1e6:.1f} million parameters, {left / 1e6:.1f} in training"]
