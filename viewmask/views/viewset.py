"""What a folder of posed views is: pictures with their cameras, the one thing that rooms exchange.

On disk: `000.png`, `001.png` ... (RGBA, straight alpha) and `transforms.json` in nerfstudio's form.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.counting import counted
from viewmask.files.record import json_text
from viewmask.views import transforms
from viewmask.views.camera import Camera
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.lens import undistorted
from viewmask.views.making import KEY, digest
from viewmask.views.picture import (
    MissingPictureError,
    Picture,
    composite,
    mask_of,
    premultiplied,
    read_mask,
    read_picture,
    resize,
    shrunk,
)

__all__ = ["NAMES", "Picture", "View", "ViewSet", "composite", "premultiplied", "read_picture", "resize"]

NAMES = r"transforms\.json|\d+\.png"


class View(NamedTuple):
    """One view: its picture, uint8 RGBA [height, width, 4], and its camera."""

    image: Picture
    camera: Camera

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"<View: {width}x{height}, azimuth {self.camera.azimuth:.0f}°, elevation {self.camera.elevation:.0f}°>"

    def _repr_png_(self) -> bytes:
        """How a notebook shows it."""
        encoded = io.BytesIO()
        Image.fromarray(self.image, "RGBA").save(encoded, "PNG")
        return encoded.getvalue()


@dataclass(repr=False)
class ViewSet:
    """Views of one object. `len(views)`, `views[0]`, `views[1:]` and `for image, camera in views` work.

    Attributes:
        images: a uint8 RGBA picture [height, width, 4] a view, straight alpha. Sizes may differ.
        cameras: a camera a view, of the same size as its picture.
        extra: further keys of transforms.json, kept as they are (`caption`, `captions`, `source` ...).
        notes: what a user should know of how they were read, a line each. They are not saved.
    """

    images: list[Picture]
    cameras: list[Camera]
    extra: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.images) != len(self.cameras):
            raise ViewmaskError(
                f"{counted(len(self.images), 'picture')} cannot have {counted(len(self.cameras), 'camera')}"
            )
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

    @overload
    def __getitem__(self, index: int) -> View: ...
    @overload
    def __getitem__(self, index: slice) -> ViewSet: ...
    def __getitem__(self, index: int | slice) -> View | ViewSet:
        """A view, or a set of some of them."""
        if isinstance(index, slice):
            extra = {name: value for name, value in self.extra.items() if name != KEY}  # a part was not made so
            return ViewSet(self.images[index], self.cameras[index], extra, self.notes)
        return View(self.images[index], self.cameras[index])

    def __iter__(self) -> Iterator[View]:
        return map(View, self.images, self.cameras)

    def __repr__(self) -> str:
        sizes = {f"{image.shape[1]}x{image.shape[0]}" for image in self.images}
        size = f" of {sizes.pop()}" if len(sizes) == 1 else ""
        around = ", ".join(f"{camera.azimuth:.0f}°" for camera in self.cameras[:8]) + (", ..." if len(self) > 8 else "")
        words = [
            f"{counted(len(self), 'view')}{size}",
            *([repr(self.caption)] if self.caption else []),
        ]
        return f"<ViewSet: {', '.join(words)}, azimuths {around or 'none'}>"

    def _repr_html_(self) -> str:
        """How a notebook shows them: side by side, with what people should know."""
        if not self.images:
            return html.escape(repr(self))
        encoded = io.BytesIO()
        self.shrunk(256).sheet().save(encoded, "PNG")
        told = self.extra.get("notes", [])
        lines = [repr(self), *self.notes, *(told if isinstance(told, list) else [])]
        picture = base64.b64encode(encoded.getvalue()).decode()
        words = "<br>".join(html.escape(str(line)) for line in lines)
        return f'<figure><img src="data:image/png;base64,{picture}"><figcaption>{words}</figcaption></figure>'

    def digest(self) -> str:
        """Names the views by their pixels and cameras."""
        parts = [digest(image) for image in self.images]
        parts += [json_text(camera.to_frame()) for camera in self.cameras]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

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
            (temporary / TRANSFORMS).write_bytes(json_text(record, indent=1).encode())
        return path

    @classmethod
    def load(cls, path: str | Path, largest: int | None = None, partial: bool = False) -> ViewSet:
        """Read a folder of posed views (or its transforms.json) in nerfstudio's, Blender's or instant-ngp's form.

        Intrinsics may stand once or in every frame, in any spelling that `transforms.camera_of` knows; pictures may
        lack a suffix in `file_path` (the NeRF-synthetic spelling), may lack alpha, and may have a `mask_path`
        (nerfstudio: black is left out). Poses are taken as they stand: nerfstudio's `applied_transform` has been
        applied already. Lens distortion is undone. Without a transforms.json, transforms_train.json is taken.

        Args:
            largest: shrink pictures whose longer side has more pixels; their cameras follow.
            partial: leave out frames whose picture or mask is not there, with a note.

        Raises:
            ViewmaskError: something is missing or unreadable, a pose is no pose, or a camera is no pinhole.
        """
        file, notes = transforms.find(Path(path))
        views = cls.of_record(
            transforms.read(file),
            lambda name: read_picture(_picture_path(file.parent, name)),
            str(file),
            lambda name: read_mask(_picture_path(file.parent, name)),
            largest=largest,
            partial=partial,
        )
        views.notes = (*notes, *views.notes)
        return views

    @classmethod
    def of_record(
        cls,
        record: Any,
        picture: Callable[[str], Picture],
        path: str = TRANSFORMS,
        mask: Callable[[str], NDArray[np.uint8]] | None = None,
        *,
        largest: int | None = None,
        partial: bool = False,
    ) -> ViewSet:
        """The view set of a parsed transforms.json.

        Args:
            picture: reads the file that a frame names.
            path: of the file, for messages.
            mask: reads a mask, [height, width]; by default as `picture` does.
            largest, partial: see `load`.

        Raises:
            ViewmaskError: a frame is incomplete, or there are none.
        """
        frames = record.get("frames") if isinstance(record, dict) else None
        if not isinstance(frames, list) or not frames:
            raise ViewmaskError(f"{path} lists no frames")
        shared = {key: value for key, value in record.items() if key != "frames"}
        if isinstance(said := shared.get("captions") or [], str):
            shared["captions"] = [said]
        elif not (isinstance(said, list) and all(isinstance(caption, str) for caption in said)):
            raise ViewmaskError(f"the captions of {path} are no list of sentences")
        images, cameras, absent, bent = [], [], list[str](), 0
        for index, frame in enumerate(frames):
            try:
                image = picture(str(frame["file_path"]))
                full = image.shape[1], image.shape[0]
                image = image if largest is None else shrunk(image, largest)
                if frame.get("mask_path"):
                    name = str(frame["mask_path"])
                    image = _masked(image, mask(name) if mask else mask_of(picture(name)))
                camera, lens = transforms.camera_of(frame, shared, *full)
                if full != (image.shape[1], image.shape[0]):
                    camera = camera.resized(image.shape[1], image.shape[0])
                if lens:
                    image, camera = undistorted(image, camera, lens)
                    bent += 1
            except MissingPictureError as error:
                if not partial:
                    raise ViewmaskError(f"{path}: frame {index}: {error}") from error
                absent.append(str(error))
                continue
            except ViewmaskError as error:
                raise ViewmaskError(f"{path}: frame {index}: {error}") from error
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ViewmaskError(f"{path}: frame {index} is incomplete ({error!r})") from error
            images.append(image)
            cameras.append(camera)
        if not images:
            raise ViewmaskError(f"{path}: none of its {len(frames)} pictures is there: {absent[0]}")
        notes = []
        if absent:
            notes.append(f"{len(absent)} of {len(frames)} views left out: {absent[0]}")
        if bent:
            notes.append("the lens distortion of the views was undone")
        extra = {key: value for key, value in shared.items() if key not in transforms.CAMERA_KEYS}
        return cls(images, cameras, extra, tuple(notes))

    def resized(self, size: int) -> ViewSet:
        """The same views at `size` x `size` pixels."""
        images = [resize(image, size) for image in self.images]
        return ViewSet(images, [camera.resized(size, size) for camera in self.cameras], dict(self.extra), self.notes)

    def shrunk(self, largest: int) -> ViewSet:
        """The same views, none with a side of more pixels than `largest`; the very same set if they are so."""
        images = [shrunk(image, largest) for image in self.images]
        if all(small is image for small, image in zip(images, self.images, strict=True)):
            return self
        cameras = [
            camera.resized(image.shape[1], image.shape[0]) for image, camera in zip(images, self.cameras, strict=True)
        ]
        return ViewSet(images, cameras, dict(self.extra), self.notes)

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


def _masked(image: Picture, mask: NDArray[np.uint8]) -> Picture:
    """The picture with alpha 0 where the mask is 0; the mask may be of another size."""
    height, width = image.shape[:2]
    grey = Image.fromarray(mask, "L").resize((width, height), Image.Resampling.BILINEAR)
    return np.dstack([image[..., :3], np.minimum(image[..., 3], np.asarray(grey))])
