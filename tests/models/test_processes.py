"""A batch in two shares, each with a process of its own, and its gradient, averaged as DDP does."""

import subprocess
import sys

import pytest
import torch
from torch import distributed

from ssnan.labels import LIP
from ssnan.losses import JointLoss, LossOptions, ParsingLoss
from ssnan.models import EdgeBackbone, SSNANWithContext
from ssnan.models.hazn import Estimate, region_loss
from ssnan.models.instances import center_loss, offset_loss, targets_of
from ssnan.models.output import ParsingOutput


def of_options(options):
    return lambda scores, labels: ParsingLoss(LIP, options)(ParsingOutput(scores), labels)["loss"]


def limbs(scores, labels):
    network = SSNANWithContext(20, EdgeBackbone("resnet10t"), context_width=8)
    output = ParsingOutput(scores, extra={"limbs": [scores[:, :5]]})
    return network.auxiliary_losses(output, {"limbs": labels.where(labels > 13, 255)}, LIP)["limbs"]


def people(labels):
    """The classes beyond the faces as people, the second of whom are heads; the first photos show nobody."""
    return targets_of((labels - 13).clamp_min(0), labels == 15, *labels.shape[1:])


def regions(scores, labels):
    masks = torch.stack([labels == 14, labels == 15], dim=1)
    return region_loss(Estimate(scores[:, :3], scores[:, 3:7], scores[:, 7]), masks)


LOSSES = {
    "iou": of_options(LossOptions(iou_weight=1.0)),
    "sides": of_options(LossOptions(side_weight=1.0)),
    "joints": of_options(LossOptions(JointLoss("weighted", unit="mean"))),
    "gradients": of_options(LossOptions(JointLoss("weighted", unit="gradient"))),
    "limbs": limbs,
    "centers": lambda scores, labels: center_loss(scores[:, 0], people(labels)),
    "offsets": lambda scores, labels: offset_loss(scores[:, :2], people(labels)),
    "regions": regions,
}


def batch():
    """Four photos, of which the first two have no limb and nothing of most classes."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 20, 12, 10, generator=generator)
    labels = torch.randint(20, (4, 12, 10), generator=generator)
    labels[:2] = labels[:2].clamp(max=13)
    return scores, labels


def loss_and_gradient(scores, labels, loss_of):
    scores = scores.clone().requires_grad_()
    loss = loss_of(scores, labels)
    loss.backward()
    return loss.detach(), scores.grad


def share(rank, rendezvous):
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    scores, labels = batch()
    mine = slice(2 * rank, 2 * rank + 2)
    found = {name: loss_and_gradient(scores[mine], labels[mine], loss_of) for name, loss_of in LOSSES.items()}
    torch.save(found, f"{rendezvous}.{rank}")
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    rendezvous = tmp_path_factory.mktemp("processes") / "rendezvous"
    processes = [subprocess.Popen([sys.executable, __file__, str(rank), str(rendezvous)]) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return [torch.load(f"{rendezvous}.{rank}") for rank in range(2)]


@pytest.mark.parametrize("name", LOSSES)
def test_two_shares_are_one_batch(shares, name):
    loss, gradient = loss_and_gradient(*batch(), LOSSES[name])
    losses, gradients = zip(*(share[name] for share in shares), strict=True)
    assert torch.stack(losses).mean().item() == pytest.approx(loss.item(), rel=1e-6)
    torch.testing.assert_close(torch.cat(gradients) / 2, gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_a_share_alone_is_not_the_batch(name):
    scores, labels = batch()
    loss, _ = loss_and_gradient(scores, labels, LOSSES[name])
    alone = [loss_and_gradient(scores[share], labels[share], LOSSES[name])[0] for share in (slice(2), slice(2, 4))]
    assert torch.stack(alone).mean().item() != pytest.approx(loss.item(), rel=1e-4)


if __name__ == "__main__":
    share(int(sys.argv[1]), sys.argv[2])
