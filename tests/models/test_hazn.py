import torch

from ssnan.labels import LIP
from ssnan.models.backbone import Backbone
from ssnan.models.hazn import HAZN, Estimate, ZoomNet, choose, connected, inside, merged, overlap, region_loss, zoomed


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


def test_a_region_keeps_its_place_in_mixed_precision():
    photo, box = torch.randn(1, 3, 65, 65), torch.tensor([[[0.1, 0.2, 0.7, 0.9]]])
    expected = zoomed(photo, box, (65, 65), "bilinear")
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(zoomed(photo, box, (65, 65), "bilinear"), expected)


def test_pasting_undoes_zooming():
    maps, box = ramp(41, 61), torch.tensor([[[0.25, 0.5, 0.75, 1.0]]])
    closer = zoomed(maps, box, (33, 33), "bilinear")
    # By its confidence the closer look replaces what was known inside the box, and nothing outside.
    for sure in (1.0, 0.75):
        back = merged(torch.full_like(maps, -4.0), closer, box, torch.full((1, 1), sure))
        expected = sure * maps[0, :, 12:30, 31:60] - 4 * (1 - sure)
        torch.testing.assert_close(back[0, :, 12:30, 31:60], expected, atol=1e-3, rtol=0)
        assert (back[0, :, :9] == -4).all()
    torch.testing.assert_close(merged(maps, closer, box, torch.zeros(1, 1)), maps)


def test_looks_that_overlap_share_by_their_confidence():
    maps, box = torch.zeros(1, 1, 5, 5), torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
    closer = torch.stack([torch.full((1, 5, 5), 1.0), torch.full((1, 5, 5), 3.0)])
    found = merged(maps, closer, box.expand(1, 2, 4), torch.tensor([[1.0, 0.5]]))
    torch.testing.assert_close(found, torch.full((1, 1, 5, 5), (1 * 1 + 0.5 * 3) / 1.5))


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


def test_boxes_that_share_more_than_half_are_one():
    boxes = torch.tensor([[0, 0, 0.5, 1.0], [0, 0, 0.5, 0.6], [0, 0, 0.5, 0.5]]).T.reshape(1, 4, 1, 3)
    chosen, sure = choose(Estimate(torch.zeros(1, 2, 1, 3), boxes, torch.tensor([[[3.0, 2.0, 1.0]]])), 2)
    torch.testing.assert_close(chosen[0, 1], torch.tensor([0.0, 0.0, 0.5, 0.5]))
    torch.testing.assert_close(sure[0, 1], torch.tensor(1.0).sigmoid())


def test_a_box_has_a_tenth_of_the_sides_and_lies_in_the_photo():
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.52], [1.0, -0.2, 1.0, 0.1]]).T.reshape(1, 4, 1, 2)
    chosen, _ = choose(Estimate(torch.zeros(1, 2, 1, 2), boxes, torch.tensor([[[3.0, 2.0]]])), 2)
    torch.testing.assert_close(chosen[0], torch.tensor([[0.45, 0.46, 0.55, 0.56], [0.9, 0.0, 1.0, 0.1]]))


def test_choices_learn_by_their_confidence_alone():
    boxes = torch.tensor([0.1, 0.1, 0.9, 0.9]).view(1, 4, 1, 1).requires_grad_()
    chosen, sure = choose(Estimate(torch.zeros(1, 2, 1, 1), boxes, torch.zeros(1, 1, 1, requires_grad=True)), 1)
    assert (chosen.requires_grad, sure.requires_grad) == (False, True)


def test_an_estimated_box_is_around_its_position():
    """With the same four distances to the sides at every position."""
    net = ZoomNet(20, Backbone("resnet10t", output_stride=8, stage=2), hidden=8).eval()
    torch.nn.init.zeros_(net.region.weight)
    net.region.bias.data = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    up, left, down, right = (torch.arange(4.0) - 2).exp().log1p()
    with torch.no_grad():
        found = net.estimate(torch.zeros(1, 3, 33, 17))
    assert (found.confidence == 4).all()
    for row in range(5):
        for column in range(3):
            y, x = row / 4, column / 2
            expected = torch.stack([y - up, x - left, y + down, x + right])
            torch.testing.assert_close(found.boxes[0, :, row, column], expected)


def test_three_looks_by_a_loop_over_people():
    torch.manual_seed(0)
    network = HAZN(20, Backbone("resnet10t", output_stride=8, stage=2), people=2, parts=2, zoom=(33, 25), hidden=8)
    for net in (network.image_net, network.object_net, network.part_net):
        torch.nn.init.normal_(net.classifier.weight)
    for net in (network.image_net, network.object_net):
        torch.nn.init.normal_(net.region.weight)
        torch.nn.init.ones_(net.region.bias)  # boxes large enough to hold positions of the scores
    images = torch.randn(2, 3, 65, 49)
    with torch.no_grad():
        output = network.eval()(images)
        for photo, image in enumerate(images):
            whole = network.image_net.estimate(image[None])
            people, sure = choose(whole, 2)
            closer, parts, closest, certain = [], [], [], []
            for top, left, bottom, right in people[0]:
                box = torch.stack([top, left, bottom, right]).view(1, 1, 4)
                estimate = network.object_net.estimate(zoomed(image[None], box, (33, 25), "bilinear"))
                closer.append(estimate.scores)
                for part, of_part in zip(*(found[0] for found in choose(estimate, 2)), strict=True):
                    size = torch.stack([bottom - top, right - left]).repeat(2)
                    parts.append(torch.stack([top, left]).repeat(2) + part * size)
                    closest.append(network.part_net(zoomed(image[None], parts[-1].view(1, 1, 4), (33, 25), "bilinear")))
                    certain.append(of_part)
            second = merged(whole.scores, torch.cat(closer), people, sure)
            third = merged(second, torch.cat(closest), torch.stack(parts)[None], torch.stack(certain)[None])
            torch.testing.assert_close(output.scale_scores[0][photo], whole.scores[0])
            torch.testing.assert_close(output.scale_scores[1][photo], second[0])
            torch.testing.assert_close(output.scores[photo], third[0])
            assert (third - second).abs().max() > 0.01 < (second - whole.scores).abs().max()


def test_region_loss_is_least_at_the_truth():
    masks = torch.zeros(1, 1, 17, 17, dtype=torch.bool)
    masks[0, 0, 4:9, 8:13] = True
    truth = torch.tensor([4 / 16, 8 / 16, 8 / 16, 12 / 16]).view(1, 4, 1, 1).expand(1, 4, 17, 17)
    sure = torch.where(masks[:, 0], 9.0, -9.0)
    right = region_loss(Estimate(torch.zeros(1, 2, 17, 17), truth, sure), masks)
    assert right < 1e-3
    assert region_loss(Estimate(torch.zeros(1, 2, 17, 17), truth + 0.1, sure), masks) > right + 0.1
    assert region_loss(Estimate(torch.zeros(1, 2, 17, 17), truth, -sure), masks) > right + 1


def test_regions_lie_on_the_positions_of_the_features():
    """Of features with a stride of 16, the first is that of the first pixel."""
    masks = torch.zeros(1, 1, 33, 33, dtype=torch.bool)
    masks[0, 0, :3, :3] = True
    box = torch.tensor([0, 0, 2 / 32, 2 / 32]).view(1, 4, 1, 1).expand(1, 4, 3, 3)
    sure = torch.full((1, 3, 3), -9.0)
    sure[0, 0, 0] = 9.0
    assert region_loss(Estimate(torch.zeros(1, 2, 3, 3), box, sure), masks) < 1e-3


def test_a_position_of_two_regions_has_the_mean_of_their_boxes():
    """The joints of a label set may share classes, such as a face within a head."""
    masks = torch.zeros(1, 2, 17, 17, dtype=torch.bool)
    masks[0, :, 8:, 8:] = True
    masks[0, 1, 4:, 8:] = True
    boxes = torch.tensor([4 / 16, 8 / 16, 1, 1]).view(1, 4, 1, 1).expand(1, 4, 17, 17).clone()
    boxes[0, 0, 8:] = 6 / 16
    sure = torch.where(masks.any(dim=1), 20.0, -20.0)
    assert region_loss(Estimate(torch.zeros(1, 2, 17, 17), boxes, sure), masks) < 1e-6


def two_people(size):
    labels = torch.zeros(1, size, size, dtype=torch.long)
    labels[0, 2 : size // 2, 1 : size // 4] = 5
    labels[0, size // 2 :, size // 2 : size - 3] = 9
    labels[0, 0, size - 1] = 255
    return labels


def test_people_are_connected_pieces():
    labels = two_people(16)
    pieces = connected((labels > 0) & (labels < 255))
    expected = torch.stack([labels[0] == 9, labels[0] == 5])
    assert torch.equal(pieces[0, :2], expected)
    assert not pieces[0, 2:].any()
    assert torch.equal(connected(labels == 9, most=1)[0, 0], expected[0])
    assert not connected(labels < 0).any()


def test_every_person_has_a_box_of_their_own():
    """Estimates with the boxes of both people are right, those with one box around both are not."""
    labels = two_people(33)
    network = HAZN(20, Backbone("resnet10t", output_stride=8, stage=2), zoom=(33, 33), hidden=8).eval()
    with torch.no_grad():
        output = network(torch.zeros(1, 3, 33, 33))
        whole = output.extra["whole"]
        size = whole.confidence.shape[1:]
        boxes = torch.tensor([[2, 1, 15, 7], [16, 16, 32, 29]]).view(2, 4, 1, 1) / 32
        upper = torch.arange(size[0]).view(1, 1, -1, 1) * 32 / (size[0] - 1) < 16
        losses = []
        for first, second in (boxes, (torch.tensor([2, 1, 32, 29]).view(4, 1, 1) / 32,) * 2):
            estimate = whole._replace(boxes=torch.where(upper, first, second).expand(1, 4, *size))
            extra = {**output.extra, "whole": estimate}
            found = network.auxiliary_losses(output._replace(extra=extra), {"labels": labels}, LIP)
            losses.append(found["zoom/people"])
    assert losses[0] < losses[1] - 0.1


def test_without_another_box_the_rest_has_no_confidence():
    boxes = torch.tensor([0.1, 0.1, 0.9, 0.9]).view(1, 4, 1, 1).expand(1, 4, 1, 2)
    chosen, sure = choose(Estimate(torch.zeros(1, 2, 1, 2), boxes, torch.tensor([[[3.0, 2.0]]])), 2)
    assert chosen.shape == (1, 2, 4)
    torch.testing.assert_close(sure[0], torch.tensor([3.0, -torch.inf]).sigmoid())
