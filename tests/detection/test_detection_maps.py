"""Targets, losses, decoding and merging of circles."""

import numpy as np
import pytest
import torch

from gloinone.detection.circlenet import STRIDE, CircleMaps, CircleNet
from gloinone.detection.decode import decode
from gloinone.detection.fuse import in_core, suppress
from gloinone.detection.losses import TargetBatch, circle_loss, focal_loss
from gloinone.detection.targets import make_targets, sigma_of
from gloinone.geometry import circle_iou
from gloinone.learning.backbones import Normalise, ResNetFeatures

NONE = np.zeros((0, 3))
EDGE = 128


def _perfect_maps(circles: np.ndarray) -> CircleMaps:
    """Maps that say exactly what the targets ask for."""
    targets = make_targets(circles, NONE, EDGE)
    size = EDGE // STRIDE
    heat = torch.logit(torch.from_numpy(targets.heat).clamp(1e-4, 1 - 1e-4))
    offset, radius = torch.zeros(2, size * size), torch.zeros(1, size * size)
    offset[:, targets.cells] = torch.from_numpy(targets.offset).T
    radius[:, targets.cells] = torch.from_numpy(targets.radius)
    return CircleMaps(heat[None, None], offset.view(1, 2, size, size), radius.view(1, 1, size, size))


def test_decoding_undoes_the_targets():
    circles = np.array([[30.3, 40.9, 12.0], [90.0, 17.5, 9.5], [127.9, 127.9, 30.0]])
    found = decode(_perfect_maps(circles), top_k=3)[0].numpy()
    order = np.argsort(found[:, 0])
    assert found[order, :3] == pytest.approx(circles[np.argsort(circles[:, 0])], abs=1e-3)
    assert (found[:, 3] > 0.99).all()


def test_a_peak_beside_the_true_cell_still_says_where_the_circle_is():
    circle = np.array([[62.0, 62.0, 50.0]])
    maps = _perfect_maps(circle)
    row, column = 62 // STRIDE, 62 // STRIDE
    beside = torch.full_like(maps.heat, -9)
    beside[0, 0, row + 1, column - 1] = 9
    assert decode(maps._replace(heat=beside), 1)[0, 0, :3].tolist() == pytest.approx(circle[0], abs=1e-4)


def test_what_the_cells_around_a_peak_say_is_averaged_by_the_heatmap():
    size = 8
    heat, offset, radius = (torch.zeros(1, c, size, size) for c in (1, 2, 1))
    offset += 0.5
    radius += 3
    heat[0, 0] = -50
    heat[0, 0, 3, 4], heat[0, 0, 3, 5] = torch.logit(torch.tensor([0.9, 0.3]))
    # the peak's neighbour on the right: centre half a cell further right than the peak says, radius 2 more
    offset[0, 0, 3, 5], radius[0, 0, 3, 5] = 0.0, 5
    maps = CircleMaps(heat, offset, radius)
    alone, together = decode(maps, 1)[0, 0], decode(maps, 1, reach=1)[0, 0]
    assert alone.tolist() == pytest.approx([4.5 * STRIDE, 3.5 * STRIDE, 3 * STRIDE, 0.9])
    x = (0.9 * 4.5 + 0.3 * 5.0) / 1.2
    r = (0.9 * 3 + 0.3 * 5) / 1.2
    assert together.tolist() == pytest.approx([x * STRIDE, 3.5 * STRIDE, r * STRIDE, 0.9], rel=1e-4)


@pytest.mark.parametrize("reach", [1, 2])
def test_perfect_maps_are_read_alike_from_around_the_peak(reach: int):
    circle = np.array([[62.0, 50.3, 50.0]])
    maps = _perfect_maps(circle)
    targets = make_targets(circle, NONE, EDGE)
    taught = torch.full_like(maps.heat, -99).flatten()
    taught[targets.cells] = maps.heat.flatten()[targets.cells]  # nothing is known of cells further away
    found = decode(maps._replace(heat=taught.view_as(maps.heat)), 1, reach)[0, 0, :3]
    assert found.tolist() == pytest.approx(circle[0], abs=1e-3)


@pytest.mark.parametrize("corner", [0, -1])
def test_a_peak_in_the_corner_or_of_nothing_has_a_circle_too(corner: int):
    maps = CircleMaps(*(torch.zeros(1, c, 8, 8) for c in (1, 2, 1)))
    maps.heat[:] = -200
    maps.heat[0, 0, corner, corner] = 5
    circles = decode(maps._replace(offset=maps.offset + 0.5, radius=maps.radius + 2), 64, reach=1)[0]
    assert torch.isfinite(circles).all()
    where = (corner % 8 + 0.5) * STRIDE
    assert circles[0, :3].tolist() == pytest.approx([where, where, 2 * STRIDE], abs=1e-2)


def test_small_and_large_circles_weigh_the_same_and_their_centres_most():
    targets = make_targets(np.array([[30.3, 40.9, 8.0], [90.0, 80.5, 40.0]]), NONE, EDGE)
    is_small = targets.radius == 8.0 / STRIDE
    for mine, circle in ((is_small, (30.3, 40.9)), (~is_small, (90.0, 80.5))):
        assert targets.weight[mine].sum() == pytest.approx(1)
        heaviest = targets.cells[mine][targets.weight[mine].argmax()]
        assert heaviest == int(circle[1] / STRIDE) * (EDGE // STRIDE) + int(circle[0] / STRIDE)
    assert is_small.sum() < (~is_small).sum()


def test_each_map_is_scaled_by_the_stride_once():
    maps = _perfect_maps(np.array([[62.0, 62.0, 20.0]]))
    moved = maps._replace(offset=maps.offset + 0.25, radius=maps.radius + 1)
    before, after = decode(maps, 1)[0, 0], decode(moved, 1)[0, 0]
    assert (after - before).tolist() == pytest.approx([STRIDE / 4, STRIDE / 4, STRIDE, 0], abs=1e-4)


def test_a_centre_outside_the_tile_is_no_target():
    targets = make_targets(np.array([[-1.0, 5, 20], [EDGE, 5, 20]]), NONE, EDGE)
    assert not len(targets.cells)
    assert targets.heat.max() == 0


def test_three_sigma_from_the_centre_the_circle_still_fits():
    for radius in (5.0, 25.0, 60.0):
        moved = np.array([[3 * sigma_of(radius), 0, radius]])
        assert circle_iou(np.array([[0.0, 0, radius]]), moved)[0, 0] == pytest.approx(0.7, abs=0.02)


def test_ignored_circles_do_not_count_but_a_truth_inside_does():
    ignored = np.array([[64.0, 64, 40]])
    alone = make_targets(NONE, ignored, EDGE)
    assert alone.counts[16, 16] == 0
    assert alone.counts[0, 0] == 1
    with_truth = make_targets(np.array([[64.0, 64, 10]]), ignored, EDGE)
    assert with_truth.counts[16, 16] == 1


def test_focal_loss_by_hand():
    # one centre predicted .8, one background cell predicted .3, one cell at heat .5 predicted .3
    logits = torch.logit(torch.tensor([0.8, 0.3, 0.3]))
    heat = torch.tensor([1.0, 0.0, 0.5])
    expected = -(0.2**2 * np.log(0.8) + 0.3**2 * np.log(0.7) + 0.5**4 * 0.3**2 * np.log(0.7))
    assert float(focal_loss(logits, heat, torch.ones(3))) == pytest.approx(expected, rel=1e-5)
    assert float(focal_loss(logits, heat, torch.tensor([0.0, 0, 0]))) == 0


def test_loss_of_perfect_maps_is_small_and_each_term_notices_its_own_fault():
    circles = np.array([[30.3, 40.9, 12.0], [90.0, 17.5, 9.5]])
    t = make_targets(circles, NONE, EDGE)
    batch = TargetBatch(
        torch.from_numpy(t.heat)[None, None],
        torch.from_numpy(t.counts)[None, None],
        torch.zeros(len(t.cells), dtype=torch.int64),
        *(torch.from_numpy(part) for part in (t.cells, t.offset, t.radius, t.weight)),
    )
    maps = _perfect_maps(circles)
    right = circle_loss(maps, batch)
    assert float(right.offset) == pytest.approx(0, abs=1e-6)
    assert float(right.radius) == pytest.approx(0, abs=1e-6)
    wrong = circle_loss(maps._replace(radius=maps.radius + 2), batch)
    assert float(wrong.radius) == pytest.approx(2)
    assert float(wrong.total - right.total) == pytest.approx(0.2, abs=1e-5)
    assert float(circle_loss(maps._replace(offset=maps.offset + 1), batch).offset) == pytest.approx(1)
    assert float(circle_loss(maps._replace(heat=-maps.heat), batch).heat) > 10 * float(right.heat)


def test_loss_without_any_circle_has_a_gradient():
    size = EDGE // STRIDE
    maps = CircleMaps(*(torch.zeros(1, c, size, size, requires_grad=True) for c in (1, 2, 1)))
    nothing = TargetBatch(
        torch.zeros(1, 1, size, size),
        torch.ones(1, 1, size, size),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, 2),
        torch.zeros(0),
        torch.zeros(0),
    )
    circle_loss(maps, nothing).total.backward()
    assert maps.heat.grad is not None
    assert maps.heat.grad.abs().sum() > 0


def test_suppression_agrees_with_brute_force_in_any_order():
    rng = np.random.default_rng(5)
    circles = np.column_stack(
        [rng.uniform(0, 300, (80, 2)), rng.uniform(10, 40, 80), rng.permutation(80) / 80]
    )
    kept: list[np.ndarray] = []
    for circle in circles[np.argsort(-circles[:, 3])]:
        if all(circle_iou(circle[None], other[None])[0, 0] <= 0.35 for other in kept):
            kept.append(circle)
    assert np.array_equal(suppress(circles, 0.35), np.array(kept))
    assert np.array_equal(suppress(rng.permutation(circles), 0.35), np.array(kept))


def test_suppression_of_nothing_and_of_equals():
    assert suppress(np.zeros((0, 4))).shape == (0, 4)
    twins = np.array([[5.0, 5, 3, 0.5], [5.0, 5, 3, 0.5]])
    assert len(suppress(twins)) == 1


def test_a_centre_on_the_border_of_two_cores_belongs_to_one():
    circle = np.array([[100.0, 50, 10, 0.9]])
    assert not in_core(circle, (0, 0, 100, 100))[0]
    assert in_core(circle, (100, 0, 200, 100))[0]


@pytest.mark.parametrize("stages", [3, 4])
def test_network_shapes_and_prior(stages: int):
    torch.manual_seed(0)
    backbone = ResNetFeatures("resnet18", stages=stages)
    network = CircleNet(Normalise((120, 110, 100), (60, 60, 60)), backbone, 16).eval()
    with torch.inference_mode():
        maps = network(torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8))
    assert maps.heat.shape == (2, 1, 16, 24)
    assert maps.offset.shape == (2, 2, 16, 24)
    assert maps.radius.shape == (2, 1, 16, 24)
    assert float(maps.heat.sigmoid().mean()) < 0.2
