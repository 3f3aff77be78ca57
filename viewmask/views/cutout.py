"""Cutting out: ways to tell the object of a photo, from its own alpha to GrabCut, and which of them was taken."""

from __future__ import annotations

import importlib.util
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.views.background import cut_notes, is_cut_out, is_flat, key_background
from viewmask.views.background import cut_out as by_rule
from viewmask.views.picture import Picture, inside, read_mask

CUTOUT = "cutout.png"

_GRABCUT_SIDE = 512  # GrabCut's graph is one of pixels: more take long and tell little
_GRABCUT_ROUNDS = 5
_MARGIN = 0.04  # of a side: what lies nearer to the border is background
_MIDDLE = 0.4  # of half a side: what lies in an ellipse so large is taken for the object at first
_NEAR = 0.35  # the same measure of how fast parts count less, the farther they lie from the middle
_ALIKE = 0.8  # intersection over union of two cuts that mean the same
_INSTALL = "pip install 'viewmask-1-to-3[cutout]'"


@dataclass(frozen=True, eq=False)
class CutOut:
    """A picture with the alpha of its object.

    Attributes:
        picture: uint8 RGBA [height, width, 4].
        how: what told the object, in words.
        notes: what looks as if it went wrong, a line each.
        way: what told the object, by name: `alpha`, `plain`, `grabcut`, `rembg` or `mask`.
    """

    picture: Picture
    how: str
    notes: tuple[str, ...] = ()
    way: str = ""


def cut(picture: Picture, how: str = "auto") -> CutOut:
    """Cut a picture's object out.

    Args:
        picture: uint8 RGBA [height, width, 4].
        how: `alpha`, `plain` (a plain background), `grabcut` (OpenCV; the middle as a first guess), `rembg` (its model
            U2-Net, fetched when it is first used), or a file: a mask of the picture, black is left out, or a model of
            rembg's (`u2net.onnx`), wherever it lies. `auto` takes the first that works: alpha, plain, rembg where its
            model has been fetched already, grabcut. A plain background of a camera's, not of one flat colour, must be
            confirmed: where rembg or GrabCut finds another object, that is taken.

    Raises:
        ViewmaskError: that way tells no object, or needs a package that is not there.
    """
    if not inside(picture[..., 3]).any():
        raise ViewmaskError("the picture shows nothing: it is transparent all over")
    if how == "auto":
        alpha, way = _automatic(picture)
    elif how in WAYS:
        alpha, way = WAYS[how](picture), how
    elif Path(how).suffix.lower() == ".onnx":
        alpha, way = _rembg(picture, Path(how)), "rembg"
    elif Path(how).suffix:
        alpha, way = _masked(picture, how), "mask"
    else:
        raise ViewmaskError(
            f"there is no cut-out {how!r}: choose auto, {', '.join(WAYS)}, or a mask (MASK.png) or "
            "a model of rembg's (u2net.onnx)"
        )
    words = f"the mask {how}" if way == "mask" else _WORDS[way]
    way = "plain" if way == "unsure" else way
    if not inside(alpha).any():
        raise ViewmaskError(f"the picture shows nothing: by {words.split(' (')[0]}, nothing in it stands out")
    own = alpha is picture[..., 3] or np.array_equal(alpha, picture[..., 3])
    result = picture if own else np.concatenate([picture[..., :3], alpha[..., None]], axis=-1)
    return CutOut(result, words, tuple(cut_notes(picture, result)), way)


def _automatic(picture: Picture) -> tuple[NDArray[np.uint8], str]:
    if is_cut_out(picture):
        return picture[..., 3], "alpha"
    try:
        plain = by_rule(picture)[..., 3]
    except ViewmaskError as error:
        if guess := _guess(picture):
            return guess
        raise ViewmaskError(f"the picture cannot be used: {error}; or let GrabCut try: {_INSTALL}") from error
    if is_flat(picture):
        return plain, "plain"
    # A table top and a wall may pass for one background, and then half of them stays.
    try:
        guess = _guess(picture)
    except ViewmaskError:
        guess = None
    if guess is None:
        return plain, "unsure"
    sure, other = inside(plain), inside(guess[0])
    alike = (sure & other).sum() >= _ALIKE * (sure | other).sum()
    return (plain, "plain") if alike or not other.any() else guess


def _guess(picture: Picture) -> tuple[NDArray[np.uint8], str] | None:
    """What the best tool that is here takes for the object, and the tool; None without one."""
    if _has("rembg") and any(model.exists() for model in _rembg_models()):
        return _rembg(picture), "rembg"
    return (_grabcut(picture), "grabcut") if _has("cv2") else None


def _alpha(picture: Picture) -> NDArray[np.uint8]:
    if inside(picture[..., 3]).all():
        raise ViewmaskError("the picture has no transparency: try --cutout auto")
    return np.asarray(picture[..., 3])


def _plain(picture: Picture) -> NDArray[np.uint8]:
    alpha = key_background(picture)
    if alpha is None:
        raise ViewmaskError("the picture has no plain background: its border shows more than one colour")
    return alpha


def _grabcut(picture: Picture) -> NDArray[np.uint8]:
    """Rother et al., "GrabCut", SIGGRAPH 2004, as OpenCV has it."""
    if not _has("cv2"):
        raise ViewmaskError(f"--cutout grabcut needs OpenCV: {_INSTALL}")
    height, width = picture.shape[:2]
    share = min(1.0, _GRABCUT_SIDE / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    if min(size) < 16:
        raise ViewmaskError("the picture is too small for GrabCut")
    small = np.ascontiguousarray(Image.fromarray(picture[..., :3]).resize(size, Image.Resampling.BOX))
    from_middle = _from_middle(size[::-1])
    found = _grown(small, from_middle < _MIDDLE)
    if not found.any():  # what stands behind may have the object's colours: begin with more
        found = _grown(small, np.ones_like(from_middle, bool))
    kept = np.where(_middle_part(found), 255, 0).astype(np.uint8)
    return np.asarray(Image.fromarray(kept, "L").resize((width, height), Image.Resampling.BICUBIC))


def _grown(picture: NDArray[np.uint8], first: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What GrabCut makes of a first guess [height, width] of the object; at the border there is none."""
    import cv2

    low, across = (max(2, round(_MARGIN * side)) for side in first.shape)
    labels = np.full(first.shape, cv2.GC_BGD, np.uint8)
    labels[low:-low, across:-across] = np.where(first, cv2.GC_PR_FGD, cv2.GC_PR_BGD)[low:-low, across:-across]
    cv2.setRNGSeed(0)  # the same picture, the same cut
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(picture[..., ::-1].copy(), labels, None, *models, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    except cv2.error as error:
        raise ViewmaskError("GrabCut finds no object in the picture: give a mask (--cutout MASK.png)") from error
    return np.asarray(labels == cv2.GC_PR_FGD)


def _from_middle(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """How far each pixel lies from the middle, in half sides, [height, width]."""
    y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    return np.asarray(np.hypot(y, x))


def _middle_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected part that has the most pixels in the middle: things behind have the object's colours, too."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if count < 2:
        return mask
    near = np.exp(-0.5 * (_from_middle(mask.shape) / _NEAR) ** 2)
    weights = ndimage.sum_labels(near, labels, np.arange(1, count + 1))
    return np.asarray(labels == int(np.argmax(weights)) + 1)


def _rembg(picture: Picture, model: Path | None = None) -> NDArray[np.uint8]:
    """Qin et al., "U2-Net", Pattern Recognition 2020, as the package rembg runs it. Named, because the package's own
    choice changes, and may be a model that is not free to use."""
    if not _has("rembg"):
        raise ViewmaskError("--cutout rembg needs the package rembg: pip install 'rembg[cpu]'")
    if model is not None and not model.is_file():
        raise ViewmaskError(f"no model at {model}")
    import rembg

    home = os.environ.get("U2NET_HOME")
    try:
        if model is None:
            session = rembg.new_session("u2net")
        else:
            os.environ["U2NET_HOME"] = str(model.absolute().parent)  # it takes no model from elsewhere
            session = rembg.new_session("u2net_custom", model_path=str(model.absolute()))
        mask = rembg.remove(Image.fromarray(picture[..., :3]), session=session, only_mask=True)
    except Exception as error:  # of its network, its checksums, its runtime: all kinds
        reason = textwrap.shorten(str(error), 120, placeholder=" ...")
        advice = "" if model else "; fetch u2net.onnx yourself, and name it (--cutout u2net.onnx)"
        raise ViewmaskError(f"rembg cannot use its model: {reason}{advice}") from error
    finally:
        if home is None:
            os.environ.pop("U2NET_HOME", None)
        else:
            os.environ["U2NET_HOME"] = home
    return np.asarray(mask.convert("L"))


def _rembg_models() -> list[Path]:
    """Where rembg keeps the model that it fetches when it is first used: its releases of today, and older ones."""
    own, data = os.environ.get("U2NET_HOME"), os.environ.get("XDG_DATA_HOME")
    home = own or os.environ.get("REMBG_HOME") or (Path(data, "rembg") if data else "~/.rembg")
    older = own or Path(data or "~", ".u2net")
    return [Path(home).expanduser() / "models" / "u2net" / "u2net.onnx", Path(older).expanduser() / "u2net.onnx"]


def _masked(picture: Picture, path: str) -> NDArray[np.uint8]:
    mask, (height, width) = read_mask(path), picture.shape[:2]
    high, wide = mask.shape
    if abs(wide * height / (high * width) - 1) > 0.02:
        raise ViewmaskError(
            f"the mask {path} is {wide}x{high}, the picture {width}x{height}: they must be of one shape"
        )
    resized = Image.fromarray(mask, "L").resize((width, height), Image.Resampling.BOX)
    return np.minimum(np.asarray(resized), np.where(inside(picture[..., 3]), 255, 0).astype(np.uint8))


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


WAYS: dict[str, Callable[[Picture], NDArray[np.uint8]]] = {
    "alpha": _alpha, "plain": _plain, "grabcut": _grabcut, "rembg": _rembg,
}  # fmt: skip
_WORDS = {
    "alpha": "its transparency",
    "plain": "its plain background",
    "unsure": f"its plain background (look at cutout.png; GrabCut may do better: {_INSTALL})",
    "grabcut": "GrabCut (look at cutout.png; mend it and give it back as --image)",
    "rembg": "rembg",
}
