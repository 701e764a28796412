from ssnan.commands import main
from ssnan.commands.models import systems


def test_every_system_is_listed_with_its_source():
    found = {system.class_path.rsplit(".", 1)[-1]: system.source for system in systems()}
    assert found.keys() == {"SSNAN", "SSNANWithContext", "SegNet", "FCN8s", "DeepLabV2", "Attention", "HAZN", "LGLSTM"}
    assert found["SegNet"].startswith("SegNet: Badrinarayanan")
    assert all(len(source) > 40 for source in found.values())


def test_command_lists_systems_and_weights(capsys):
    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert "LGLSTM" in printed
    assert "small" in printed
    assert "ccp-lip" in printed
