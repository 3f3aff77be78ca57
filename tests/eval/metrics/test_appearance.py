"""Image metrics against known answers and against an independent implementation."""

import numpy as np
import pytest

from eval.metrics import appearance
from eval.metrics.appearance import CEILING
from eval.protocols import VIEWMASK
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import composite


def psnr(truth: np.ndarray, view: np.ndarray) -> float:
    return VIEWMASK.images([truth], [view])["psnr"] or 0.0


def ssim(truth: np.ndarray, view: np.ndarray) -> float:
    return VIEWMASK.images([truth], [view])["ssim"] or 0.0


def square(left: int, top: int = 20, side: int = 20, colour: tuple[int, int, int] = (200, 30, 60)) -> np.ndarray:
    """A coloured square on nothing, 64 x 64."""
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[top : top + side, left : left + side] = (*colour, 255)
    return picture


def noise(seed: int) -> np.ndarray:
    """Smooth random colours with a soft edge."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (8, 8, 4))
    return np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)


def test_equal_pictures_score_the_best() -> None:
    assert VIEWMASK.images([noise(0)], [noise(0)]) == {
        "psnr": pytest.approx(CEILING), "foreground_psnr": pytest.approx(CEILING), "ssim": pytest.approx(1),
        "silhouette_iou": 1.0, "lpips": None,
    }  # fmt: skip


def test_psnr_of_a_known_error() -> None:
    a, b = np.full((16, 16, 4), 255, np.uint8), np.full((16, 16, 4), 255, np.uint8)
    b[..., :3] = 204  # 0.2 darker everywhere
    assert psnr(a, b) == pytest.approx(-20 * np.log10(0.2), abs=1e-5)


def test_foreground_is_the_union_of_both_silhouettes() -> None:
    truth, view = square(10, colour=(0, 0, 0)), square(20, colour=(0, 0, 0))
    # Over the union of 20 x 30 pixels, a third is missing and a third invented: black against white.
    assert appearance.foreground_psnr(truth, view) == pytest.approx(-10 * np.log10(2 / 3), abs=1e-5)
    assert appearance.foreground_psnr(view, truth) == appearance.foreground_psnr(truth, view)


def test_foreground_ignores_the_size_of_the_background() -> None:
    small = [square(10), square(14, colour=(10, 90, 200))]
    large = [np.pad(picture, ((0, 64), (0, 64), (0, 0))) for picture in small]
    assert appearance.foreground_psnr(*large) == pytest.approx(appearance.foreground_psnr(*small))
    assert psnr(*large) > psnr(*small) + 5


def test_silhouette_iou_of_two_squares() -> None:
    assert appearance.silhouette_iou(square(10), square(20)) == pytest.approx(1 / 3)
    assert appearance.silhouette_iou(square(10), square(40)) == 0


def test_nothing_against_nothing() -> None:
    blank = np.zeros((16, 16, 4), np.uint8)
    scores = VIEWMASK.images([blank], [blank])
    assert scores["silhouette_iou"] == 1
    assert scores["foreground_psnr"] == pytest.approx(CEILING)


def test_silhouette_is_alpha_above_one_half() -> None:
    picture = np.zeros((1, 2, 4), np.uint8)
    picture[0, :, 3] = 127, 128
    assert appearance.silhouette(picture).tolist() == [[False, True]]


def test_colour_under_no_alpha_does_not_count() -> None:
    other = square(10)
    other[other[..., 3] == 0] = (9, 200, 9, 0)
    assert psnr(square(10), other) == pytest.approx(CEILING)


def test_a_blank_picture_fools_ssim_but_not_the_others() -> None:
    # Why the table shows them all: an object moved by ten pixels has lower SSIM than no object at all.
    truth, moved, blank = square(22), square(32), np.zeros((64, 64, 4), np.uint8)
    assert ssim(truth, blank) > ssim(truth, moved)
    assert appearance.silhouette_iou(truth, blank) < appearance.silhouette_iou(truth, moved)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_torchmetrics(seed: int) -> None:
    import torch
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    a, b = noise(seed), noise(seed + 100)
    if seed:  # nearer pictures, too
        b = (0.8 * a + 0.2 * b).astype(np.uint8)
    truth, view = (torch.from_numpy(composite(picture).transpose(2, 0, 1)[None].copy()) for picture in (a, b))
    assert psnr(a, b) == pytest.approx(float(peak_signal_noise_ratio(view, truth, data_range=1.0)), abs=1e-3)
    # Their mean also counts a border of five pixels, where the window sees the picture reflected; ours does not.
    _, everywhere = structural_similarity_index_measure(view, truth, sigma=1.5, data_range=1.0, return_full_image=True)
    assert ssim(a, b) == pytest.approx(float(everywhere[..., 5:-5, 5:-5].mean()), abs=1e-4)


def test_score_is_the_mean_over_views() -> None:
    truths, views = [square(10), noise(1)], [square(12), noise(2)]
    both = VIEWMASK.images(truths, views)
    single = [VIEWMASK.images([truth], [view]) for truth, view in zip(truths, views, strict=True)]
    for name in ("psnr", "foreground_psnr", "ssim", "silhouette_iou"):
        assert both[name] == pytest.approx(np.mean([scores[name] for scores in single]))


def test_lpips_of_each_pair() -> None:
    import torch

    class Difference:
        def distance(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            assert a.shape == (2, 3, 64, 64)
            assert a.max() <= 1
            return (a - b).abs().mean(dim=(1, 2, 3))

    a, b = ([composite(picture) for picture in pair] for pair in ((square(10), noise(1)), (square(10), noise(2))))
    values = appearance.lpips(a, b, Difference())  # type: ignore[arg-type]
    assert values[0] == 0
    assert values[1] > 0.01


def test_refuses_what_cannot_be_compared() -> None:
    with pytest.raises(ViewmaskError, match="resize it first"):
        psnr(square(10), square(10)[:32, :32])
    with pytest.raises(ViewmaskError, match="2 views cannot be scored against 1"):
        VIEWMASK.images([square(10)], [square(10)] * 2)
    with pytest.raises(ViewmaskError, match="11 x 11"):
        ssim(square(10)[:8, :8], square(10)[:8, :8])


def slow_ssim(
    a: np.ndarray, b: np.ndarray, window: np.ndarray, scale: float = 1.0, unbiased: float = 1.0, clipped: bool = False
) -> float:
    """SSIM (Wang et al. 2004) window by window and channel by channel, where the window fits."""
    side, values = len(window), []
    for row in range(a.shape[0] - side + 1):
        for column in range(a.shape[1] - side + 1):
            for channel in range(3):
                x = a[row : row + side, column : column + side, channel].astype(np.float64)
                y = b[row : row + side, column : column + side, channel].astype(np.float64)
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy = (unbiased * (window * (z - m) ** 2).sum() for z, m in ((x, mx), (y, my)))
                both = unbiased * (window * (x - mx) * (y - my)).sum()
                c1, c2 = (0.01 * scale) ** 2, (0.03 * scale) ** 2
                values.append((2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


GAUSSIAN = np.exp(-((np.arange(-5, 6)[:, None] ** 2 + np.arange(-5, 6) ** 2) / 4.5))
GAUSSIAN /= GAUSSIAN.sum()


def soft_pair() -> tuple[np.ndarray, np.ndarray]:
    """Two pictures that are alike, 14 x 16, from 0.1 to 0.7."""
    rng = np.random.default_rng(4)
    a = 0.1 + 0.5 * rng.random((14, 16, 3), dtype=np.float32)
    return a, np.clip(a + 0.2 * rng.random((14, 16, 3), dtype=np.float32) - 0.1, 0.1, 0.7)


def test_every_ssim_against_windows_one_by_one() -> None:
    a, b = soft_pair()
    assert appearance.gaussian_ssim(a, b) == pytest.approx(slow_ssim(a, b, GAUSSIAN), abs=1e-5)
    assert appearance.clipped_ssim(a, b) == pytest.approx(slow_ssim(a, b, GAUSSIAN), abs=1e-9)
    wide = [np.pad(x, ((5, 5), (5, 5), (0, 0)), "reflect") for x in (a, b)]
    scale = max(float(np.ptp(x)) for x in (a, b))
    assert appearance.own_range_ssim(a, b) == pytest.approx(slow_ssim(wide[0], wide[1], GAUSSIAN, scale), abs=1e-5)
    bytes_ = [np.round(x * 255) for x in (a, b)]
    flat = slow_ssim(bytes_[0], bytes_[1], np.full((7, 7), 1 / 49), 255, unbiased=49 / 48)
    assert appearance.uniform_ssim(a, b) == pytest.approx(flat, abs=1e-9)


def test_covariance_is_clipped_to_what_is_possible() -> None:
    # One colour everywhere: the variances are rounding errors, and a covariance of rounding errors must not count.
    a, b = (np.full((12, 12, 3), value, np.float32) for value in (0.3, 0.5))
    expected = (2 * 0.3 * 0.5 + 1e-4) / (0.3**2 + 0.5**2 + 1e-4)
    assert appearance.clipped_ssim(a, b) == pytest.approx(expected, rel=1e-6)
    opposite = np.indices((12, 12)).sum(0)[..., None] % 2 * np.ones(3)
    assert appearance.clipped_ssim(opposite, 1 - opposite) == pytest.approx(slow_ssim(opposite, 1 - opposite, GAUSSIAN))


def test_equal_pictures_of_one_colour_agree_without_any_range() -> None:
    grey = np.full((12, 12, 3), 0.5, np.float32)
    assert appearance.own_range_ssim(grey, grey) == 1.0


@pytest.mark.parametrize("form", [appearance.gaussian_ssim, appearance.own_range_ssim, appearance.clipped_ssim])
def test_eleven_pixels_are_wide_enough(form) -> None:  # type: ignore[no-untyped-def]
    a, b = soft_pair()
    assert 0 < form(a[:11, :11], b[:11, :11]) < 1
    for shape in ((10, 11), (11, 10)):
        with pytest.raises(ViewmaskError, match="11 x 11"):
            form(a[: shape[0], : shape[1]], b[: shape[0], : shape[1]])


def test_psnr_of_colours_has_a_ceiling() -> None:
    a, b = soft_pair()
    assert appearance.psnr(a, b) == pytest.approx(-10 * np.log10(((a - b) ** 2).mean()), rel=1e-5)
    assert appearance.psnr(a, a) == pytest.approx(58.923, abs=1e-3)
    assert appearance.psnr(np.zeros((2, 2, 3)), np.ones((2, 2, 3))) == 0


def test_pictures_of_other_sizes_have_no_foreground_in_common() -> None:
    for score in (appearance.foreground_psnr, appearance.silhouette_iou):
        with pytest.raises(ViewmaskError, match="resize it first"):
            score(square(10), square(10)[:, :32])


def test_the_names_of_the_figures() -> None:
    assert appearance.NAMES == ("psnr", "foreground_psnr", "ssim", "silhouette_iou", "lpips")
