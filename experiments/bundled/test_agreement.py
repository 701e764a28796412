import sys

import torch

from experiments.bundled import agreement
from ssnan.labels import LIP
from ssnan.models import SSNANWithContext
from ssnan.models.building import build_network


def test_the_network_of_the_checkpoint_gets_the_groups(tmp_path, monkeypatch):
    backbone = {"class_path": "ssnan.models.EdgeBackbone", "init_args": {"name": "resnet26", "width": 8}}
    network = {"class_path": "ssnan.models.SSNANWithContext", "init_args": {"num_classes": 20, "backbone": backbone}}
    before, after = tmp_path / "before.ckpt", tmp_path / "after.ckpt"
    torch.save({"hyper_parameters": {"network": network}, "state_dict": {"weight": torch.ones(1)}}, before)
    monkeypatch.setattr(sys, "argv", ["agreement", str(before), "-o", str(after)])
    agreement.main()
    content = torch.load(after, weights_only=True)
    built = build_network(content["hyper_parameters"]["network"])
    assert isinstance(built, SSNANWithContext)
    assert built.agreement is not None
    assert [[LIP.classes[id] for id in group] for group in built.agreement.groups] == [
        ["upper-clothes", "dress", "coat", "pants", "jumpsuits", "skirt"],
        ["left-arm", "right-arm"],
        ["left-leg", "right-leg"],
        ["left-shoe", "right-shoe"],
    ]
    assert content["state_dict"] == {"weight": torch.ones(1)}
