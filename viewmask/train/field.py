"""Training the field of `recon`: objects packed once, the task (batches and their loss), a score on `val`.

The data is views with points that know the inside (`viewmask render --passes points`). Each batch is a pure function
of its random generator. It varies what the network must forgive: any number of views in any place of the orbit,
mirrored objects, silhouettes too thick or too thin by a pixel or two, other colours (tinted, channels exchanged).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from recon.field import Field, FieldConfig, Inputs, Views, best_level, collate, inputs, upright
from recon.silhouette import signed_distance
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.array import ArrayFile, Joined, mapped
from viewmask.learning.schedule import Schedule
from viewmask.learning.task import Figures
from viewmask.train.run import Run
from viewmask.views.camera import Camera
from viewmask.views.collection import stamp
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.viewset import ViewSet

FILE = "passes.npz"  # as `viewmask render` calls it
SPLITS = ("train", "val")  # to learn from, and to choose the best weights by
SCHEDULE = Schedule(steps=20_000, batch=4, rate=2e-3, muon=6e-3, warmup=40, decay=0.02, average=0.998)

SIZE = 128
VIEWS = 8  # at most, of an object
NEAR, EVEN = 6_000, 10_000  # points kept near the surface and evenly in the box
_SMALL = ("names", "counts", "bare")  # columns that are kept in memory
_STEP = 8  # steps of a pixel in which silhouette distances are kept
_MARGIN = 0.02  # points so far outside the hull are kept too


def train(data: Sequence[str | Path], run: Run) -> Path:
    """Train the field on view sets with points; the weights that are best on the split `val` are kept.

    Args:
        data: folders of view sets (`viewmask render --passes points`), packed first where they are not (see `pack`).
        run: where it goes, what it starts from, how long it takes. There is one preset.

    Raises:
        ViewmaskError: a split without objects, nothing to resume, weights of another size.
    """
    objects, unseen = (Objects.load(pack(data, packs(run.out, split), split)) for split in SPLITS)
    field = placed(Field(FieldConfig()), run.device)
    schedule = run.begin(field, run.schedule(SCHEDULE), "recon")
    about = {"stage": "recon", "objects": len(objects)}
    judge = partial(score, objects=unseen, device=run.device)
    return run.train(field, Occupancy(objects, run.device), schedule, about, validation=judge, keep_best=True)


def placed(field: Field, device: torch.device) -> Field:
    """The field on a device, its channels in the order that is a fifth faster on CPUs."""
    for layer in field.to(device).modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        elif isinstance(layer, torch.nn.Conv3d | torch.nn.ConvTranspose3d):
            layer.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return field


@dataclass
class Objects:
    """Packed objects.

    Attributes:
        names: their ids.
        pictures: uint8 [objects, views, SIZE, SIZE, 4], straight alpha; mapped into memory, as all but names, counts
            and bare are.
        distances: int8 [objects, views, SIZE, SIZE], eighths of a pixel, positive inside.
        poses: float32 [objects, views, 4, 4], camera to world.
        lenses: float32 [objects, views, 4]: fl_x, fl_y, cx, cy in pixels of SIZE.
        counts: how many of the views there are; the rest of VIEWS repeats them.
        points: float16 [objects, NEAR + EVEN, 3].
        inside: bool [objects, NEAR + EVEN].
        colours: uint8 [objects, NEAR, 3].
        bare: bool [objects]: whether the views show base colours, without light.
    """

    names: NDArray[np.str_]
    pictures: NDArray[np.uint8] | Joined
    distances: NDArray[np.int8] | Joined
    poses: NDArray[np.float32] | Joined
    lenses: NDArray[np.float32] | Joined
    counts: NDArray[np.int32]
    points: NDArray[np.float16] | Joined
    inside: NDArray[np.bool_] | Joined
    colours: NDArray[np.uint8] | Joined
    bare: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def load(cls, packs: Sequence[Path]) -> Objects:
        """The objects of packs, as `pack` names them."""
        arrays: dict[str, Any] = {}
        for name in cls.__dataclass_fields__:
            parts = [mapped(place / f"{name}.npy") for place in packs]
            arrays[name] = np.concatenate(parts) if name in _SMALL else Joined(parts)
        return cls(**arrays)


def packs(out: Path, split: str) -> Path:
    """Where `train` keeps the packed objects of a split: beside its run folder."""
    return out.with_name(f"{out.name}-packed") / split


def pack(
    folders: Sequence[str | Path],
    out: str | Path,
    split: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Pack the objects of a split into `out`, a pack for each folder of view sets. What is packed stays until the views
    change.

    Args:
        folders: of view sets with points (`viewmask render --passes points`), at any depth.
        progress: called with (objects done, of), for each folder anew.

    Returns:
        The packs, for `Objects.load`.

    Raises:
        ViewmaskError: no such object, or none with points inside.
    """
    places = []
    for folder in folders:
        view_sets = _view_sets(folder, split)
        if not view_sets:
            continue
        stamps = [[*stamp(view_set), (view_set / FILE).stat().st_mtime_ns] for view_set in view_sets]
        digest = hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:16]
        place = Path(out) / digest
        if not place.exists():
            with atomic.folder(place, ours=r".*\.npy") as temporary:
                files: dict[str, ArrayFile] = {}
                for done, view_set in enumerate(view_sets):
                    row = _row(view_set)
                    if row["inside"].any():  # sheets hold nothing: there is nothing to learn
                        files = files or {name: ArrayFile(temporary / f"{name}.npy", row[name]) for name in row}
                        for name, file in files.items():
                            file.add(row[name])
                    progress(done + 1, len(view_sets))
                for file in files.values():
                    file.close()
        if any(place.iterdir()):
            places.append(place)
    if not places:
        raise ViewmaskError(
            f"no object of the split '{split}' with points inside it in {', '.join(map(str, folders))}: "
            "render with viewmask render --passes points"
        )
    return places


def _view_sets(folder: str | Path, split: str) -> list[Path]:
    """The view sets of a split below a folder that have points, without what a killed run left half-written."""
    places = sorted(path.parent for path in Path(folder).glob(f"**/{TRANSFORMS}"))
    places = [place for place in places if not place.name.startswith(".")]
    if not places:
        raise ViewmaskError(f"no view set in {folder}")
    places = [place for place in places if (place / FILE).exists()]
    return [place for place in places if _split(place, split) == split]


def _split(folder: Path, default: str) -> Any:
    """The split that a view set names."""
    try:
        record = json.loads((folder / TRANSFORMS).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ViewmaskError(f"cannot read {folder / TRANSFORMS}: {error}") from error
    return record.get("split", default) if isinstance(record, dict) else default


def _points(folder: Path) -> tuple[NDArray[np.float16], NDArray[np.bool_], NDArray[np.uint8]]:
    """Points, which of them are inside, and the colours of the first."""
    file = folder / FILE
    try:
        with np.load(file) as arrays:
            if "points" not in arrays:
                raise ViewmaskError(f"{folder} has no points: render with viewmask render --passes points")
            points, inside, colours = (arrays[name] for name in ("points", "inside", "colours"))
    except (OSError, ValueError, KeyError, EOFError, MemoryError, BadZipFile, zlib.error) as error:
        raise ViewmaskError(f"{file} is damaged or truncated: {' '.join(str(error).split())[:200]}") from error
    shapes = points.shape == (len(inside), 3) and inside.ndim == 1 and colours.shape == (len(inside) // 2, 3)
    if not shapes or inside.dtype != bool or colours.dtype != np.uint8 or not np.isfinite(points).all():
        raise ViewmaskError(f"{file} does not hold points, inside and colours as viewmask render writes them")
    return points, inside, colours


def _row(folder: Path) -> dict[str, NDArray[Any]]:
    """One object's arrays, without points that no silhouette could hold: they teach nothing."""
    views = ViewSet.load(folder).resized(SIZE)
    points, inside, colours = _points(folder)
    count = min(len(views), VIEWS)
    index = np.arange(VIEWS) % count
    distances = [signed_distance(image[..., 3], 127 // _STEP + 2) for image in views.images[:count]]  # what int8 holds
    cones = np.stack([_cone(points, camera, d) for camera, d in zip(views.cameras, distances, strict=False)])
    # Inside the hull of half of the views, or of the other half: what four views may see as full.
    hull = np.maximum(cones[::2].min(0), cones[1::2].min(0)) if count > 1 else cones[0]
    random = np.random.default_rng(0)
    near, even = len(colours), len(points) - len(colours)
    first = _take(np.flatnonzero(hull[:near] > -_MARGIN), near, NEAR, random)
    second = near + _take(np.flatnonzero(hull[near:] > -_MARGIN), even, EVEN, random)
    kept = np.concatenate([first, second])
    lenses = [(c.fl_x, c.fl_y, c.cx, c.cy) for c in (views.cameras[i] for i in index)]
    return {
        "names": np.array(folder.name[:96], dtype="<U96"),
        "pictures": np.stack([views.images[i] for i in index]),
        "distances": np.clip(np.round(np.stack([distances[i] for i in index]) * _STEP), -127, 127).astype(np.int8),
        "poses": np.stack([views.cameras[i].camera_to_world for i in index]).astype(np.float32),
        "lenses": np.array(lenses, dtype=np.float32),
        "counts": np.int32(count),
        "points": points[kept],
        "inside": inside[kept],
        "colours": colours[first],
        "bare": np.bool_(views.extra.get("light", "none") == "none"),
    }


def _cone(points: NDArray[np.float16], camera: Camera, distance: NDArray[np.float32]) -> NDArray[np.float32]:
    from scipy import ndimage

    pixels, depth = camera.project(points.astype(np.float64))
    inside = ndimage.map_coordinates(distance, [pixels[:, 1] - 0.5, pixels[:, 0] - 0.5], order=1, mode="nearest")
    return (inside * depth / camera.fl_x).astype(np.float32)


def _take(good: NDArray[np.int64], total: int, wanted: int, random: np.random.Generator) -> NDArray[np.int64]:
    """`wanted` indices below `total`: the good ones first, filled up with any."""
    good = random.permutation(good)[:wanted]
    return np.concatenate([good, random.integers(total, size=wanted - len(good))])


class Occupancy:
    """The field's training task: which points does the object fill, told from some of its views.

    Args:
        objects: to learn from.
        device: of the model.
        points: of an object in a batch, half of them near its surface.
    """

    def __init__(self, objects: Objects, device: torch.device | str = "cpu", points: int = 2048) -> None:
        self.objects, self.device, self.points = objects, torch.device(device), points

    def loss(self, model: Field, step: int, random: np.random.Generator, batch: int) -> tuple[Tensor, Figures]:
        """Cross entropy inside the hull, a soft IoU, and the colour near the surface."""
        count = int(random.choice([4, 1, 2, 3, 5, 6, 8], p=[0.76, 0.02, 0.04, 0.04, 0.03, 0.03, 0.08]))
        rows = random.choice(len(self.objects), batch, replace=len(self.objects) < batch)
        views, points, inside, colours = self._batch(self.objects, rows, count, random)
        logits, hull, painted = model(views, points)
        near = self.points // 2
        within = (hull > -0.01).float()
        entropy = F.binary_cross_entropy_with_logits(logits, inside, reduction="none")
        entropy = (entropy * within).sum() / within.sum().clamp(min=1)
        full = torch.sigmoid(logits[:, near:]) * (hull[:, near:] > 0)
        both = (full * inside[:, near:]).sum(1)
        jaccard = (both + 1) / (full.sum(1) + inside[:, near:].sum(1) - both + 1)
        coloured = (colours >= 0).all(-1) & (within[:, :near] > 0)
        paint = ((painted[:, :near] - colours).abs().mean(-1) * coloured).sum() / coloured.sum().clamp(min=1)
        loss = entropy + 0.5 * (1 - jaccard.mean()) + 0.5 * paint
        figures = {"entropy": entropy.item(), "iou": jaccard.mean().item(), "colour": paint.item()}
        return loss, figures

    def _batch(
        self, objects: Objects, rows: NDArray[np.integer], count: int, random: np.random.Generator
    ) -> tuple[Views, Tensor, Tensor, Tensor]:
        samples, points, inside, colours = [], [], [], []
        near, even = self.points // 2, self.points - self.points // 2
        for row in rows:
            mirror = bool(random.integers(2))
            # Silhouettes of pictures that a generator made are off by a pixel or two, each in its way.
            thicker = random.normal(0, 0.5, count) if random.random() < 0.5 else np.zeros(count)
            tint, order = np.ones(3), np.arange(3)
            if random.random() < 0.5:
                tint, order = random.uniform(0.8, 1.2, 3) * random.uniform(0.8, 1.2), random.permutation(3)
            picked = _draw_views(int(objects.counts[row]), count, random)
            samples.append(_inputs(objects, row, picked, mirror, thicker, tint, order))
            first = random.integers(NEAR, size=near)
            second = NEAR + random.integers(EVEN, size=even)
            at = np.concatenate([first, second])
            place = objects.points[row][at].astype(np.float32)
            if mirror:
                place[:, 1] *= -1
            points.append(place @ samples[-1].turn)
            inside.append(objects.inside[row][at])
            colour = objects.colours[row][first][:, order].astype(np.float32) / 255 * tint.astype(np.float32)
            colours.append(np.clip(colour, 0, 1) if objects.bare[row] else np.full_like(colour, -1))
        return (
            collate(samples, self.device),
            torch.from_numpy(np.stack(points)).to(self.device),
            torch.from_numpy(np.stack(inside).astype(np.float32)).to(self.device),
            torch.from_numpy(np.stack(colours)).to(self.device),
        )


def _draw_views(there: int, count: int, random: np.random.Generator) -> NDArray[np.integer]:
    """Which views of those there are: mostly an even orbit, and that mostly from a multiple of 90 degrees."""
    if there % count == 0 and random.random() < 0.9:
        start = int(random.integers(there))
        if there == VIEWS and start % 2 and random.random() < 0.6:
            start -= 1
        return (start + np.arange(count) * (there // count)) % there
    return random.choice(there, count, replace=there < count)


def _inputs(
    objects: Objects,
    row: int,
    views: NDArray[np.integer],
    mirror: bool = False,
    thicker: NDArray[np.float64] | float = 0.0,
    tint: NDArray[np.float64] | float = 1.0,
    order: Sequence[int] | NDArray[np.integer] = (0, 1, 2),
) -> Inputs:
    pictures = objects.pictures[row][views].astype(np.float32) / 255
    distances = objects.distances[row][views].astype(np.float32) / _STEP
    poses = objects.poses[row][views].astype(np.float64)
    lenses = objects.lenses[row][views].astype(np.float64)
    if np.any(thicker):
        distances = distances + np.asarray(thicker, np.float32).reshape(-1, 1, 1)
        pictures[..., 3] = np.clip(distances + 0.5, 0, 1)
    if mirror:
        pictures, distances = pictures[:, :, ::-1], distances[:, :, ::-1]
        poses = np.diag([1.0, -1, 1, 1]) @ poses @ np.diag([-1.0, 1, 1, 1])
        lenses[:, 2] = SIZE - lenses[:, 2]
    cameras = [
        Camera(SIZE, SIZE, x, y, cx, cy, pose) for (x, y, cx, cy), pose in zip(lenses.tolist(), poses, strict=True)
    ]
    pictures[..., :3] = np.clip(pictures[..., list(order)] * tint, 0, 1)
    return inputs(pictures, distances, cameras, upright(cameras[0]))


@torch.no_grad()
def score(model: Field, objects: Objects, views: int = 4, limit: int = 48, device: Any = "cpu") -> dict[str, float]:
    """Mean IoU of the field and of the hull, `val_iou` and `val_hull`, by the evenly drawn points.

    Args:
        views: of an object, an even orbit.
        limit: at most so many objects, evenly spread.
    """
    rows = np.unique(np.linspace(0, len(objects) - 1, min(limit, len(objects))).astype(int))
    mine, hulls = [], []
    training = model.training
    model.eval()
    for row in rows:
        there = int(objects.counts[row])
        one = _inputs(objects, row, (np.arange(views) * max(there // views, 1)) % there)
        points = objects.points[row][NEAR:].astype(np.float32) @ one.turn
        logits, hull, _ = model(collate([one], torch.device(device)), torch.from_numpy(points)[None].to(device))
        true = objects.inside[row][NEAR:]
        carved = (hull[0] > 0).cpu().numpy()
        answers = logits[0].cpu().numpy()
        filled = carved & (answers > best_level(answers[carved])[0]) if carved.any() else carved
        mine.append((true & filled).sum() / max((true | filled).sum(), 1))
        hulls.append((true & carved).sum() / max((true | carved).sum(), 1))
    model.train(training)
    return {"val_iou": float(np.mean(mine)), "val_hull": float(np.mean(hulls))}
