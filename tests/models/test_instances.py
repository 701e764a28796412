from dataclasses import replace

import numpy as np
import pytest
import torch

from models.contract import CLASSES, SystemContract
from ssnan.export.onnx import export_network
from ssnan.labels import LIP, UNKNOWN_PERSON
from ssnan.models import EdgeBackbone, NeuralAggregation, SSNANWithContext, SSNANWithPeople
from ssnan.models.initial_weights import take_over
from ssnan.models.instances import SPREAD, SPREAD_WITHOUT_HEAD, center_loss, heads_in, offset_loss, targets_of
from ssnan.parsing.engines import ENGINES
from ssnan.scores.grouping import grouped
from ssnan.training.checkpoint import TorchEngine


def network(kind=SSNANWithPeople, **options):
    torch.manual_seed(0)
    backbone = EdgeBackbone("resnet26", [4, 8, 16], width=16, edge_width=8, frozen_batch_norm=True)
    aggregation = NeuralAggregation(CLASSES, 2, hidden=8)
    return kind(CLASSES, backbone, aggregation=aggregation, context_width=8, **options)


def people():
    """Two photos (40, 64): two who touch, a speck, somebody of three cells and something unknown; nobody."""
    numbers = np.zeros((2, 40, 64), dtype=np.int64)
    numbers[0, 4:36, 8:32] = 1
    numbers[0, 8:36, 32:48] = 2
    numbers[0, 0:2, 60:62] = 3
    numbers[0, 0:4, 36:48] = 4
    numbers[0, 30:, 56:] = UNKNOWN_PERSON
    return numbers


def heads():
    """The head of the first person, a speck of the second one's, too small to count, two cells of the small one's, and
    one of nobody."""
    shown = np.zeros((2, 40, 64), dtype=bool)
    shown[0, 4:24, 8:32] = shown[0, 8:12, 32:36] = shown[0, :4, 36:44] = shown[1, :8, :8] = True
    return shown


def targets():
    return targets_of(torch.from_numpy(people()), torch.from_numpy(heads()), 10, 16)


def numpy_targets(numbers, shown, stride=4):
    """The targets by loops, at every ``stride``-th pixel's cell."""
    cells, shown = (values[:, stride // 2 :: stride, stride // 2 :: stride] for values in (numbers, shown))
    heat, offsets = np.zeros(cells.shape), np.zeros((len(cells), 2, *cells.shape[1:]))
    weight, known = np.zeros(cells.shape), cells != UNKNOWN_PERSON
    for photo in range(len(cells)):
        for number in set(cells[photo].ravel()) - {0, UNKNOWN_PERSON}:
            places = np.argwhere(cells[photo] == number)
            if len(places) < 3:
                known[photo][cells[photo] == number] = False
                continue
            head = np.argwhere((cells[photo] == number) & shown[photo])
            center = (head if len(head) > 1 else places).mean(axis=0)
            spread = SPREAD * np.sqrt(len(head)) if len(head) > 1 else SPREAD_WITHOUT_HEAD * np.sqrt(len(places))
            spread = max(1, spread)
            for y, x in np.ndindex(cells.shape[1:]):
                squared = ((np.array([y, x]) - center.round()) ** 2).sum()
                heat[photo, y, x] = max(heat[photo, y, x], np.exp(-squared / (2 * spread**2)))
            for y, x in places:
                offsets[photo, :, y, x] = center - (y, x)
                weight[photo, y, x] = 1 / np.sqrt(len(places))
    return heat, offsets, weight, known


def test_targets_are_those_of_a_loop():
    for got, expected in zip(targets(), numpy_targets(people(), heads()), strict=True):
        np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)
    assert (targets().heat == 1).sum() == 3


def test_the_centre_is_the_heads_if_one_is_seen():
    heat = targets().heat[0]
    assert heat[3, 4] == 1  # rows 1 to 5, columns 2 to 7; halves go to the even cell
    assert heat[5, 10] == 1  # rows 2 to 8, columns 8 to 11
    body = targets_of(torch.from_numpy(people()), torch.zeros(2, 40, 64, dtype=torch.bool), 10, 16)
    assert body.heat[0, 3, 4] < 1


def test_heads_are_the_classes_of_the_region_head():
    values = torch.tensor([[[0, 1, 2, 4, 5, 13, 14, 255]]])
    assert heads_in(values, LIP).tolist() == [[[False, True, True, True, False, True, False, False]]]
    assert not heads_in(values, replace(LIP, regions=())).any()


def test_losses_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 3, 10, 16))
    heat, offsets, weight, known = numpy_targets(people(), heads())
    total = distance = 0.0
    for at in np.ndindex(heat.shape):
        sure = 1 / (1 + np.exp(-maps[at[0], 0, at[1], at[2]]))
        if heat[at] == 1:
            total -= (1 - sure) ** 2 * np.log(sure)
        elif known[at]:
            total -= (1 - heat[at]) ** 4 * sure**2 * np.log(1 - sure)
        step = np.abs(maps[at[0], 1:, at[1], at[2]] - offsets[at[0], :, at[1], at[2]]).sum()
        distance += weight[at] * step
    given = torch.from_numpy(maps).float()
    assert center_loss(given[:, 0], targets()).item() == pytest.approx(total / 3, rel=1e-4)
    assert offset_loss(given[:, 1:], targets()).item() == pytest.approx(distance / (weight > 0).sum(), rel=1e-4)


def test_centres_are_rare_at_first_and_the_losses_have_weights():
    images, numbers = torch.randn(2, 3, 65, 97), torch.from_numpy(people())
    found = []
    for weights in ((1.0, 1.0), (2.0, 3.0)):
        larger = network(center_weight=weights[0], offset_weight=weights[1]).train()
        output = larger(images)
        losses = larger.auxiliary_losses(output, {"labels": numbers, "instances": numbers}, LIP)
        found.append(torch.stack([losses["centers"], losses["offsets"]]) / torch.tensor(weights))
    torch.testing.assert_close(*found)
    assert 0.05 < output.people[:, 0].sigmoid().mean() < 0.2


def test_nothing_known_costs_nothing():
    unknown = targets_of(torch.full((1, 40, 64), UNKNOWN_PERSON), torch.ones(1, 40, 64, dtype=torch.bool), 10, 16)
    assert center_loss(torch.ones(1, 10, 16), unknown) == 0
    assert offset_loss(torch.ones(1, 2, 10, 16), unknown) == 0


def test_perfect_heads_group_the_people_they_were_made_from():
    numbers = people()
    maps = torch.cat([targets().heat[:, None].clamp(0.001, 0.999).logit(), targets().offsets], dim=1).numpy()
    known = np.isin(numbers[0], [1, 2])
    found = grouped(maps[0], known.astype(np.uint8), LIP)
    assert (found[known] == numbers[0][known]).mean() > 0.95


def test_the_head_learns_alone_if_asked():
    trained = network(SSNANWithContext)
    larger = network(heads_only=True)
    assert take_over(larger, trained.state_dict()) == ["people"]
    images, numbers = torch.randn(2, 3, 65, 97), torch.from_numpy(people())
    torch.testing.assert_close(larger.eval()(images).scores, trained.eval()(images).scores)
    larger.train()
    losses = larger.auxiliary_losses(larger(images), {"labels": numbers, "instances": numbers}, LIP)
    assert set(losses) == {"limbs", "centers", "offsets"}
    assert losses["limbs"] == 0
    sum(losses.values()).backward()
    learning = {name for name, parameter in larger.named_parameters() if parameter.grad is not None}
    assert learning == {name for name, _ in larger.named_parameters() if name.startswith("people.")}


def test_an_example_is_learned():
    """The losses of one batch fall to a small part, so that the head can tell people apart at all."""
    larger = network(heads_only=True).train()
    batch = {"instances": torch.from_numpy(people()), "labels": torch.from_numpy(people())}
    output, deep, features = larger.parsed(torch.randn(2, 3, 80, 128))
    optimizer = torch.optim.Adam(larger.people.parameters(), lr=3e-3)
    totals = []
    for _ in range(60):
        losses = larger.auxiliary_losses(output._replace(people=larger.people(deep, features)), batch, LIP)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.3 * totals[0]


def test_data_that_do_not_tell_people_apart_ask_nothing():
    larger = network().train()
    losses = larger.auxiliary_losses(larger(torch.randn(1, 3, 65, 65)), {}, LIP)
    assert losses == {"limbs": 0, "centers": 0}
    sum(losses.values()).backward()  # training on several processes expects a gradient of every parameter
    assert all(parameter.grad is not None for parameter in larger.people.parameters())


def test_the_head_alone_learns_while_the_other_norms_keep_their_statistics():
    backbone = EdgeBackbone("resnet26", [4, 8, 16], width=16, edge_width=8)
    larger = SSNANWithPeople(20, backbone, heads_only=True).train()
    before = {name: values.clone() for name, values in larger.state_dict().items()}
    larger(torch.randn(2, 3, 65, 65))
    assert larger.training
    assert larger.people.training
    for name, values in larger.state_dict().items():
        torch.testing.assert_close(values, before[name])


def test_the_file_returns_the_heads(tmp_path):
    larger = network().eval()
    export_network(larger, tmp_path / "n.onnx")
    images = torch.randn(1, 3, 97, 65)
    with torch.no_grad():
        expected = larger(images)
    for kind in (*ENGINES.values(), lambda *_: TorchEngine(larger)):
        engine = kind(tmp_path / "n.onnx", 1)
        assert engine.tells_apart
        scores, maps = engine.with_people(images.numpy())
        np.testing.assert_allclose(scores, expected.scores.numpy(), atol=2e-2)
        np.testing.assert_allclose(maps, expected.people.numpy(), atol=2e-2)


class TestSSNANWithPeople(SystemContract):
    stride = 4

    def build(self):
        larger = network()
        torch.nn.init.normal_(larger.context.out.weight, std=0.01)
        return larger
