from __future__ import annotations

import numpy as np
import pytest

from recon.silhouette import cut_out, signed_distance
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


def opaque(views, background):
    """The same pictures pasted on one colour, alpha gone."""
    images = []
    for image in views.images:
        alpha = image[..., 3:] / 255
        flat = np.round(image[..., :3] * alpha + np.array(background) * (1 - alpha)).astype(np.uint8)
        images.append(np.dstack([flat, np.full(flat.shape[:2], 255, np.uint8)]))
    return ViewSet(images, views.cameras)


def test_alpha_is_taken_as_it_is(bar_views):
    for before, after in zip(bar_views.images, cut_out(bar_views).images, strict=True):
        np.testing.assert_array_equal(before, after)


def test_plain_background_is_keyed(bar_views):
    keyed = cut_out(opaque(bar_views, (250, 250, 250)))
    for before, after in zip(bar_views.images, keyed.images, strict=True):
        wrong = (before[..., 3] > 127) != (after[..., 3] > 127)
        assert wrong.sum() < 0.08 * (before[..., 3] > 127).sum()


def test_noisy_background_is_refused(bar_views):
    views = opaque(bar_views, (250, 250, 250))
    noise = np.random.default_rng(0).integers(0, 255, views.images[2][..., :3].shape, dtype=np.uint8)
    views.images[2][..., :3] = noise
    with pytest.raises(ViewmaskError, match="view 2: it has no transparency and no plain background"):
        cut_out(views)


def test_empty_views_are_left_out_but_one_must_stay(bar_views):
    empty = np.zeros_like(bar_views.images[0])
    kept = cut_out(ViewSet([bar_views.images[0], empty, *bar_views.images[2:]], bar_views.cameras))
    assert [camera.azimuth for camera in kept.cameras] == pytest.approx([0, 180, 270])
    with pytest.raises(ViewmaskError, match="every view is empty"):
        cut_out(ViewSet([empty] * 4, bar_views.cameras))
    alone = cut_out(ViewSet([empty, empty, bar_views.images[2], empty], bar_views.cameras))
    assert alone.extra["shown"] == [2]


def test_one_transparent_pixel_is_no_cut_out(bar_views):
    views = opaque(bar_views, (245, 245, 245))
    for image, alpha in zip(views.images, (0, 249, 100, 200), strict=True):
        image[0, 0, 3] = alpha
    keyed = cut_out(views)
    for before, after in zip(bar_views.images, keyed.images, strict=True):
        wrong = (before[..., 3] > 127) != (after[..., 3] > 127)
        assert wrong.sum() < 0.08 * (before[..., 3] > 127).sum()


def test_a_view_that_its_object_fills_is_believed_among_cut_outs(bar_views):
    close = np.full_like(bar_views.images[0], 255)
    close[..., :3] = 90
    close[:2, :, 3] = 0
    views = ViewSet([close, *bar_views.images[1:]], bar_views.cameras)
    assert cut_out(views).images[0] is close


def test_what_looks_wrong_is_told_once_for_all_views(bar_views):
    inverted = [np.dstack([image[..., :3], 255 - image[..., 3]]) for image in bar_views.images]
    cut = cut_out(ViewSet(inverted, bar_views.cameras, notes=("one picture is missing",)))
    first, second = cut.notes
    assert first == "one picture is missing"
    assert second.startswith("views 0, 1, 2, 3: what is kept touches most of the picture's border: is the mask")


def test_glass_is_solid_for_a_shape(bar_views):
    glass = [np.dstack([image[..., :3], image[..., 3] // 3]) for image in bar_views.images]
    cut = cut_out(ViewSet(glass, bar_views.cameras))
    for before, after in zip(bar_views.images, cut.images, strict=True):
        wrong = (before[..., 3] > 127) != (after[..., 3] > 127)
        assert wrong.sum() < 0.15 * (before[..., 3] > 127).sum()
    assert cut.notes == ("views 0, 1, 2, 3: the object is half transparent: it is taken for solid",)


def test_distance_lies_between_pixels():
    """A disc of any radius: the distance is the disc's own, to a fraction of a pixel."""
    y, x = np.mgrid[0:64, 0:64] + 0.5
    for radius in (10.0, 10.3, 10.6):
        true = radius - np.hypot(x - 32.4, y - 31.8)
        alpha = np.round(255 * np.clip(true + 0.5, 0, 1)).astype(np.uint8)
        near = np.abs(true) < 5
        assert np.abs(signed_distance(alpha) - true)[near].max() < 0.35
        assert np.abs((signed_distance(alpha) - true)[near].mean()) < 0.08


def test_distance_goes_on_beyond_the_border():
    """A silhouette cut by the picture's edge is not closed there."""
    alpha = np.zeros((32, 32), np.uint8)
    alpha[:, :16] = 255
    distance = signed_distance(alpha)
    assert distance[16, 0] > 14
    assert (signed_distance(np.full((8, 8), 255, np.uint8)) == np.inf).all()
    assert (signed_distance(np.zeros((8, 8), np.uint8)) == -np.inf).all()


def test_poses_that_are_no_numbers():
    pose = orbit(1)[0].camera_to_world.copy()
    pose[0, 0] = np.nan
    camera = orbit(1)[0]
    with pytest.raises(ViewmaskError, match="finite"):
        type(camera)(8, 8, 8.0, 8.0, 4.0, 4.0, pose)


@pytest.mark.parametrize("far", [4.0, 9.5])
def test_distances_up_to_what_is_wanted_are_the_same(far):
    random = np.random.default_rng(0)
    for height, width, top, left in ((60, 40, 20, 12), (40, 60, 0, 3), (50, 50, 30, 40)):
        alpha = np.zeros((height, width), np.uint8)
        alpha[top : top + 12, left : left + 9] = random.integers(0, 256, (12, 9))[: height - top, : width - left]
        full, short = signed_distance(alpha), signed_distance(alpha, far)
        assert (full < -far).any()
        np.testing.assert_allclose(short, np.maximum(full, -far), atol=1e-5)
    np.testing.assert_array_equal(signed_distance(np.zeros((5, 7), np.uint8), far), np.full((5, 7), -far))


@pytest.mark.parametrize("size", [64, 520])
def test_distances_of_small_and_of_large_pictures_are_those_of_a_disc(size):
    """Large pictures are not refined: their edge is off by about half a pixel at most."""
    x, y = np.meshgrid(np.arange(size) + 0.5 - size / 2, np.arange(size) + 0.5 - size / 3)
    true = 0.3 * size - np.hypot(x, y)
    found = signed_distance(np.round(255 * np.clip(true + 0.5, 0, 1)).astype(np.uint8))
    assert found.dtype == np.float32
    near = np.abs(true) < 0.25 * size
    assert np.abs(found - true)[near].max() < (0.35 if size == 64 else 0.65)
    assert np.abs((found - true)[near].mean()) < 0.1
