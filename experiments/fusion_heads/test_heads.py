from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from experiments.fusion_heads.heads import (
    MODULE,
    Constant,
    Residual,
    Shuffled,
    Single,
    build_heads,
    run,
    scale_maps,
    trained,
)
from experiments.fusion_heads.trunk import PerScale
from fakes.lip import write_lip
from ssnan.data.datamodule import ParsingData, Source
from ssnan.labels import LIP
from ssnan.losses import ParsingLoss
from ssnan.models import Backbone, NeuralAggregation
from ssnan.parsing.preprocessing import Preprocessing
from ssnan.training.cli import train

RECIPE = Path(__file__).with_name("trunk.yaml")


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def small_trunk():
    torch.manual_seed(0)
    return PerScale(20, Backbone("resnet10t", output_stride=8, stage=2, frozen_batch_norm=True)).eval()


def random_maps(count=3):
    return [torch.randn(2, 20, 6, 5, generator=torch.Generator().manual_seed(i)) for i in range(count)]


def test_the_trunk_has_one_loss_a_scale_and_no_other():
    output = small_trunk()(torch.randn(1, 3, 65, 65))
    labels = torch.randint(0, 20, (1, 65, 65))
    losses = ParsingLoss(LIP)(output, labels)
    parts = [losses[f"{name}/parsing"] for name in ("fused", "scale0", "scale1")]
    torch.testing.assert_close(losses["loss"].detach(), torch.stack(parts).sum())
    assert len(output.scale_scores) == 2


def test_the_residual_head_has_as_many_parameters_as_the_module():
    for channels, scales in ((20, 3), (7, 2)):
        module = NeuralAggregation(channels, scales, 512)
        assert size(Residual(channels, scales, 512)) == pytest.approx(size(module), rel=0.005)


def test_untrained_heads_are_averages():
    maps = random_maps()
    average = torch.stack(maps).mean(dim=0)
    for head in (Constant(3), Constant(3, 20)):
        torch.testing.assert_close(head(maps), average)
    assert torch.equal(Single(1)(maps), maps[1])


def test_a_constant_per_class_weighs_each_class_for_itself():
    head, maps = Constant(3, 20), random_maps()
    with torch.no_grad():
        head.logits[2, 0, 7] = 50.0
    fused = head(maps)
    torch.testing.assert_close(fused[:, 7], maps[2][:, 7])
    torch.testing.assert_close(fused[:, 8], torch.stack(maps).mean(dim=0)[:, 8])


def test_shuffled_weights_are_the_same_weights_elsewhere():
    module = NeuralAggregation(20, 3, 8)
    torch.nn.init.normal_(module.attention[2].weight)
    maps = [torch.full((1, 20, 6, 5), float(scale)) + 1e-3 * one[:1] for scale, one in enumerate(random_maps())]
    plain, shuffled = module(maps)[0][0, 0].flatten(), Shuffled(module, 0)(maps)[0, 0].flatten()
    assert (plain - shuffled).abs().max() > 1e-2
    torch.testing.assert_close(plain.sort().values, shuffled.sort().values, atol=1e-2, rtol=0)


def test_a_head_learns_which_scale_to_trust_and_others_do_not_disturb_it():
    """Maps whose last scale is right: every learned head ends below the average's loss."""
    labels = torch.randint(0, 20, (2, 6, 5), generator=torch.Generator().manual_seed(9))
    right = 3.0 * torch.nn.functional.one_hot(labels, 20).movedim(3, 1).float()
    maps = [*random_maps(2), right]

    class Fixed(torch.nn.Module):
        def forward(self, images):
            return type("Output", (), {"scale_scores": maps[:-1], "scores": maps[-1]})

    criterion = ParsingLoss(LIP)
    heads = build_heads(20, (0.5, 0.75, 1.0), hidden=8)
    found = trained(Fixed(), heads, [{"images": labels, "labels": labels}] * 40, 40, criterion)

    def loss(head):
        cost = torch.nn.functional.cross_entropy(head(maps), labels)
        return cost.item()

    assert {name for name, head in found.items() if head is not heads[name]} == {
        "constant per scale", "constant per class and scale", MODULE, "shared module", "average + residual",
    }  # fmt: skip
    for name, head in found.items():
        if head is not heads[name]:
            assert loss(head) < loss(heads["average"]), name
    alone = trained(Fixed(), {MODULE: heads[MODULE]}, [{"images": labels, "labels": labels}] * 40, 40, criterion)
    assert loss(alone[MODULE]) == pytest.approx(loss(found[MODULE]), rel=1e-4)


def test_the_whole_experiment_on_drawn_people(tmp_path, monkeypatch):
    root = write_lip(tmp_path / "lip")
    data = ParsingData(
        [Source(root, share=1.0)], root, preprocessing=Preprocessing(longest_side=64), crop=(65, 49), batch_size=2,
        num_workers=0,
    )  # fmt: skip
    trunk = small_trunk()
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    text = run(trunk, data, data.preprocessing, [0, 1], 2, tmp_path / "out", hidden=8)
    lines = text.splitlines()
    names = [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]]
    assert names == [*build_heads(20, trunk.scales, 8), f"{MODULE}, shuffled"]
    assert all("±" in line for line in lines[2:])
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())
    first, second = (np.load(tmp_path / "out" / f"seed{seed}.npz") for seed in (0, 1))
    assert first["average"].shape == (2, 3, 20)
    assert np.array_equal(first["average"], second["average"])
    # The average head counts what the trunk's averaged scores decide, and finished seeds are not trained again.
    monkeypatch.setattr("experiments.fusion_heads.heads.trained", lambda *arguments: pytest.fail("trained again"))
    assert run(trunk, data, data.preprocessing, [0, 1], 2, tmp_path / "out", hidden=8) == text
    with pytest.raises(SystemExit, match="no seed is finished"):
        run(trunk, data, data.preprocessing, [2], 2, tmp_path / "out", minutes=-1, hidden=8)


def test_maps_are_coarsest_first_at_one_size():
    trunk = small_trunk()
    images = torch.randn(1, 3, 65, 65)
    maps = scale_maps(trunk, images)
    assert len({scores.shape for scores in maps}) == 1
    finest = trunk.classifier(trunk.backbone(images))
    torch.testing.assert_close(maps[-1], finest, atol=0.02 * float(finest.detach().std()), rtol=0.02)  # in bfloat16


def test_the_recipe_is_accepted(capsys):
    with pytest.raises(SystemExit) as ended:
        train(["--config", str(RECIPE), "--print_config"])
    assert ended.value.code == 0
    values = yaml.safe_load(capsys.readouterr().out)
    assert values["model"]["network"]["class_path"] == "experiments.fusion_heads.trunk.PerScale"
    small = yaml.safe_load((RECIPE.parents[2] / "experiments/rivals/configs/data.yaml").read_text())
    assert {name: values["data"][name] for name in ("crop", "batch_size")} == {
        name: small[name] for name in ("crop", "batch_size")
    }
