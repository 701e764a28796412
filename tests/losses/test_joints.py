from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from fakes.lip import person
from ssnan.labels import LIP, ClassSet, LabelSet, Region
from ssnan.losses.joints import (
    Centers,
    JointCenters,
    found,
    heatmap_distance,
    joint_distance,
    label_centers,
    region_beliefs,
    soft_centers,
)

REGIONS = (Region("a", (1,)), Region("b", (2, 3)))
LABELS = LabelSet("four", ("none", "one", "two", "three"), ((0, 0, 0),) * 4, regions=REGIONS)


def brute_force_centers(probabilities, valid, regions):
    _, height, width = probabilities.shape
    result = []
    for region in regions:
        mass = y_sum = x_sum = 0.0
        for y in range(height):
            for x in range(width):
                for class_id in region.class_ids:
                    m = float(probabilities[class_id, y, x]) * bool(valid[y, x])
                    mass, y_sum, x_sum = mass + m, y_sum + m * y / (height - 1), x_sum + m * x / (width - 1)
        result.append((y_sum / mass, x_sum / mass))
    return np.array(result)


def test_soft_centres_against_a_loop_over_pixels():
    probabilities = torch.randn(2, 4, 7, 5, generator=torch.Generator().manual_seed(0)).softmax(1)
    valid = torch.rand(2, 7, 5, generator=torch.Generator().manual_seed(1)) > 0.3
    centers = soft_centers(probabilities, valid, REGIONS)
    for image in range(2):
        expected = brute_force_centers(probabilities[image].numpy(), valid[image].numpy(), REGIONS)
        np.testing.assert_allclose(centers.position[image].numpy(), expected, atol=1e-5)
    masses = (probabilities[:, 1] * valid, (probabilities[:, 2] + probabilities[:, 3]) * valid)
    torch.testing.assert_close(centers.mass, torch.stack([m.mean(dim=(1, 2)) for m in masses], dim=1))


def test_label_centres_of_a_drawn_person():
    _, labels = person()
    centers = label_centers(torch.from_numpy(labels).long()[None], LIP)[0]
    names = [region.name for region in LIP.regions]
    for name, class_id in (("left-arm", 14), ("right-shoe", 19)):
        rows, columns = np.nonzero(labels == class_id)
        expected = [rows.mean() / 95, columns.mean() / 63]
        np.testing.assert_allclose(centers.position[0, names.index(name)], expected, atol=1e-5)
    present = {name for name, there in zip(names, centers.present[0], strict=True) if there}
    assert present == set(names) - {"left-leg", "right-leg"}


def test_first_row_and_column_count():
    labels = torch.zeros(1, 3, 3, dtype=torch.long)
    labels[0, 0, 0] = 1
    centers = label_centers(labels, LABELS)[0]
    assert centers.present.tolist() == [[True, False]]
    assert centers.position[0, 0].tolist() == [0.0, 0.0]


def test_ignored_pixels_have_no_mass():
    labels = torch.full((1, 4, 4), 255)
    assert not label_centers(labels, LABELS)[0].present.any()


def test_distance_by_hand():
    predicted = Centers(torch.tensor([[[0.0, 0.0], [0.5, 0.5], [0.9, 0.9], [0.1, 0.1]]]),
                        torch.tensor([[0.2, 0.0, 0.2, 0.0]]))  # fmt: skip
    truth = Centers(torch.tensor([[[0.3, 0.4], [0.5, 0.5], [0.0, 0.0], [0.2, 0.2]]]),
                    torch.tensor([[0.2, 0.2, 0.0, 0.0]]))  # fmt: skip
    # first: 0.25; second missing: 0.5; third only predicted, fourth absent: left out. N = 2.
    torch.testing.assert_close(joint_distance(predicted, truth), torch.tensor([(0.25 + 0.5) / 4]))


def test_a_region_that_fades_costs_more_and_more():
    """From its squared distance at a tenth of the true mass to the penalty at none, in a straight line."""
    truth = Centers(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[0.2]]))
    distances = []
    for mass in (0.1, 0.02, 0.005, 0.0):
        predicted = Centers(torch.tensor([[[0.3, 0.4]]]), torch.tensor([[mass]]))
        distances.append(2 * joint_distance(predicted, truth).item())
    np.testing.assert_allclose(distances, [0.25, 0.25, 0.25 * 0.25 + 0.75 * 0.5, 0.5], rtol=1e-6)


def test_a_region_that_is_nearly_lost_is_pulled_back():
    scores = torch.zeros(1, 4, 6, 6)
    scores[:, 0] = 9
    scores.requires_grad_()
    labels = torch.zeros(1, 6, 6, dtype=torch.long)
    labels[0, 2:4, 2:4] = 1
    truth, known = label_centers(labels, LABELS)
    predicted = soft_centers(scores.softmax(dim=1), known, LABELS.regions)
    assert not found(predicted, truth)[0, 0]
    [gradient] = torch.autograd.grad(joint_distance(predicted, truth).sum(), scores)
    assert gradient[0, 1, 2, 2] < 0 < gradient[0, 0, 2, 2]


def nine_places():
    """Of a 3 × 3 block in a photo of 24 × 24: its first row and column."""
    return [(y, x) for y in (0, 10, 21) for x in (0, 10, 21)]


@pytest.mark.parametrize("centers", get_args(JointCenters))
@pytest.mark.parametrize("region", LIP.regions, ids=lambda region: region.name)
def test_a_lost_region_is_pulled_back_wherever_it_is(region, centers):
    """Background is surer everywhere. More of the lost region, where it should be, must lower the distance."""
    for top, left in nine_places():
        labels = torch.zeros(1, 24, 24, dtype=torch.long)
        labels[0, top : top + 3, left : left + 3] = region.class_ids[0]
        scores = torch.zeros(1, len(LIP), 24, 24)
        scores[:, 0] = 9
        scores.requires_grad_()
        truth, known = label_centers(labels, LIP)
        predicted = soft_centers(region_beliefs(scores, centers), known, LIP.regions)
        [gradient] = torch.autograd.grad(joint_distance(predicted, truth).sum(), scores)
        of_region = gradient[0, region.class_ids[0]]
        assert of_region[labels[0] > 0].max() < 0, (top, left)
        assert of_region.sum() < 0, (top, left)


def test_a_joint_never_costs_more_than_a_missing_one():
    truth = Centers(torch.tensor([[[1.0, 1.0]]]), torch.tensor([[0.2]]))
    opposite = Centers(torch.zeros(1, 1, 2), torch.tensor([[0.2]]))
    assert joint_distance(opposite, truth).item() == 0.25


def test_in_larger_units_a_missing_joint_costs_more_too():
    """In a photo of 2 × 4, a quarter and a half are 0.5 and 2; missing is half the mean square of the sides."""
    truth = Centers(torch.zeros(1, 1, 2), torch.tensor([[0.2]]))
    for position, mass, expected in (([0.25, 0.5], 0.2, 0.5**2 + 2**2), ([1.0, 1.0], 0.2, 5.0), ([0.0, 0.0], 0.0, 5.0)):
        predicted = Centers(torch.tensor([[position]]), torch.tensor([[mass]]))
        assert 2 * joint_distance(predicted, truth, sides=(2, 4)).item() == pytest.approx(expected)


def test_eq_4_may_divide_by_a_fixed_number():
    truth = Centers(torch.zeros(1, 9, 2), torch.tensor([[0.2, 0.2] + [0.0] * 7]))
    predicted = Centers(torch.full((1, 9, 2), 0.3), torch.full((1, 9), 0.2))
    np.testing.assert_allclose(joint_distance(predicted, truth).item(), 0.18 / 2, rtol=1e-6)
    np.testing.assert_allclose(joint_distance(predicted, truth, count=9).item(), 2 * 0.18 / 18, rtol=1e-6)


def test_what_centres_are_of():
    """Decided pixels are all or nothing; the decided centre's gradient is the soft one's form."""
    scores = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(7)).requires_grad_()
    soft, decided = (region_beliefs(scores, kind) for kind in ("soft", "decided"))
    torch.testing.assert_close(soft, scores.softmax(dim=1))
    torch.testing.assert_close(decided.detach().round(), decided.detach(), atol=1e-6, rtol=0)
    assert torch.equal(decided.argmax(dim=1), scores.argmax(dim=1))
    weights = torch.randn(decided.shape, generator=torch.Generator().manual_seed(8))
    torch.testing.assert_close(
        torch.autograd.grad((decided * weights).sum(), scores)[0],
        torch.autograd.grad((soft * weights).sum(), scores)[0],
    )


def test_found_asks_less_of_a_small_region():
    def masses(*values):
        return Centers(torch.zeros(1, len(values), 2), torch.tensor([values]))

    # A tenth of a shoe, nearly a tenth of a coat, nothing of anything; then regions the truth lacks.
    truth = masses(4e-4, 0.3, 0.2, 0.0, 0.0)
    predicted = masses(4.1e-5, 0.029, 0.0, 2e-3, 9e-4)
    assert found(predicted, truth).tolist() == [[True, False, False, True, False]]


def test_perfect_and_empty_cost_nothing():
    _, labels = person()
    maps = torch.from_numpy(np.stack([labels, labels * 0])).long()
    truth = label_centers(maps, LIP)[0]
    torch.testing.assert_close(joint_distance(truth, truth), torch.zeros(2))


def test_a_set_counts_where_its_region_is_certain():
    """100 lies in region b; 101 may be in a or b; 102 in b or in none."""
    labels = torch.tensor([[[1, 100], [101, 102]]])
    sets = (ClassSet(100, (2, 3)), ClassSet(101, (1, 2)), ClassSet(102, (0, 3)))
    truth, known = label_centers(labels, replace(LABELS, sets=sets))
    assert known.tolist() == [[[True, True], [False, False]]]
    assert truth.position.tolist() == [[[0.0, 0.0], [0.0, 1.0]]]
    assert truth.mass.tolist() == [[0.25, 0.25]]


def test_gradient_through_the_centres_against_finite_differences():
    logits = torch.randn(1, 4, 5, 4, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    truth = label_centers(torch.randint(0, 4, (1, 5, 4), generator=torch.Generator().manual_seed(3)), LABELS)[0]
    valid = torch.ones(1, 5, 4, dtype=torch.bool)

    def distance(scores):
        return joint_distance(soft_centers(scores.softmax(1), valid, REGIONS), truth)

    logits.requires_grad_(True)
    assert torch.autograd.gradcheck(distance, (logits,))
    [gradient] = torch.autograd.grad(distance(logits).sum(), logits)
    assert gradient.abs().max() > 1e-4


def at(cell, present=True):
    return Centers(torch.tensor([[[cell / 40, 0.5]]]), torch.tensor([[0.1 * present]]))


def test_heatmap_distance_by_hand():
    # Two Gaussians d cells apart: 0.4 (1 - exp(-d²/4)); one alone: 0.2.
    for offset, expected in ((0, 0.0), (1, 0.0885), (2, 0.2528), (3, 0.3578), (5, 0.3992)):
        assert abs(heatmap_distance(at(20.0), at(20.0 + offset)).item() - expected) < 2e-4
    assert abs(heatmap_distance(at(20.0), at(3.0, present=False)).item() - 0.2) < 1e-4
    assert heatmap_distance(at(1.0, present=False), at(9.0, present=False)).item() == 0


def test_heatmap_distance_has_a_gradient():
    position = torch.tensor([[[0.48, 0.5]]], dtype=torch.double, requires_grad=True)
    truth = Centers(torch.tensor([[[0.5, 0.52]]], dtype=torch.double), torch.ones(1, 1))
    assert torch.autograd.gradcheck(lambda p: heatmap_distance(Centers(p, truth.mass), truth, cells=12), (position,))
