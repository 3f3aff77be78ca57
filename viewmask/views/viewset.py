"""What a folder of posed views is: pictures with their cameras, the one thing that rooms exchange.

On disk: `000.png`, `001.png` ... (RGBA, straight alpha) and `transforms.json` in nerfstudio's form.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views.camera import Camera
from viewmask.views.conventions import FIELD_OF_VIEW, TRANSFORMS
from viewmask.views.picture import Picture, composite, premultiplied, read_picture, resize

__all__ = ["NAMES", "Picture", "ViewSet", "composite", "premultiplied", "read_picture", "resize"]

NAMES = r"transforms\.json|\d+\.png"


@dataclass
class ViewSet:
    """Views of one object.

    Attributes:
        images: a uint8 RGBA picture [height, width, 4] a view, straight alpha. Sizes may differ.
        cameras: a camera a view, of the same size as its picture.
        extra: further keys of transforms.json, kept as they are (`caption`, `captions`, `source` ...).
    """

    images: list[Picture]
    cameras: list[Camera]
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.images) != len(self.cameras):
            raise ViewmaskError(f"{len(self.images)} pictures do not match {len(self.cameras)} cameras")
        for index, (image, camera) in enumerate(zip(self.images, self.cameras, strict=True)):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 4:
                raise ViewmaskError(f"view {index}: a picture must be uint8 RGBA, not {image.dtype} {image.shape}")
            if image.shape[:2] != (camera.height, camera.width):
                raise ViewmaskError(
                    f"view {index}: the picture is {image.shape[1]}x{image.shape[0]}, "
                    f"its camera says {camera.width}x{camera.height}"
                )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def caption(self) -> str:
        """The first caption, or an empty string."""
        captions = self.extra.get("captions") or [self.extra.get("caption", "")]
        return str(captions[0])

    def save(self, path: str | Path, force: bool = False) -> Path:
        """Write the folder atomically; replaces an earlier view set of the same name.

        Raises:
            ViewmaskError: `path` holds something else, or the disk refuses.
        """
        path = Path(path)
        with atomic.folder(path, ours=NAMES, force=force) as temporary:
            frames = []
            for index, (image, camera) in enumerate(zip(self.images, self.cameras, strict=True)):
                name = f"{index:03d}.png"
                Image.fromarray(image, "RGBA").save(temporary / name, compress_level=4)
                frames.append({"file_path": name} | camera.to_frame())
            shared = {}
            for key in ("fl_x", "fl_y", "cx", "cy", "w", "h"):
                values = {frame[key] for frame in frames}
                if len(values) == 1:
                    shared[key] = values.pop()
                    for frame in frames:
                        del frame[key]
            record = {"camera_model": "OPENCV"} | shared | self.extra | {"frames": frames}
            (temporary / TRANSFORMS).write_text(json.dumps(record, indent=1, ensure_ascii=False))
        return path

    @classmethod
    def load(cls, path: str | Path) -> ViewSet:
        """Read a folder of posed views (or its transforms.json) in nerfstudio's form.

        Intrinsics may stand once or in every frame, as `fl_x` or as `camera_angle_x` (and `_y`); pictures may lack a
        suffix in `file_path` (the NeRF-synthetic spelling), may lack alpha, and may have a `mask_path` (nerfstudio:
        black is left out). Poses are taken as they stand: nerfstudio's `applied_transform` has been applied already.
        Lens distortion is not undone.

        Raises:
            ViewmaskError: something is missing or unreadable, a pose is no pose, or a camera is no pinhole.
        """
        path = Path(path)
        if path.name != TRANSFORMS:
            path = path / TRANSFORMS
        try:
            record = json.loads(path.read_text())
        except FileNotFoundError as error:
            raise ViewmaskError(f"no view set in {path.parent}: {TRANSFORMS} is missing") from error
        except (OSError, ValueError) as error:
            raise ViewmaskError(f"cannot read {path}: {error}") from error
        return cls.of_record(record, lambda name: read_picture(_picture_path(path.parent, name)), str(path))

    @classmethod
    def of_record(cls, record: Any, picture: Callable[[str], Picture], path: str = TRANSFORMS) -> ViewSet:
        """The view set of a parsed transforms.json; `picture` reads the file that a frame names.

        Raises:
            ViewmaskError: a frame is incomplete, or there are none.
        """
        frames = record.get("frames") if isinstance(record, dict) else None
        if not isinstance(frames, list) or not frames:
            raise ViewmaskError(f"{path} lists no frames")
        images, cameras = [], []
        for index, frame in enumerate(frames):
            try:
                image = picture(str(frame["file_path"]))
                if frame.get("mask_path"):
                    image = _masked(image, picture(str(frame["mask_path"])))
                cameras.append(_camera(record | frame, image))
            except ViewmaskError as error:
                raise ViewmaskError(f"{path}: frame {index}: {error}") from error
            except (KeyError, TypeError, ValueError) as error:
                raise ViewmaskError(f"{path}: frame {index} is incomplete ({error!r})") from error
            images.append(image)
        camera_keys = {"frames", "camera_model", "fl_x", "fl_y", "cx", "cy", "w", "h"}
        return cls(images, cameras, {key: value for key, value in record.items() if key not in camera_keys})

    def resized(self, size: int) -> ViewSet:
        """The same views at `size` x `size` pixels."""
        images = [resize(image, size) for image in self.images]
        return ViewSet(images, [camera.resized(size, size) for camera in self.cameras], dict(self.extra))

    def sheet(self, columns: int | None = None) -> Image.Image:
        """All views on white, side by side, as one picture for looking at."""
        columns = columns or min(len(self), 8)
        width = max(image.shape[1] for image in self.images)
        height = max(image.shape[0] for image in self.images)
        rows = -(-len(self) // columns)
        sheet = Image.new("RGB", (columns * width, rows * height), "white")
        for index, image in enumerate(self.images):
            tile = Image.fromarray(image, "RGBA")
            sheet.paste(tile, (index % columns * width, index // columns * height), tile)
        return sheet


def _picture_path(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.exists():
        path = folder / name.replace("\\", "/")  # written on Windows
    if not path.suffix or not path.exists():
        for suffix in (".png", ".webp", ".jpg", ".jpeg", ".PNG", ".JPG"):
            if path.with_name(path.name + suffix).exists():
                return path.with_name(path.name + suffix)
    return path


def _masked(image: Picture, mask: Picture) -> Picture:
    """The picture with alpha 0 where the mask is black; the mask may be of another size."""
    height, width = image.shape[:2]
    grey = Image.fromarray(mask[..., :3], "RGB").convert("L").resize((width, height), Image.Resampling.BILINEAR)
    return np.dstack([image[..., :3], np.minimum(image[..., 3], np.asarray(grey))])


def _camera(frame: dict[str, Any], image: Picture) -> Camera:
    height, width = image.shape[:2]

    def number(key: str, default: float) -> float:
        return float(frame.get(key, default))

    model = str(frame.get("camera_model", "OPENCV"))
    if any(word in model.upper() for word in ("FISHEYE", "EQUIRECTANGULAR", "ORTHO")):
        raise ViewmaskError(f"a camera of the model {model} is no pinhole: undistort the pictures first")
    stated_width, stated_height = int(number("w", width)), int(number("h", height))
    if min(stated_width, stated_height) < 1 or abs(stated_width * height / (stated_height * width) - 1) > 0.02:
        raise ViewmaskError(
            f"the picture is {width}x{height}, its camera says {stated_width}x{stated_height}: "
            "use the pictures that the intrinsics were made for (not cropped, not turned)"
        )
    pose = np.array(frame["transform_matrix"], dtype=np.float64)
    angle = number("camera_angle_x", float(np.radians(FIELD_OF_VIEW)))
    fl_x = number("fl_x", stated_width / 2 / float(np.tan(angle / 2)))
    fl_y = stated_height / 2 / float(np.tan(number("camera_angle_y", 0) / 2)) if "camera_angle_y" in frame else fl_x
    camera = Camera(
        stated_width,
        stated_height,
        fl_x,
        number("fl_y", fl_y),
        number("cx", stated_width / 2),
        number("cy", stated_height / 2),
        pose,
    )
    return camera if (stated_width, stated_height) == (width, height) else camera.resized(width, height)
