import torch

from ssnan.models.hazn import Estimate, choose, inside, merged, overlap, region_loss, zoomed


def ramp(height, width):
    rows, columns = torch.linspace(0, 1, height), torch.linspace(0, 1, width)
    return torch.stack([rows[:, None].expand(height, width), columns[None].expand(height, width)])[None]


def test_a_zoomed_region_shows_what_lies_there():
    box = torch.tensor([[[0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.5, 0.5]]])
    regions = zoomed(ramp(41, 61), box, (5, 9), "bilinear")
    assert regions.shape == (2, 2, 5, 9)
    torch.testing.assert_close(regions[0, 0, :, 0], torch.linspace(0.25, 0.75, 5), atol=1e-4, rtol=0)
    torch.testing.assert_close(regions[0, 1, 0], torch.linspace(0.5, 1.0, 9), atol=1e-4, rtol=0)
    torch.testing.assert_close(regions[1, 1, 0], torch.linspace(0.0, 0.5, 9), atol=1e-4, rtol=0)


def test_pasting_undoes_zooming():
    maps, box = ramp(41, 61), torch.tensor([[[0.25, 0.5, 0.75, 1.0]]])
    closer = zoomed(maps, box, (33, 33), "bilinear")
    back = merged(torch.zeros_like(maps), closer, box, torch.ones(1, 1))
    # Half the scores stem from the closer look inside the box, none outside.
    torch.testing.assert_close(back[0, :, 12:30, 31:60], maps[0, :, 12:30, 31:60] / 2, atol=1e-3, rtol=0)
    assert back[0, :, :9].abs().max() == 0
    torch.testing.assert_close(merged(maps, closer, box, torch.zeros(1, 1)), maps)


def test_boxes_within_boxes():
    outer = torch.tensor([[0.2, 0.4, 0.6, 0.8]])
    torch.testing.assert_close(
        inside(outer, torch.tensor([[[0.0, 0.5, 0.5, 1.0]]])), torch.tensor([[[0.2, 0.6, 0.4, 0.8]]])
    )


def test_overlap_by_hand():
    boxes = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0]]])
    found = overlap(boxes, torch.tensor([[[0.0, 0.0, 0.5, 0.5]]]))
    torch.testing.assert_close(found, torch.tensor([[1.0, 0.0, 0.5]]))


def test_the_second_choice_differs_from_the_first():
    boxes = torch.zeros(1, 4, 1, 3)
    boxes[0, :, 0] = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.45], [0.5, 0.5, 1.0, 1.0]]).T
    chosen, sure = choose(Estimate(torch.zeros(1, 2, 1, 3), boxes, torch.tensor([[[3.0, 2.0, 1.0]]])), 2)
    torch.testing.assert_close(chosen[0], boxes[0, :, 0].T[[0, 2]])
    torch.testing.assert_close(sure[0], torch.tensor([3.0, 1.0]).sigmoid())


def test_region_loss_is_least_at_the_truth():
    masks = torch.zeros(1, 1, 17, 17, dtype=torch.bool)
    masks[0, 0, 4:9, 8:13] = True
    truth = torch.tensor([4 / 16, 8 / 16, 8 / 16, 12 / 16]).view(1, 4, 1, 1).expand(1, 4, 17, 17)
    sure = torch.where(masks[:, 0], 9.0, -9.0)
    right = region_loss(Estimate(torch.zeros(1, 2, 17, 17), truth, sure), masks)
    assert right < 1e-3
    assert region_loss(Estimate(torch.zeros(1, 2, 17, 17), truth + 0.1, sure), masks) > right + 0.1
    assert region_loss(Estimate(torch.zeros(1, 2, 17, 17), truth, -sure), masks) > right + 1
