"""What a view is worth: PSNR, foreground PSNR, SSIM, silhouette IoU and LPIPS of one picture against the truth.

All colours are compared on white, in [0, 1], by true alpha blending; the silhouette is alpha > 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.views.viewset import Picture, composite

if TYPE_CHECKING:
    from viewmask.learning.lpips import Lpips

NAMES = ("psnr", "foreground_psnr", "ssim", "silhouette_iou", "lpips")
Colours = NDArray[np.floating[Any]]  # [height, width, 3] in [0, 1]
# What two equal pictures score: their values were rounded to 8 bits, so they may differ by a twelfth of a squared step.
# A larger number, which no picture could earn, would let one equal pair decide a mean over many.
CEILING = 10 * math.log10(12 * 255**2)  # 58.9 dB


def foreground_psnr(truth: Picture, view: Picture) -> float:
    """PSNR over the union of both silhouettes, dB: missing and invented parts both count, background does not.

    Where neither picture shows anything it is the plain PSNR.
    """
    error = _squared_error(truth, view)
    union = silhouette(truth) | silhouette(view)
    return _decibels(error[union] if union.any() else error)


def silhouette_iou(truth: Picture, view: Picture) -> float:
    """Intersection over union of the silhouettes, 0 to 1; two empty ones agree (1)."""
    _same_size(truth, view)
    a, b = silhouette(truth), silhouette(view)
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def silhouette(picture: Picture) -> NDArray[np.bool_]:
    """Where a picture shows its object: alpha > 0.5, [height, width]."""
    return picture[..., 3] > 127


# -- of colours [height, width, 3], once pictures lie on a background; SSIM in the four forms that papers use ----------


def psnr(a: Colours, b: Colours) -> float:
    """PSNR of two equally large RGB pictures in [0, 1], dB, at most `CEILING`."""
    return _decibels((a.astype(np.float64) - b) ** 2)


def gaussian_ssim(a: Colours, b: Colours) -> float:
    """SSIM as its authors define it: Gaussian window 11, sigma 1.5, data range 1, no border, by scikit-image."""
    from skimage.metrics import structural_similarity

    _wide_enough(a)
    value = structural_similarity(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=2
    )
    return float(value)


def own_range_ssim(a: Colours, b: Colours) -> float:
    """SSIM as torchmetrics computes it when no data range is given (SyncDreamer's): the larger of both pictures' own
    ranges stands in for it, so that pale pictures are judged more sharply; the border is mirrored and counts."""
    import torch
    from torchmetrics.functional.image import structural_similarity_index_measure

    _wide_enough(a)
    first, second = (torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)[None])).float() for x in (a, b))
    value = structural_similarity_index_measure(second, first)
    assert isinstance(value, torch.Tensor)
    # Two equal pictures of one colour have no range at all: torchmetrics divides zero by zero.
    return 1.0 if value.isnan() else float(value)


def uniform_ssim(a: Colours, b: Colours) -> float:
    """SSIM with scikit-image's own defaults on 8-bit pictures (EscherNet's): a flat 7 x 7 window, sample covariance."""
    from skimage.metrics import structural_similarity

    first, second = (np.round(x * 255).astype(np.uint8) for x in (a, b))
    return float(structural_similarity(first, second, channel_axis=2))


def clipped_ssim(a: Colours, b: Colours) -> float:
    """SSIM as mip-NeRF's code computes it (ViVid's): Gaussian 11, sigma 1.5, without a border, and with variances
    and covariance clipped to what is possible."""
    from scipy.ndimage import correlate1d

    _wide_enough(a)
    window = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window /= window.sum()

    def mean(x: Colours) -> NDArray[np.float64]:
        blurred: NDArray[np.float64] = correlate1d(correlate1d(x.astype(np.float64), window, axis=0), window, axis=1)
        return blurred[5:-5, 5:-5]

    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = mean(x), mean(y)
    variance_x = np.maximum(mean(x * x) - mean_x**2, 0)
    variance_y = np.maximum(mean(y * y) - mean_y**2, 0)
    covariance = mean(x * y) - mean_x * mean_y
    covariance = np.sign(covariance) * np.minimum(np.sqrt(variance_x * variance_y), np.abs(covariance))
    c1, c2 = 0.01**2, 0.03**2
    numerator = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((numerator / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))).mean())


def lpips(a: Sequence[Colours], b: Sequence[Colours], model: Lpips) -> list[float]:
    """LPIPS of each pair of equally large RGB pictures in [0, 1]; smaller is more alike."""
    import torch

    def batch(pictures: Sequence[Colours]) -> torch.Tensor:
        return torch.from_numpy(np.stack([p.transpose(2, 0, 1) for p in pictures])).float()

    with torch.inference_mode():
        return [float(value) for value in model.distance(batch(a), batch(b))]


def _wide_enough(a: Colours) -> None:
    if min(a.shape[:2]) < 11:
        raise ViewmaskError(f"SSIM needs pictures of at least 11 x 11 pixels, not {a.shape[1]} x {a.shape[0]}")


def _squared_error(truth: Picture, view: Picture) -> NDArray[np.float64]:
    _same_size(truth, view)
    return (composite(truth).astype(np.float64) - composite(view)) ** 2


def _decibels(squared_error: NDArray[np.float64]) -> float:
    return -10 * math.log10(max(float(squared_error.mean()), 10 ** (-CEILING / 10)))


def _same_size(truth: Picture, view: Picture) -> None:
    if truth.shape != view.shape:
        raise ViewmaskError(
            f"a view of {view.shape[1]}x{view.shape[0]} cannot be scored against one of "
            f"{truth.shape[1]}x{truth.shape[0]}: resize it first"
        )
