"""Tokens of many objects in one Parquet file, a row an object (and variant).

Columns: id, split, captions, azimuths, tokens (int32, [views, grid, grid] flattened), variant, and of photos their
tokens and the views that look from the same azimuth; the file's metadata holds the grid and the hash of the encoder, so
that tokens of another are refused.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.learning.checkpoint import fingerprint
from viewmask.model import colour
from viewmask.model.captions import thing
from viewmask.model.tokenizer import Tokenizer, pack
from viewmask.train import photo
from viewmask.views import collection
from viewmask.views.viewset import Picture, ViewSet, resize

Progress = Callable[[int, int], None]

META = b"viewmask"
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "split": pa.string(),
        "variant": pa.string(),
        "captions": pa.list_(pa.string()),
        "azimuths": pa.list_(pa.float32()),
        "tokens": pa.list_(pa.int32()),
        "photos": pa.list_(pa.int32()),
        "photo_views": pa.list_(pa.int32()),
    }
)


@dataclass(frozen=True)
class Tokens:
    """Tokens read from one or more files.

    Attributes:
        ids: name of each row's object.
        sources: number of the file that each row came from, int [rows].
        captions: captions of each row; empty where none fits.
        azimuths: degrees, float32 [rows, views].
        tokens: int32 [rows, views, grid, grid].
        photos: tokens of reference views of photos, int32 [photos, grid, grid].
        photo_rows: the row that each photo belongs to, ascending, int64 [photos].
        photo_views: the view of that row that looks from the photo's azimuth, int64 [photos].
    """

    ids: list[str]
    sources: NDArray[np.int64]
    captions: list[list[str]]
    azimuths: NDArray[np.float32]
    tokens: NDArray[np.int32]
    photos: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 1, 1), np.int32))
    photo_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    photo_views: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


def fronts(tokens: Tokens) -> NDArray[np.int64]:
    """The rows of captioned objects whose first view is their front, from which sentences are learnt."""
    captioned = np.array([bool(captions) for captions in tokens.captions])
    return np.flatnonzero(captioned & (np.abs(tokens.azimuths[:, 0]) < 1e-3))


def by_thing(tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chance of each captioned row where sentences are learnt, summed up: a thing counts as the root of its objects, so
    that what is there once or twice is not drowned by eighty tables."""
    ids = [tokens.ids[row] for row in rows]
    named = {one: thing(tokens.captions[row][0]) for one, row in zip(ids, rows, strict=True)}
    variants, objects = Counter(ids), Counter(named.values())
    weights = np.array([objects[named[one]] ** -0.5 / variants[one] for one in ids])
    return np.asarray(weights.cumsum() / weights.sum())


def tokenize(
    folders: Sequence[str | Path],
    out: Path,
    tokenizer: Tokenizer,
    augment: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
    photos: Sequence[str | Path] = (),
    note: Callable[[str], None] = lambda line: None,
) -> Path:
    """Encode all view sets below `folders` into one Parquet file.

    Args:
        folders: folders of view sets, or shards; see `collection.find`.
        out: the Parquet file.
        tokenizer: in evaluation mode.
        augment: further variants of each object of the train split: mirrored (the orbit reversed), and
            with colour channels exchanged (colour words in the captions follow).
        seed: of the variants.
        progress: called with objects done and objects.
        photos: folders of photos of the same objects (`viewmask render --photos`, otherwise rendered alike).
        note: called with what people should know, a line each.

    Raises:
        ViewmaskError: no view sets, views of different numbers, or photos of other objects.
    """
    places = collection.find(folders)
    albums = {Path(place).name: Path(place) for place in collection.find(photos)} if photos else {}
    rows: list[dict[str, Any]] = []
    bare = refused = 0  # objects without photos, photos that use would refuse

    def encode(pictures: list[Picture]) -> NDArray[np.int32]:
        if not pictures:
            return np.zeros(0, np.int32)
        images = np.stack([resize(picture, tokenizer.config.size) for picture in pictures])
        with torch.inference_mode():
            codes = tokenizer.encode(pack(images, tokenizer.config.channels))
        return np.asarray(codes.to(torch.int32).numpy())

    objects = ((begun, views) for begun, place in enumerate(places, start=1) for views in collection.read([place]))
    for index, (begun, views) in enumerate(objects):
        random = np.random.default_rng([seed, index])
        split = str(views.extra.get("split", "train"))
        variants = [Variant(views), *(_variants(views, augment, random) if split == "train" else ())]
        album = _album(albums, views)
        bare += bool(albums) and not album
        codes = encode([image for variant in variants for image in variant.views.images])
        for variant, part in zip(variants, np.split(codes, len(variants)), strict=True):
            extra, (references, lost) = variant.views.extra, variant.references(album, random)
            refused += lost
            rows.append(
                {
                    "id": str(views.extra["id"]),
                    "split": split,
                    "variant": str(extra.get("variant", "")),
                    "captions": list(extra.get("captions") or [c for c in [variant.views.caption] if c]),
                    "azimuths": [camera.azimuth for camera in variant.views.cameras],
                    "tokens": part.ravel(),
                    "photos": encode([picture for picture, _ in references]).ravel(),
                    "photo_views": [view for _, view in references],
                }
            )
        if progress:
            progress(index + 1, (index + 1) * len(places) // begun)  # how much a shard holds is seen at its end
    if bare:
        note(f"{bare} of {index + 1} objects have no photos in {', '.join(map(str, photos))}")
    if refused:
        note(f"left out {refused} photos that generate would refuse, too: they show nothing, or thin fragments")
    about = {"tokenizer": fingerprint(tokenizer.encoder), "grid": tokenizer.config.grid}
    table = pa.Table.from_pylist(rows, SCHEMA.with_metadata({META: json.dumps(about).encode()}))
    return atomic.write_with(out, lambda temporary: pq.write_table(table, temporary, compression="zstd"))


def read(paths: list[Path], tokenizer: str, split: str | None = None) -> Tokens:
    """Read token files.

    Args:
        paths: Parquet files made by `tokenize`.
        tokenizer: fingerprint of the encoder that must have made them (a decoder may improve without new tokens).
        split: keep only the rows of this split.

    Raises:
        ViewmaskError: unreadable, made by another tokenizer, of another shape, or nothing left.
    """
    ids: list[str] = []
    captions: list[list[str]] = []
    sources, azimuths, tokens, photos, photo_rows, photo_views = [], [], [], [], [], []
    for number, path in enumerate(paths):
        try:
            table = pq.read_table(path)
            about = json.loads(table.schema.metadata[META])
        except FileNotFoundError as error:
            raise ViewmaskError(f"no tokens at {path}: make them with viewmask tokenize DIR --out {path}") from error
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ViewmaskError(f"{path} is not a token file of viewmask: {reason}") from error
        if about["tokenizer"] != tokenizer:
            raise ViewmaskError(
                f"{path} was made by the tokenizer {about['tokenizer']}, this model reads {tokenizer}: tokenize again"
            )
        if split is not None:
            table = table.filter(pa.compute.equal(table["split"], split))
        grid = int(about["grid"])
        if "photos" in table.column_names:
            counts = np.array([len(each or ()) for each in table["photo_views"].to_pylist()], dtype=np.int64)
            numbers = _flat(table["photos"])
            if len(numbers) != counts.sum() * grid**2:
                raise ViewmaskError(f"{path} is damaged: its photos are not of {grid} x {grid} tokens")
            photos.append(numbers.reshape(-1, grid, grid).astype(np.int32))
            photo_rows.append(len(ids) + np.repeat(np.arange(len(table)), counts))
            photo_views.append(_flat(table["photo_views"]).astype(np.int64))
        ids += table["id"].to_pylist()
        captions += table["captions"].to_pylist()
        sources.append(np.full(len(table), number))
        if len(table):
            azimuths.append(np.array(table["azimuths"].to_pylist(), dtype=np.float32))
            flat = table["tokens"].combine_chunks().values.to_numpy()
            tokens.append(flat.reshape(len(table), -1, grid, grid))
    if not ids:
        raise ViewmaskError(f"no tokens of the split '{split}' in {', '.join(map(str, paths))}")
    if len({part.shape[1] for part in tokens}) > 1:
        raise ViewmaskError("all token files must hold the same number of views an object")
    grid = tokens[0].shape[-1]
    return Tokens(
        ids, np.concatenate(sources), captions, np.concatenate(azimuths), np.concatenate(tokens),
        np.concatenate([np.zeros((0, grid, grid), np.int32), *photos]),
        np.concatenate([np.zeros(0, np.int64), *photo_rows]),
        np.concatenate([np.zeros(0, np.int64), *photo_views]),
    )  # fmt: skip


def _flat(column: pa.ChunkedArray) -> NDArray[Any]:
    """All numbers of a column of lists, one after the other."""
    return np.asarray(column.combine_chunks().flatten().to_numpy(zero_copy_only=False))


def tokens_of(data: Sequence[str | Path], tokenizer: Tokenizer) -> tuple[Tokens, Tokens | None, dict[str, Any]]:
    """The rows of the split "train" in token files, those of "val" if there are some, and a record of the first.

    Raises:
        ViewmaskError: see `read`.
    """
    files, name = [Path(file) for file in data], fingerprint(tokenizer.encoder)
    rows = read(files, name, "train")
    unseen = read(files, name, "val") if holds(files, "val") else None
    return rows, unseen, {"tokenizer": name, "rows": len(rows.ids), "objects": len(set(rows.ids))}


def holds(paths: list[Path], split: str) -> bool:
    """Whether token files that `read` accepts have rows of a split."""
    return any(split in pq.read_table(path, columns=["split"])["split"].to_pylist() for path in paths)


@dataclass(frozen=True)
class Variant:
    """An object of the training set, perhaps changed.

    Attributes:
        views: its orbit.
        mirrored: every view was flipped, and the orbit reversed.
        channels: the order of its colour channels.
    """

    views: ViewSet
    mirrored: bool = False
    channels: tuple[int, ...] = (0, 1, 2)

    def references(
        self, album: list[tuple[Picture, int]], random: np.random.Generator
    ) -> tuple[list[tuple[Picture, int]], int]:
        """Reference views of photos, changed likewise, each with the view of the orbit that looks from its azimuth.

        The second value counts photos that are no reference views: use refuses such pictures, too.
        """
        changed = self.mirrored or self.channels != (0, 1, 2)
        chosen = (
            sorted(random.permutation(len(album))[: -(-len(album) // 2)].tolist()) if changed else range(len(album))
        )
        references, refused = [], 0
        for picture, view in (album[index] for index in chosen):
            if self.mirrored:
                picture, view = np.ascontiguousarray(picture[:, ::-1]), -view % len(self.views)
            picture = np.concatenate([picture[..., list(self.channels)], picture[..., 3:]], axis=-1)
            try:
                references.append((photo.reference(picture, random), view))
            except ViewmaskError:
                refused += 1
        return references, refused


def _album(albums: dict[str, Path], views: ViewSet) -> list[tuple[Picture, int]]:
    """An object's photos, each with the view of its orbit that looks from the same azimuth.

    Raises:
        ViewmaskError: they show the object in another form or from other sides.
    """
    name = str(views.extra["id"])
    if name not in albums:
        return []
    photos = ViewSet.load(albums[name])
    step, start = 360.0 / len(views), views.cameras[0].azimuth
    turns = [(camera.azimuth - start) / step for camera in photos.cameras]
    same = np.allclose(photos.extra.get("mesh_to_world", 0), views.extra.get("mesh_to_world", 0), atol=1e-6)
    if not same or any(abs(turn - round(turn)) > 0.02 for turn in turns):
        raise ViewmaskError(
            f"the photos in {albums[name]} are not of the views of {name}: render both with the same --jitter, "
            "--random-start, --seed and --views"
        )
    return [(image, round(turn) % len(views)) for image, turn in zip(photos.images, turns, strict=True)]


def _variants(views: ViewSet, count: int, random: np.random.Generator) -> list[Variant]:
    """`count` augmented copies: the first is the plain mirror image, the others draw their changes."""
    variants = []
    for number in range(count):
        mirrored, channels, changed = number == 0 or random.random() < 0.5, (0, 1, 2), views
        if mirrored:
            changed = mirror(changed)
        if number > 0:
            channels = tuple(random.permutation(3).tolist())
            changed = recolour(changed, channels)
        variants.append(Variant(changed, mirrored, channels))
    return variants


def mirror(views: ViewSet) -> ViewSet:
    """The mirrored object: every view flipped, the orbit the other way round, view 0 still first.

    Exact for orbits, whose cameras then stand where they stood.
    """
    order = [0, *range(len(views) - 1, 0, -1)]
    images: list[Picture] = [np.ascontiguousarray(views.images[index][:, ::-1]) for index in order]
    return ViewSet(images, views.cameras, views.extra | {"variant": views.extra.get("variant", "") + "mirror "})


def recolour(views: ViewSet, channels: tuple[int, ...]) -> ViewSet:
    """The object with its colour channels exchanged; captions follow, or go where they cannot."""
    images = [np.concatenate([image[..., list(channels)], image[..., 3:]], axis=-1) for image in views.images]
    captions = [views.caption] if "captions" not in views.extra else list(views.extra["captions"])
    if channels != (0, 1, 2):
        captions = [c for c in (colour.exchange(caption, channels) for caption in captions) if c is not None]
    variant = views.extra.get("variant", "") + "channels " + "".join(map(str, channels)) + " "
    extra = {key: value for key, value in views.extra.items() if key != "caption"}
    return ViewSet(images, views.cameras, extra | {"captions": captions, "variant": variant})
