import pytest
import torch
from torch.nn.functional import interpolate

from experiments.bundled import skip_start
from ssnan.models import SSNAN, Backbone, SkipBackbone


@pytest.fixture
def weight():
    return torch.randn(2, 6, 3, 3, generator=torch.Generator().manual_seed(0)).double()


@pytest.fixture
def features():
    mixed = torch.randn(6, 6, generator=torch.Generator().manual_seed(1)).double()
    return mixed @ torch.randn(6, 500, generator=torch.Generator().manual_seed(2)).double() + 3


def test_with_as_many_directions_as_features_the_classifier_is_the_same(weight, features):
    directions, offset, reader = skip_start.factor(weight, features.mean(dim=1), features.cov(), 6)
    again = torch.einsum("kdij,dc->kcij", reader, directions)
    torch.testing.assert_close(again, weight, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(offset, (directions @ features).mean(dim=1))
    torch.testing.assert_close((directions @ features).std(dim=1), torch.ones(6).double(), atol=1e-3, rtol=0)


def test_fewer_directions_keep_what_moves_the_scores_most(weight, features):
    directions, _, reader = skip_start.factor(weight, features.mean(dim=1), features.cov(), 2)
    rows = weight.permute(0, 2, 3, 1).reshape(-1, 6)
    kept = reader.permute(0, 2, 3, 1).reshape(-1, 2) @ directions
    centred = features - features.mean(dim=1, keepdim=True)
    strengths = torch.linalg.svdvals(rows @ centred / (features.shape[1] - 1) ** 0.5)
    lost = ((rows - kept) @ centred).square().sum() / (features.shape[1] - 1)
    torch.testing.assert_close(lost, strengths[2:].square().sum(), atol=0, rtol=1e-3)


def test_the_network_with_a_skip_starts_as_the_dilated_one():
    torch.manual_seed(0)
    dilated = SSNAN(3, Backbone("resnet10t", output_stride=8, stage=3)).eval()
    skip = SSNAN(3, SkipBackbone("resnet10t", width=54), scales=(0.5, 1.0)).eval()
    image = interpolate(torch.randn(1, 3, 9, 9), size=(129, 129), mode="bicubic", align_corners=True)
    with torch.no_grad():
        values = torch.cat([dilated.backbone(view)[0].flatten(1) for view in (image, image[..., ::2, ::2])], dim=1)
        skip.backbone.features.load_state_dict(dilated.backbone.features.state_dict())
        skip_start.take_over_classifier(skip, dilated, values.double().mean(dim=1), values.double().cov())
        skip_start.take_over_aggregation(skip, dilated)
        was, now = dilated(image), skip(image)
    for before, after in zip((was.scale_scores[0], was.scale_scores[2]), now.scale_scores, strict=True):
        # Away from the edge, where the zeros around the features mean something else after the shift.
        inside = (torch.stack([scores[0, :, 3:-3, 3:-3].flatten() for scores in (before, after)])).double()
        assert torch.corrcoef(inside)[0, 1] > 0.8
    assert skip.aggregation.attention[0].weight.equal(dilated.aggregation.attention[0].weight[:, [0, 1, 2, 6, 7, 8]])
