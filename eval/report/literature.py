"""What papers report, to be shown as quoted beside what was measured here."""

from __future__ import annotations

from dataclasses import dataclass

from eval.result import Means


@dataclass(frozen=True)
class Quoted:
    """A row that somebody else reports.

    Attributes:
        method: whose row.
        figures: as printed there.
        source: where it stands.
    """

    method: str
    figures: Means
    source: str


_PAPER = "ViewMask-1-to-3, arXiv 2512.14099, as summarised by readers"


def _quoted(method: str, psnr: float, ssim: float, chamfer: float | None = None, iou: float | None = None) -> Quoted:
    return Quoted(method, {"psnr": psnr, "ssim": ssim, "chamfer": chamfer, "iou": iou}, _PAPER)


PUBLISHED = {
    "gso": [
        _quoted("Zero-1-to-3", 18.82, 0.8294, 0.0163, 0.5665),
        _quoted("Zero-1-to-3 XL", 19.68, 0.8381),
        _quoted("ViVid-1-to-3", 19.80, 0.8566, 0.0163, 0.5841),
        Quoted("SyncDreamer", {"psnr": 20.1}, "SyncDreamer, arXiv 2309.03453, GSO-30, 16 views with the given one"),
        _quoted("ViewMask-1-to-3", 20.61, 0.8561, 0.0149, 0.5847),
    ],
    "3d-future": [
        _quoted("Zero-1-to-3", 17.05, 0.8163, 0.0113, 0.5005),
        _quoted("Zero-1-to-3 XL", 18.47, 0.8337),
        _quoted("ViVid-1-to-3", 18.32, 0.8437, 0.0105, 0.5246),
        _quoted("ViewMask-1-to-3", 19.99, 0.8650, 0.0106, 0.5315),
    ],
}
CAUTION = (
    "Quoted rows are not comparable to the digit: their objects, views and protocols differ from ours and from each "
    "other's, and are not published in full."
)
