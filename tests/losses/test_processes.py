"""A batch in two shares, each with a process of its own, and its gradient, averaged as DDP does."""

import subprocess
import sys

import pytest
import torch
from torch import distributed

from ssnan.labels import LIP
from ssnan.losses import JointLoss, LossOptions, ParsingLoss
from ssnan.models.output import ParsingOutput

LOSSES = {
    "iou": LossOptions(iou_weight=1.0),
    "sides": LossOptions(side_weight=1.0),
    "joints": LossOptions(JointLoss("weighted", unit="mean")),
    "gradients": LossOptions(JointLoss("weighted", unit="gradient")),
}


def batch():
    """Four photos, of which the first two have no limb and nothing of most classes."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(4, 20, 12, 10, generator=generator)
    labels = torch.randint(20, (4, 12, 10), generator=generator)
    labels[:2] = labels[:2].clamp(max=13)
    return scores, labels


def loss_and_gradient(scores, labels, options):
    scores = scores.clone().requires_grad_()
    loss = ParsingLoss(LIP, options)(ParsingOutput(scores, (), None), labels)["loss"]
    loss.backward()
    return loss.detach(), scores.grad


def share(rank, rendezvous):
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    scores, labels = batch()
    mine = slice(2 * rank, 2 * rank + 2)
    found = {name: loss_and_gradient(scores[mine], labels[mine], options) for name, options in LOSSES.items()}
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
