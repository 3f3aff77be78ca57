"""Tokens of many objects in one Parquet file, a row an object (and variant).

Columns: id, split, captions, azimuths, tokens (int32, [views, grid, grid] flattened), variant, and of photos their
tokens, placed as the views that look from the same azimuth, and these; the file's metadata holds the grid and the hash
of the encoder, so that tokens of another are refused.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.files import array as arrays_on_disk
from viewmask.files import atomic
from viewmask.learning import processes
from viewmask.learning.checkpoint import fingerprint
from viewmask.model import colour
from viewmask.model.captions import thing
from viewmask.model.edit import is_orbit
from viewmask.model.framing import Place
from viewmask.model.tokenizer import Tokenizer, pack
from viewmask.train import photo
from viewmask.train.rows import META, PLACED, TextFile, TokenFile, find, mapped, room
from viewmask.views import collection, pairs
from viewmask.views.viewset import Picture, ViewSet, resize

Progress = Callable[[int, int], None]

HELD = 2**28  # bytes of tokens that are kept in memory; more lie on disk
ABOUT = "about.json"
_ROWS, _PICTURES = 1024, 64  # written, and encoded, at once

T = TypeVar("T")
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

    ids: Sequence[str]
    sources: NDArray[np.int64]
    captions: Sequence[list[str]]
    azimuths: NDArray[np.float32]
    tokens: NDArray[np.int32]
    photos: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 1, 1), np.int32))
    photo_rows: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    photo_views: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """A number for each row's object, eight bytes each, however long names are."""
        digests = (
            int.from_bytes(hashlib.blake2b(each.encode(), digest_size=8).digest(), "little") for each in self.ids
        )
        return np.unique(np.fromiter(digests, np.uint64, len(self.ids)), return_inverse=True)[1]


def captioned(tokens: Tokens) -> NDArray[np.bool_]:
    """Which rows have a caption."""
    return np.fromiter((bool(captions) for captions in tokens.captions), bool, len(tokens.captions))


def fronts(tokens: Tokens) -> NDArray[np.int64]:
    """The rows of captioned objects whose first view is their front, from which sentences are learnt."""
    return np.flatnonzero(captioned(tokens) & (np.abs(tokens.azimuths[:, 0]) < 1e-3))


def by_thing(tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chance of each captioned row where sentences are learnt, summed up: a thing counts as the root of its objects, so
    that what is there once or twice is not drowned by eighty tables."""
    all_ids = tokens.numbers
    ids, wanted = all_ids[rows], np.isin(np.arange(len(all_ids)), rows)
    variants = np.bincount(ids)
    things: dict[str, int] = {}
    named = np.full(len(variants), -1)  # the thing of each object, by the caption of its last row
    for one, here, captions in zip(all_ids, wanted, tokens.captions, strict=True):
        if here:
            named[one] = things.setdefault(thing(captions[0]), len(things))
    objects = np.bincount(named[named >= 0])
    weights = objects[named[ids]].astype(float) ** -0.5 / variants[ids]
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
    bare = refused = done = astray = 0  # objects without photos, photos that use would refuse, objects, no orbits
    first: ViewSet | None = None

    def encode(pictures: list[Picture]) -> NDArray[np.int32]:
        return _codes(tokenizer, [resize(picture, tokenizer.config.size) for picture in pictures])

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal bare, refused, done, astray, first
        objects = ((begun, views) for begun, place in enumerate(places, start=1) for views in collection.read([place]))
        for index, (begun, views) in enumerate(objects):
            first = first or views
            if len(views) != len(first):
                raise ViewmaskError(
                    f"{views.extra['id']} has {len(views)} views, {first.extra['id']} has {len(first)}: a token file "
                    "holds as many of each object"
                )
            astray += not is_orbit(views)
            random = np.random.default_rng([seed, index])
            split = str(views.extra.get("split", "train"))
            variants = [Variant(views), *(_variants(views, augment, random) if split == "train" else ())]
            album = _album(albums, views)
            bare += bool(albums) and not album
            codes = encode([image for variant in variants for image in variant.views.images])
            for variant, part in zip(variants, np.split(codes, len(variants)), strict=True):
                extra, (references, lost) = variant.views.extra, variant.references(album, random)
                refused += lost
                yield {
                    "id": str(views.extra["id"]),
                    "split": split,
                    "variant": str(extra.get("variant", "")),
                    "captions": list(extra.get("captions") or [c for c in [variant.views.caption] if c]),
                    "azimuths": [camera.azimuth for camera in variant.views.cameras],
                    "tokens": part.ravel(),
                    "photos": encode([picture for picture, _ in references]).ravel(),
                    "photo_views": [view for _, view in references],
                }
            done = index + 1
            if progress:
                progress(done, done * len(places) // begun)  # how much a shard holds is seen at its end

    _write(rows(), out, tokenizer)
    if astray:
        note(
            f"{astray} of {done} view sets are no orbits such as the model makes (other elevation, lens or azimuths): "
            "it learns only their azimuths; photos belong behind --photos"
        )
    if bare:
        note(f"{bare} of {done} objects have no photos in {', '.join(map(str, photos))}")
    if refused:
        note(f"left out {refused} photos: they, or the views from their azimuths, show nothing, or thin fragments")
    return out


def tokenize_pairs(
    places: Sequence[str | Path],
    out: Path,
    tokenizer: Tokenizer,
    progress: Progress | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> Path:
    """Encode pictures with a sentence each, for the stage `align`: rows of one view.

    Args:
        places: see `pairs.read`.
        out: the Parquet file.
        tokenizer: in evaluation mode.
        progress: called with pairs done, and 0 for how many there are.
        note: called with what people should know, a line each.

    Raises:
        ViewmaskError: places without pairs, or no picture that can be read.
    """
    lost = done = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal lost, done
        for some in _grouped(pairs.read(places, tokenizer.config.size), _PICTURES):
            kept = [(pair, pair.picture) for pair in some if pair.picture is not None]
            lost += len(some) - len(kept)
            for (pair, _), tokens in zip(kept, _codes(tokenizer, [picture for _, picture in kept]), strict=False):
                yield {
                    "id": pair.name, "split": "train", "variant": "", "captions": [pair.sentence], "azimuths": [0.0],
                    "tokens": tokens.ravel(), "photos": [], "photo_views": [],
                }  # fmt: skip
            done += len(kept)
            if progress:
                progress(done, 0)
        if not done:
            raise ViewmaskError(f"none of {lost} pictures could be read or fetched")

    _write(rows(), out, tokenizer)
    if lost:
        note(f"left out {lost} of {lost + done} pairs: their pictures could not be read or fetched")
    return out


def _codes(tokenizer: Tokenizer, images: list[Picture]) -> NDArray[np.int32]:
    """Tokens of pictures of the tokenizer's size, [pictures, grid, grid]."""
    if not images:
        return np.zeros(0, np.int32)
    with torch.inference_mode():
        codes = tokenizer.encode(pack(np.stack(images), tokenizer.config.channels))
    return np.asarray(codes.to(torch.int32).numpy())


def _write(rows: Iterator[dict[str, Any]], out: Path, tokenizer: Tokenizer) -> Path:
    """Write rows as they come."""
    about = {"tokenizer": fingerprint(tokenizer.encoder), "grid": tokenizer.config.grid, "photos": PLACED}
    schema = SCHEMA.with_metadata({META: json.dumps(about).encode()})

    def write(temporary: Path) -> None:
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for some in _grouped(rows, _ROWS):
                writer.write_table(pa.Table.from_pylist(some, schema))

    return atomic.write_with(out, write)


def _grouped(items: Iterator[T], count: int) -> Iterator[list[T]]:
    while group := list(islice(items, count)):
        yield group


def read(
    paths: Sequence[str | Path],
    tokenizer: str,
    split: str | None = None,
    folder: Path | None = None,
    note: Callable[[str], None] = lambda line: None,
    codes: int = 2**18,
) -> Tokens:
    """Read token files, part by part.

    Args:
        paths: Parquet files made by `tokenize`: paths, folders or URLs; a range in braces stands for its numbers.
        tokenizer: fingerprint of the encoder that must have made them (a decoder may improve without new tokens).
        split: keep only the rows of this split.
        folder: where tokens lie, mapped into memory, that would take more of it than HELD.
        note: called with what people should know, a line each.
        codes: that the tokenizer has.

    Raises:
        ViewmaskError: unreadable, made by another tokenizer, of another shape, or nothing left.
    """
    files = [TokenFile(place) for place in find(paths)]
    for file in files:
        if file.tokenizer != tokenizer:
            raise ViewmaskError(
                f"{file.place} was made by the tokenizer {file.tokenizer}, this model reads {tokenizer}: tokenize again"
            )
    counts = [_counted(file, split) for file in files]
    for file, (_, shown, _) in zip(files, counts, strict=True):
        if shown and not file.placed:
            raise ViewmaskError(
                f"{file.place} holds photos of an earlier version, framed by their edges and not placed: tokenize again"
            )
    rows, photos = (sum(count[index] for count in counts) for index in range(2))
    if not rows:
        raise ViewmaskError(f"no tokens of the split '{split}' in {', '.join(map(str, paths))}")
    shapes = {
        (views, file.grid, file.grid): file.place for file, (_, _, views) in zip(files, counts, strict=True) if views
    }
    if len(shapes) > 1:
        told = " and ".join(f"{place} {views} of {grid} x {grid}" for (views, grid, _), place in shapes.items())
        raise ViewmaskError(f"token files hold different views an object: {told}")
    shape = (rows, *next(iter(shapes)))
    size = 4 * math.prod(shape)
    if folder is None or size <= HELD:
        return _filled(files, split, shape, photos, codes)
    record = {"files": [file.stamp() for file in files], "split": split, "tokenizer": tokenizer}
    with processes.first_before_others():
        if _record(folder) != record:
            note(f"{rows} rows of tokens, {size / 1e9:.1f} GB, are laid out in {folder}")
            with atomic.folder(folder, ours=rf"{ABOUT}|{TextFile.NAME}|.*\.npy") as temporary:
                _filled(files, split, shape, photos, codes, temporary)
                (temporary / ABOUT).write_text(json.dumps(record))
    arrays = {file.stem: arrays_on_disk.mapped(file) for file in folder.glob("*.npy")}
    return Tokens(ids=mapped("id", folder), captions=mapped("captions", folder), **arrays)


def _record(folder: Path) -> Any:
    """What tokens were laid out in a folder, if any were."""
    try:
        return json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError):
        return None


def _counted(file: TokenFile, split: str | None) -> tuple[int, int, int]:
    """Rows, photos, and views of a row, of a split of a file."""
    rows = photos = views = 0
    for table in file.parts(["azimuths", "photo_views"], split):
        if len(table):
            views = len(table["azimuths"][0])
        rows += len(table)
        if "photo_views" in table.column_names:
            photos += len(_flat(table["photo_views"]))
    return rows, photos, views


def _filled(
    files: Sequence[TokenFile],
    split: str | None,
    shape: tuple[int, ...],
    photos: int,
    codes: int,
    folder: Path | None = None,
) -> Tokens:
    """The rows of files in arrays of a shape that was counted before, in memory or in a folder."""
    rows, views, grid, _ = shape

    def array(name: str, shape: tuple[int, ...], kind: Any) -> NDArray[Any]:
        return room(shape, kind, folder / f"{name}.npy" if folder else None)

    tokens, azimuths = array("tokens", shape, np.int32), array("azimuths", (rows, views), np.float32)
    sources, pictures = array("sources", (rows,), np.int64), array("photos", (photos, grid, grid), np.int32)
    photo_rows, photo_views = (array(name, (photos,), np.int64) for name in ("photo_rows", "photo_views"))
    ids: list[str] = []
    captions: list[list[str]] = []
    texts = TextFile(folder, pa.schema([SCHEMA.field("id"), SCHEMA.field("captions")])) if folder else None
    row = photo = 0
    for number, file in enumerate(files):
        for table in file.parts([name for name in SCHEMA.names if name not in ("split", "variant")], split):
            if not len(table):
                continue
            here = slice(row, row + len(table))
            try:
                tokens[here] = _flat(table["tokens"]).reshape(len(table), views, grid, grid)
                azimuths[here] = _flat(table["azimuths"]).reshape(len(table), views)
            except ValueError as error:
                raise file.damaged(f"some of its rows are not of {views} views of {grid} x {grid} tokens") from error
            if not (tokens[here] >= 0).all() or (tokens[here] >= codes).any() or not np.isfinite(azimuths[here]).all():
                raise file.damaged(
                    f"it holds tokens that are none of 0 to {codes - 1}, or azimuths that are no numbers"
                )
            if table["captions"].null_count:
                raise file.damaged("captions are null where no caption is an empty list")
            sources[here] = number
            if texts:
                texts.add(table)
            else:
                ids += table["id"].to_pylist()
                captions += table["captions"].to_pylist()
            if "photos" in table.column_names:
                counts = np.array([len(each or ()) for each in table["photo_views"].to_pylist()], dtype=np.int64)
                flat, these = _flat(table["photos"]), slice(photo, photo + int(counts.sum()))
                if len(flat) != counts.sum() * grid**2:
                    raise ViewmaskError(f"{file.place} is damaged: its photos are not of {grid} x {grid} tokens")
                pictures[these] = flat.reshape(-1, grid, grid)
                photo_rows[these] = row + np.repeat(np.arange(len(table)), counts)
                photo_views[these] = _flat(table["photo_views"])
                photo = these.stop
            row = here.stop
    if texts:
        texts.close()
    return Tokens(ids, sources, captions, azimuths, tokens, pictures, photo_rows, photo_views)


def _flat(column: pa.ChunkedArray) -> NDArray[Any]:
    """All numbers of a column of lists, one after the other."""
    return np.asarray(column.combine_chunks().flatten().to_numpy(zero_copy_only=False))


def tokens_of(
    data: Sequence[str | Path],
    tokenizer: Tokenizer,
    folder: Path | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> tuple[Tokens, Tokens | None, dict[str, Any]]:
    """The rows of the split "train" in token files, those of "val" if there are some, and a record of the first.

    Args:
        folder: where large ones are laid out, see `read`.

    Raises:
        ViewmaskError: see `read`; or files of another grid than the tokenizer's whose name they bear.
    """
    name = fingerprint(tokenizer.encoder)
    places = {split: folder / split if folder else None for split in ("train", "val")}
    codes = 2**tokenizer.config.bits
    rows = read(data, name, "train", places["train"], note, codes)
    if (held := rows.tokens.shape[-1]) != (grid := tokenizer.config.grid):
        raise ViewmaskError(
            f"the tokens name the tokenizer {name}, which makes {grid} x {grid} a view, and hold {held} x {held}: "
            "tokenize again"
        )
    unseen = read(data, name, "val", places["val"], note, codes) if holds(data, "val") else None
    return rows, unseen, {"tokenizer": name, "rows": len(rows.ids), "objects": len(np.unique(rows.numbers))}


def holds(paths: Sequence[str | Path], split: str) -> bool:
    """Whether token files that `read` accepts have rows of a split."""
    return any(len(part) for place in find(paths) for part in TokenFile(place).parts([], split))


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
        """Photos, changed likewise and placed as the views of the orbit that look from their azimuths; and these.

        The second value counts photos that are no reference views, as use refuses such pictures, or have no place.
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
                reference = photo.reference(picture, random)
            except ViewmaskError:
                refused += 1
                continue
            if place := Place.of(self.views.images[view]):
                references.append((place.view(reference), view))
            else:
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
    found = photo.beside(ViewSet.load(albums[name]), views.cameras, views.extra)
    if found is None:
        raise ViewmaskError(
            f"the photos in {albums[name]} are not of the views of {name}: render both with the same --jitter, "
            "--random-start, --seed and --views"
        )
    return found


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
    captions = list(views.extra.get("captions") or [caption for caption in [views.caption] if caption])
    if channels != (0, 1, 2):
        captions = [c for c in (colour.exchange(caption, channels) for caption in captions) if c is not None]
    variant = views.extra.get("variant", "") + "channels " + "".join(map(str, channels)) + " "
    extra = {key: value for key, value in views.extra.items() if key != "caption"}
    return ViewSet(images, views.cameras, extra | {"captions": captions, "variant": variant})
