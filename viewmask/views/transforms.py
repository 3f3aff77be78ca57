"""transforms.json: nerfstudio's, Blender's and instant-ngp's spelling of cameras, read as they are meant or refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.lens import Distortion

Record = Mapping[str, Any]

CAMERA_KEYS = frozenset(
    ["frames", "camera_model", "fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "k3", "k4", "p1", "p2"]
)
"""What a view set keeps as cameras, not as extras."""

_SPLITS = ("train", "val", "test")
_NO_PINHOLES = ("FISHEYE", "EQUIRECTANGULAR", "ORTHO", "OMNI", "VR180", "SPHERICAL", "FOV", "THIN_PRISM", "FULL_OPENCV")
_MATRICES = ("K", "intrinsics", "intrinsic", "intrinsic_matrix", "camera_intrinsics", "camera_matrix")
_SKEWED = 0.02  # how far from right angles the axes of a pose may be
_LARGEST = 10**6  # pixels


def find(path: Path) -> tuple[Path, list[str]]:
    """The file with the cameras at `path`, a folder or the file itself, and what people should know of the choice.

    Raises:
        ViewmaskError: there is none.
    """
    if path.suffix.lower() == ".json":
        return path, []
    if path.is_file():
        raise ViewmaskError(
            f"{path} is a file: name a folder of posed views, pictures with their cameras in {TRANSFORMS}"
        )
    if (path / TRANSFORMS).exists():
        return path / TRANSFORMS, []
    parts = [name for split in _SPLITS if (path / (name := f"transforms_{split}.json")).exists()]
    if parts:
        others = f"; {' and '.join(parts[1:])} left out" if len(parts) > 1 else ""
        return path / parts[0], [f"taking the views of {parts[0]}{others}"]
    if not path.exists():
        raise ViewmaskError(f"no view set in {path}: {TRANSFORMS} is missing, and so is the folder")
    below = sorted(child.parent for child in path.glob(f"*/{TRANSFORMS}"))
    hint = f"; there is one in {below[0]}" if below else ""
    raise ViewmaskError(f"no view set in {path}: {TRANSFORMS} is missing{hint}")


def read(path: Path) -> Any:
    """The parsed file, whatever of UTF-8, UTF-16 and byte order marks it is written in.

    Raises:
        ViewmaskError: it is missing, or no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ViewmaskError(f"no view set in {path.parent}: {path.name} is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ViewmaskError(f"cannot read {path}: {error}") from error


def camera_of(frame: Record, shared: Record, width: int, height: int) -> tuple[Camera, Distortion]:
    """The camera of a frame, for a picture of `width` x `height`, as a pinhole and what its lens does beside.

    A frame's own numbers come before the shared ones. A focal length may stand as `fl_x` or `fl_y`, as an angle
    (`camera_angle_x` in radians, `x_fov` in degrees; `_y` likewise) or in a matrix `K`; one alone holds for both axes.

    Raises:
        ViewmaskError: no focal length, a number that is none, a pose that is none, or no pinhole.
    """
    both = {**shared, **frame}
    _is_pinhole(both)
    wide, high = _size(both, "w", width), _size(both, "h", height)
    if abs(wide * height / (high * width) - 1) > 0.02:
        raise ViewmaskError(
            f"the picture is {width}x{height}, its camera says {wide}x{high}: "
            "use the pictures that the intrinsics were made for (not cropped, not turned)"
        )
    fl_x, fl_y = _focal(frame, shared, wide, high)
    matrix = _matrix(frame) or _matrix(shared)
    cx, cy = (
        number if (number := _number(both, key)) is not None else matrix[place] if matrix else middle
        for key, place, middle in (("cx", 2, wide / 2), ("cy", 3, high / 2))
    )
    camera = Camera(wide, high, fl_x, fl_y, cx, cy, _pose(both))
    lens = Distortion(**{key: _number(both, key) or 0.0 for key in ("k1", "k2", "k3", "k4", "p1", "p2")})
    return (camera if (wide, high) == (width, height) else camera.resized(width, height)), lens


def _is_pinhole(record: Record) -> None:
    model = str(record.get("camera_model", ""))
    if any(word in model.upper() for word in _NO_PINHOLES):
        raise ViewmaskError(f"a camera of the model {model} is no pinhole: undistort the pictures first")
    for key in ("is_fisheye", "fisheye", "is_latlong", "is_equirectangular"):
        if record.get(key) is True or record.get(key) == 1:
            raise ViewmaskError(f"a camera with {key} is no pinhole: undistort the pictures first")
    for key in ("k5", "k6", "ftheta_p1", "ftheta_p0"):
        if _number(record, key):
            raise ViewmaskError(f"a camera with {key} is no pinhole: undistort the pictures first")


def _focal(frame: Record, shared: Record, wide: int, high: int) -> tuple[float, float]:
    """The focal lengths: an axis takes its own, else the other's, from its frame before what is shared."""
    own, common = ([_focal_along(record, axis, side) for axis, side in (("x", wide), ("y", high))]
                   for record in (frame, shared))  # fmt: skip
    found = [next((each for each in (own[i], own[1 - i], common[i], common[1 - i]) if each), 0.0) for i in (0, 1)]
    if not all(found):
        raise ViewmaskError(
            f"it states no focal length: add fl_x (pixels), camera_angle_x (radians) or x_fov (degrees) to {TRANSFORMS}"
        )
    return found[0], found[1]


def _focal_along(record: Record, axis: str, side: int) -> float | None:
    """The focal length in pixels along an axis whose side is so long; None if the record does not say."""
    for key in (f"fl_{axis}", f"f{axis}"):
        focal = _number(record, key)
        if focal is not None:
            if focal <= 0:
                raise ViewmaskError(f"{key} must be more than 0 pixels, not {focal:g}")
            return focal
    matrix = _matrix(record)
    if matrix:
        return matrix["xy".index(axis)]
    for key, half_turn, words in (
        (f"camera_angle_{axis}", math.pi, "radians, below 3.14"),
        (f"{axis}_fov", 180.0, "degrees, below 180"),
        (f"fov_{axis}", 180.0, "degrees, below 180"),
    ):
        angle = _number(record, key)
        if angle is not None:
            if not 0 < angle < half_turn:
                raise ViewmaskError(f"{key} must be an angle in {words}, not {angle:g}")
            return side / 2 / math.tan(angle / half_turn * math.pi / 2)
    return None


def _matrix(record: Record) -> tuple[float, float, float, float] | None:
    """fl_x, fl_y, cx, cy of a matrix of intrinsics, if there is one."""
    for key in _MATRICES:
        if record.get(key) is None or isinstance(record[key], Mapping):
            continue
        try:
            k = np.array(record[key], np.float64)
        except (TypeError, ValueError) as error:
            raise ViewmaskError(f"{key} is no matrix of numbers") from error
        if k.size == 9:
            k = k.reshape(3, 3)
        if k.ndim != 2 or min(k.shape) < 3 or not np.isfinite(k).all() or min(k[0, 0], k[1, 1]) <= 0:
            raise ViewmaskError(
                f"{key} is no 3 x 3 matrix of intrinsics: its numbers must be finite, its focal above 0"
            )
        return float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])
    return None


def _pose(record: Record) -> np.ndarray:
    """The camera-to-world matrix, its rotation of unit length; what cannot be one is refused."""
    if record.get("transform_matrix") is None:
        raise ViewmaskError("it has no transform_matrix: a 4 x 4 camera-to-world matrix")
    try:
        pose = np.array(record["transform_matrix"], dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ViewmaskError("a camera pose must be a 4 x 4 matrix of finite numbers") from error
    if pose.shape == (3, 4):
        pose = np.vstack([pose, [0.0, 0.0, 0.0, 1.0]])
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise ViewmaskError("a camera pose must be a 4 x 4 matrix of finite numbers")
    lengths = np.linalg.norm(pose[:3, :3], axis=0)
    if lengths.min() <= 1e-6 * lengths.max():
        raise ViewmaskError("a camera pose must be invertible: its rotation is singular")
    if np.allclose(lengths, 1, rtol=0, atol=1e-6):
        turned = pose[:3, :3]
    else:  # scaled with the scene: a rotation is not
        turned = pose[:3, :3] / lengths
        pose[:3, :3] = turned
    if np.abs(turned.T @ turned - np.eye(3)).max() > _SKEWED or lengths.max() > (1 + _SKEWED) * lengths.min():
        raise ViewmaskError("the transform_matrix holds no rotation: its axes are not at right angles, or not alike")
    return pose


def _size(record: Record, key: str, default: int) -> int:
    number = _number(record, key)
    if number is None:
        return default
    if not 1 <= number <= _LARGEST:
        raise ViewmaskError(f"the picture's {key} must be 1 pixel or more, not {number:g}")
    return round(number)


def _number(record: Record, key: str) -> float | None:
    """A number of a record; None where it is absent or null.

    Raises:
        ViewmaskError: it is no finite number; the line names it.
    """
    value = record.get(key)
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ViewmaskError(f"{key} is no finite number: {str(value)[:40]}")
    return number
