"""Protocols by name: what exactly is compared, and how, when a paper says "PSNR on GSO".

At least four are in use, and their figures do not compare (docs/protocols.md). Each is a `Protocol` here, with its
source. All measure this project's orbits, and the report prints the one that was used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from eval.metrics import appearance, geometry
from eval.metrics.appearance import Colours
from eval.metrics.occupancy import Mesh
from viewmask.errors import ViewmaskError
from viewmask.views.conventions import SIZE
from viewmask.views.viewset import Picture, composite

if TYPE_CHECKING:
    from viewmask.learning.lpips import Lpips

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Protocol:
    """A way to measure.

    Attributes:
        name: what `--protocol` calls it.
        source: whose it is and where it stands.
        views: of the orbit, the given one included, unless asked otherwise.
        given: whether the given view is scored too, where a method makes it anew. A method that hands the given
            picture back as it is gets no figure for it.
        size: side in pixels at which pictures are compared.
        colours: an RGBA picture as RGB in [0, 1] on its background, at that size.
        ssim: of two such pictures.
        lpips: the network, on the same pictures.
        meshes: figures of a mesh against the true one, with a seed; None where the source measures none.
        definition: `images` and `meshes` in words, for the report.
    """

    name: str
    source: str
    views: int
    given: bool
    size: int
    colours: Callable[[Picture], Colours]
    ssim: Callable[[Colours, Colours], float]
    lpips: Literal["alex", "vgg"]
    meshes: Callable[[Mesh, Mesh, int], dict[str, float | None]] | None
    definition: dict[str, str]

    def images(self, truths: Sequence[Picture], views: Sequence[Picture], model: Lpips | None = None) -> Figures:
        """Every image metric, a figure a view averaged over the views of one object.

        Args:
            truths, views: RGBA pictures in the same order; a view must have its truth's size.
            model: LPIPS weights; without them `lpips` is None.

        Returns:
            `psnr`, `foreground_psnr`, `ssim`, `silhouette_iou`, `lpips`. Foreground PSNR and silhouette IoU are
            this project's in every protocol: no other one has them, and SSIM alone rewards an empty picture.

        Raises:
            ViewmaskError: numbers or sizes of pictures differ, or there are none.
        """
        if len(truths) != len(views) or not truths:
            raise ViewmaskError(f"{len(views)} views cannot be scored against {len(truths)} true ones")
        pairs = list(zip(truths, views, strict=True))
        own = {"foreground_psnr": appearance.foreground_psnr, "silhouette_iou": appearance.silhouette_iou}
        figures: Figures = {name: float(np.mean([metric(*pair) for pair in pairs])) for name, metric in own.items()}
        true_colours, colours = ([self.colours(picture) for picture in pictures] for pictures in (truths, views))
        theirs = {"psnr": appearance.psnr, "ssim": self.ssim}
        for name, metric in theirs.items():
            figures[name] = float(np.mean([metric(a, b) for a, b in zip(true_colours, colours, strict=True)]))
        distances = appearance.lpips(true_colours, colours, model) if model else None
        figures["lpips"] = float(np.mean(distances)) if distances else None
        return {name: figures[name] for name in appearance.NAMES}


# -- backgrounds and sizes --------------------------------------------------------------------------------


def white_where_empty(picture: Picture) -> Colours:
    """The colours as stored, white only where alpha is exactly 0: soft edges keep the object's full colour."""
    return np.where(picture[..., 3:] == 0, 255, picture[..., :3]).astype(np.float32) / 255


def white_where_empty_512(picture: Picture) -> Colours:
    """The same at 512 x 512 by OpenCV's area rule, which repeats each pixel of a picture of 256 x 256.

    Raises:
        ViewmaskError: 512 is not a multiple of the picture's size.
    """
    height, width = picture.shape[:2]
    if height != width or 512 % height:
        raise ViewmaskError(
            f"the protocol vivid enlarges pictures to 512 x 512, which {width} x {height} do not divide"
        )
    return white_where_empty(picture).repeat(512 // height, axis=0).repeat(512 // width, axis=1)


# -- meshes -----------------------------------------------------------------------------------------------


def _syncdreamer_meshes(truth: Mesh, mesh: Mesh, seed: int) -> dict[str, float | None]:
    points = (geometry.visible_points(m) for m in (truth, mesh))
    return {"chamfer": geometry.point_chamfer(*points), "iou": geometry.grid_iou(truth, mesh)}


def _eschernet_meshes(truth: Mesh, mesh: Mesh, seed: int) -> dict[str, float | None]:
    a, b = (geometry.unit_box(m) for m in (truth, mesh))
    chamfer = geometry.point_chamfer(np.asarray(a.vertices), np.asarray(b.vertices))
    return {"chamfer": chamfer, "iou": geometry.grid_iou(a, b)}


# -- the protocols ----------------------------------------------------------------------------------------

_OURS = (
    "foreground PSNR = PSNR on white over the union of the true and the predicted silhouette; silhouette = alpha > 0.5"
)

VIEWMASK = Protocol(
    name="viewmask",
    source="this project (the paper does not publish its own; SSIM as Wang et al. 2004, LPIPS as Zhang et al. 2018)",
    views=4,
    given=False,
    size=SIZE,
    colours=composite,
    ssim=appearance.gaussian_ssim,
    lpips="alex",
    meshes=geometry.score,
    definition={
        "images": "pictures composited on white by true alpha blending, values in [0, 1]; "
        "PSNR = -10 log10 of the mean squared error over all pixels and channels, at most 58.9 dB, the error "
        "of rounding to 8 bits; "
        f"{_OURS}; SSIM = Gaussian window 11x11, sigma 1.5, data range 1, mean over channels without a border of "
        "5 pixels; LPIPS = AlexNet, version 0.1; the given view is not scored",
        "meshes": geometry.DEFINITION,
    },
)

SYNCDREAMER = Protocol(
    name="syncdreamer",
    source="SyncDreamer (arXiv 2309.03453), eval_nvs.py and eval_mesh.py of liuyuan-pal/SyncDreamer",
    views=16,
    given=True,
    size=SIZE,
    colours=composite,
    ssim=appearance.own_range_ssim,
    lpips="vgg",
    meshes=_syncdreamer_meshes,
    definition={
        "images": "16 views every 22.5 degrees, the given one scored too where the method makes it anew; composited on "
        f"white by true alpha blending; PSNR = mean of the views' dB; {_OURS}; SSIM = torchmetrics without a data "
        "range, which takes the larger of both pictures' own ranges; LPIPS = VGG16, version 0.1",
        "meshes": "the true mesh scaled to longest side 1, centred and turned about the vertical by the object's yaw, "
        "the prediction as it is, no alignment; Chamfer = half the sum of the mean unsquared distances between the "
        "points that 16 depth maps of 256 x 256 see, one a voxel of 0.01; IoU on the 64^3 nodes of [-1, 1]^3, inside "
        "by winding number (the source: by mesh2sdf's sign, which is unreliable on open meshes)",
    },
)

ESCHERNET = Protocol(
    name="eschernet",
    source="EscherNet (CVPR 2024), metrics/eval_2D_NVS.py, eval_3D_GSO.py and metrics.py of kxhit/EscherNet",
    views=4,
    given=False,
    size=SIZE,
    colours=white_where_empty,
    ssim=appearance.uniform_ssim,
    lpips="alex",
    meshes=_eschernet_meshes,
    definition={
        "images": "EscherNet's ruler on this project's orbit (its own: views 10 to 24 of 25 random ones); "
        "white only where alpha is exactly 0, 8-bit; PSNR = OpenCV's on 8-bit pictures; "
        f"{_OURS}; SSIM = scikit-image's defaults on 8-bit pictures (7x7 flat window); LPIPS = AlexNet, version 0.1",
        "meshes": "both meshes scaled and centred to a unit box; Chamfer = half the sum of the mean unsquared "
        "distances between the meshes' vertices alone; IoU on the 64^3 nodes of [-1, 1]^3, inside by winding "
        "number (the source: by mesh2sdf's sign); its turns of single methods are left to whoever exports their meshes",
    },
)

VIVID = Protocol(
    name="vivid",
    source="ViVid-1-to-3 (CVPR 2024), run_evaluation.py and vivid123/metrics of ubc-vision/vivid123",
    views=12,
    given=False,
    size=512,
    colours=white_where_empty_512,
    ssim=appearance.clipped_ssim,
    lpips="vgg",
    meshes=None,
    definition={
        "images": "ViVid's ruler on an orbit of 12 views every 30 degrees (its own 12 start at 15 degrees, on 100 GSO "
        "objects); white only where alpha is exactly 0, at 512 x 512 by area; PSNR = scikit-image's, range 1; "
        f"{_OURS}; SSIM = mip-NeRF's, Gaussian 11x11, sigma 1.5, no border; LPIPS = VGG16, version 0.1",
        "meshes": "none (the source measures optical flow against the truth instead, with a network that is not here)",
    },
)

PROTOCOLS = {protocol.name: protocol for protocol in (VIEWMASK, SYNCDREAMER, ESCHERNET, VIVID)}


def open_protocol(name: str) -> Protocol:
    """A protocol by its name.

    Raises:
        ViewmaskError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise ViewmaskError(f"there is no protocol {name!r}: choose {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
