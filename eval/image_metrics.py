"""What a view is worth: PSNR, foreground PSNR, SSIM, silhouette IoU and LPIPS of one picture against the truth.

All colours are compared on white, in [0, 1], by true alpha blending; the silhouette is alpha > 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.viewset import Picture, composite

if TYPE_CHECKING:
    from viewmask.lpips import Lpips

DEFINITION = (
    "pictures composited on white by true alpha blending, values in [0, 1]; silhouette = alpha > 0.5; "
    "PSNR = -10 log10 of the mean squared error over all pixels and channels, at most 100 dB; "
    "foreground PSNR = the same over the union of the true and the predicted silhouette; "
    "SSIM = Gaussian window 11x11, sigma 1.5, data range 1, mean over channels without a border of 5 pixels; "
    "LPIPS = AlexNet, version 0.1"
)

NAMES = ("psnr", "foreground_psnr", "ssim", "silhouette_iou", "lpips")
CEILING = 100.0  # dB: what two equal pictures score, so that means stay finite


def psnr(truth: Picture, view: Picture) -> float:
    """Peak signal-to-noise ratio of two RGBA pictures on white, dB, at most 100."""
    return _decibels(_squared_error(truth, view))


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


def ssim(truth: Picture, view: Picture) -> float:
    """Structural similarity on white (Wang et al. 2004: Gaussian 11x11, sigma 1.5, data range 1), by scikit-image.

    Raises:
        ViewmaskError: the pictures are smaller than the window.
    """
    from skimage.metrics import structural_similarity

    _same_size(truth, view)
    if min(truth.shape[:2]) < 11:
        raise ViewmaskError(f"SSIM needs pictures of at least 11 x 11 pixels, not {truth.shape[1]} x {truth.shape[0]}")
    value = structural_similarity(
        composite(truth), composite(view), gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=1.0, channel_axis=2,
    )  # fmt: skip
    return float(value)


def lpips(truths: Sequence[Picture], views: Sequence[Picture], model: Lpips) -> list[float]:
    """LPIPS of each pair of equally large pictures on white; smaller is more alike."""
    import torch

    def batch(pictures: Sequence[Picture]) -> torch.Tensor:
        return torch.from_numpy(np.stack([composite(p).transpose(2, 0, 1) for p in pictures]))

    with torch.inference_mode():
        return [float(value) for value in model.distance(batch(truths), batch(views))]


def score(truths: Sequence[Picture], views: Sequence[Picture], model: Lpips | None = None) -> dict[str, float | None]:
    """Every image metric, a figure a view averaged over the views of one object.

    Args:
        truths, views: RGBA pictures in the same order; a view must have its truth's size.
        model: LPIPS weights; without them `lpips` is None.

    Returns:
        `psnr`, `foreground_psnr`, `ssim`, `silhouette_iou`, `lpips`.

    Raises:
        ViewmaskError: numbers or sizes of pictures differ, or there are none.
    """
    if len(truths) != len(views) or not truths:
        raise ViewmaskError(f"{len(views)} views cannot be scored against {len(truths)} true ones")
    plain = {"psnr": psnr, "foreground_psnr": foreground_psnr, "ssim": ssim, "silhouette_iou": silhouette_iou}
    result: dict[str, float | None] = {
        name: float(np.mean([metric(truth, view) for truth, view in zip(truths, views, strict=True)]))
        for name, metric in plain.items()
    }
    result["lpips"] = float(np.mean(lpips(truths, views, model))) if model else None
    return result


def silhouette(picture: Picture) -> NDArray[np.bool_]:
    """Where a picture shows its object: alpha > 0.5, [height, width]."""
    return picture[..., 3] > 127


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
