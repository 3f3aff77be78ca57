"""What do damaged files do to the commands that read them? Each should succeed, or fail in one line with exit code 2.

python studies/fuzz.py --inputs 1000 [--seed 0] [--kinds glb png ...] [--keep DIR]

Small valid files of every kind are damaged in random ways: cut, bits and digits changed, pieces lost and doubled,
values of JSON exchanged. A command reads each, in a process per kind. The table counts, for each kind: inputs, those
that were refused, tracebacks, wrong exit codes (not 0 or 2, or not one line of error), files left half-written,
inputs that took longer than the limit, crashes of the process, and its peak memory. `--keep` keeps what went wrong.
`tests/test_fuzz.py` draws the same damage for the readers themselves.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `studies` is not installed

SECONDS = 120  # that an input may take
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 7, 1e30, -1e-30, 10**20, float("nan"), float("inf"), "", "x", "../x", "\0", "0", [], {}, [[]],
    [0], {"": 0},
)  # fmt: skip
"""What stands in JSON in place of what should."""


# -- damage -----------------------------------------------------------------------------------------------


def damaged(data: bytes, random: Random) -> bytes:
    """The bytes of a file, damaged in one to three random ways."""
    if random.random() < 0.1:
        return random.randbytes(random.randrange(200))
    for _ in range(random.choice((1, 1, 2, 3))):
        data = random.choice((_cut, _bits, _digits, _digits, _lost, _doubled, _blank, _records, _records))(data, random)
    return data


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _bits(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randrange(1, 9) if data else 0):
        changed[random.randrange(len(data))] = random.randrange(256)
    return bytes(changed)


def _digits(data: bytes, random: Random) -> bytes:
    """Another digit or sign in a few numbers: what stays well formed, and means another thing."""
    places = [place for place, byte in enumerate(data) if chr(byte) in "0123456789"]
    changed = bytearray(data)
    for _ in range(random.randrange(1, 4) if places else 0):
        changed[random.choice(places)] = ord(random.choice("0123456789-e."))
    return bytes(changed)


def _lost(data: bytes, random: Random) -> bytes:
    begin, end = _range(data, random)
    return data[:begin] + data[end:]


def _doubled(data: bytes, random: Random) -> bytes:
    begin, end = _range(data, random)
    return data[:end] + data[begin:]


def _blank(data: bytes, random: Random) -> bytes:
    begin, end = _range(data, random)
    return data[:begin] + bytes([random.choice((0, 255))]) * (end - begin) + data[end:]


def _range(data: bytes, random: Random) -> tuple[int, int]:
    begin = random.randrange(len(data) + 1)
    return begin, min(len(data), begin + random.randrange(1, 64))


def _records(data: bytes, random: Random) -> bytes:
    """A value exchanged in JSON, in a line of JSON Lines, or in a GLB's or safetensors' header; other files stay."""
    begin = data.find(b"{")
    if begin < 0:
        return data
    try:
        value, length = json.JSONDecoder().raw_decode(data[begin:].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return data
    old = data[begin : begin + length]
    if old.decode("utf-8", "replace").encode() != old:
        return data
    new = json.dumps(_exchanged(value, random)).encode()
    if data[:4] == b"glTF" and len(data) >= 20:
        new += b" " * (-len(new) % 4)
        end = begin + int.from_bytes(data[12:16], "little")
        size = (len(data) + len(new) - (end - begin)).to_bytes(4, "little")
        return data[:8] + size + len(new).to_bytes(4, "little") + data[16:20] + new + data[end:]
    if begin == 8:  # safetensors: the length of the header, then the header
        return len(new).to_bytes(8, "little") + new + data[begin + length :]
    return data[:begin] + new + data[begin + length :]


def _exchanged(value: Any, random: Random) -> Any:
    children = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    if not children or random.random() < 0.15:
        return random.choice(VALUES)
    key, child = random.choice(children)
    copy = dict(value) if isinstance(value, dict) else list(value)
    if random.random() < 0.15:
        del copy[key]
    else:
        copy[key] = _exchanged(child, random)
    return copy


# -- kinds of files ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of file that a command reads.

    Attributes:
        file: the one that is damaged, in the folder that `make` fills.
        make: writes a small valid input into a folder.
        read: what reads it, given that folder.
        words: of the command, given that folder and one to write into.
    """

    file: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    words: Callable[[Path, Path], list[object]]


def _mesh(suffix: str) -> Kind:
    def make(folder: Path) -> None:
        _shape().export(folder / f"shape{suffix}")

    def read(folder: Path) -> object:
        from render.surface import Surface

        return Surface.load(folder / f"shape{suffix}")

    return Kind(f"shape{suffix}", make, read, lambda folder, out: _render(folder / f"shape{suffix}", out))


def _shape() -> Any:
    import numpy as np
    import trimesh
    from PIL import Image

    box = trimesh.creation.box((1, 0.5, 0.5))
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    box.visual = trimesh.visual.TextureVisuals(uv=box.vertices[:, :2] + 0.5, image=picture)
    return box


def _render(mesh: Path, out: Path, *more: object) -> list[object]:
    return ["render", mesh, "--out", out / "views", "--views", 1, "--size", 16, "--samples", 1, "--workers", 1, *more]


def _make_views(folder: Path) -> None:
    import numpy as np

    from viewmask.views.camera import orbit
    from viewmask.views.viewset import ViewSet

    pictures = np.zeros((4, 24, 24, 4), np.uint8)
    pictures[:, 6:18, 8:16] = (200, 40, 40, 255)
    ViewSet(list(pictures), orbit(4, size=24), {"caption": "a red box"}).save(folder / "box")


def _read_views(folder: Path) -> object:
    from viewmask.views.viewset import ViewSet

    return ViewSet.load(folder / "box")


def _reconstruct(folder: Path, out: Path) -> list[object]:
    small = ("--faces", 100, "--texture", 64, "--resolution", 16)
    return ["reconstruct", folder / "box", "--method", "hull", "--out", out / "mesh.glb", *small]


def _make_tokenizer(folder: Path) -> None:
    import torch

    from viewmask.learning import checkpoint
    from viewmask.model.tokenizer import Tokenizer, TokenizerConfig

    torch.manual_seed(0)
    config = TokenizerConfig(size=16, bits=4, widths=(4, 4), blocks=(1, 1))
    checkpoint.save(folder / "weights", Tokenizer(config), config, {})
    _make_views(folder)


def _read_tokenizer(folder: Path) -> object:
    from viewmask.learning import checkpoint
    from viewmask.model.tokenizer import Tokenizer, TokenizerConfig

    return checkpoint.load(folder / "weights", Tokenizer, TokenizerConfig)


def _tokenize(folder: Path, out: Path) -> list[object]:
    return ["tokenize", folder / "box", "--tokenizer", folder / "weights", "--out", out / "tokens.parquet"]


@cache
def _shipped_hash() -> str:
    from viewmask.learning import checkpoint
    from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
    from viewmask.model.weights import SHIPPED, TOKENIZER

    return checkpoint.fingerprint(checkpoint.load(SHIPPED / TOKENIZER, Tokenizer, TokenizerConfig)[0].encoder)


def _train(stage: str, data: Path, out: Path) -> list[object]:
    return ["train", stage, "--data", data, "--out", out / "run", "--steps", 1, "--batch", 2]


def _make_tokens(folder: Path, tokenizer: str = "") -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from viewmask.train.tokens import META, SCHEMA

    row = {"split": "train", "variant": "", "captions": ["a red box"], "azimuths": [0.0, 90.0, 180.0, 270.0]}
    grid = 8  # of the shipped tokenizer, whose name stands beside it: whole files are learnt from
    rows = [row | {"id": name, "tokens": np.arange(4 * grid * grid, dtype=np.int32)} for name in ("a", "b")]
    about = json.dumps({"tokenizer": tokenizer or _shipped_hash(), "grid": grid}).encode()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA.with_metadata({META: about})), folder / "tokens.parquet")


def _read_tokens(folder: Path) -> object:
    from viewmask.train.tokens import read

    return read([folder / "tokens.parquet"], "0123456789abcdef", "train")


def _make_index(folder: Path) -> None:
    _shape().export(folder / "shape.glb")
    lines = [{"id": name, "file": "shape.glb", "captions": ["a box"], "split": "train"} for name in ("a", "b")]
    (folder / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _read_index(folder: Path) -> object:
    from render.source import find

    return find([folder / "index.jsonl"])


def _make_manifest(folder: Path) -> None:
    _shape().export(folder / "shape.glb")
    (folder / "views").mkdir()
    lines = [
        {"id": name, "status": "failed", "reason": "no triangles", "settings": "0", "at": 1.5} for name in ("a", "b")
    ]
    (folder / "views" / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _read_manifest(folder: Path) -> object:
    from viewmask.files.manifest import Manifest

    with Manifest(folder / "views" / "manifest.jsonl") as manifest:
        return manifest.records


def _make_points(folder: Path) -> None:
    import numpy as np

    _make_views(folder)
    random = np.random.default_rng(0)
    points = random.uniform(-0.5, 0.5, (40, 3)).astype(np.float16)
    colours = np.zeros((20, 3), np.uint8)
    np.savez_compressed(folder / "box" / "passes.npz", points=points, inside=points[:, 0] > 0, colours=colours)


def _read_points(folder: Path) -> object:
    from viewmask.train.field import pack

    with tempfile.TemporaryDirectory() as packed:
        return pack([folder], packed, "train")


def _make_captions(folder: Path) -> None:
    _shape().export(folder / "shape.glb")
    (folder / "captions.csv").write_text('shape,"a red box, with ""corners"""\nother,a lamp\n')


def _read_captions(folder: Path) -> object:
    from render.catalogue import captioned
    from render.source import find

    return captioned(find([folder / "shape.glb"]), folder / "captions.csv")


KINDS: dict[str, Kind] = {
    **{suffix[1:]: _mesh(suffix) for suffix in (".glb", ".obj", ".ply", ".stl", ".off")},
    "transforms": Kind("box/transforms.json", _make_views, _read_views, _reconstruct),
    "png": Kind("box/001.png", _make_views, _read_views, _reconstruct),
    "parquet": Kind(
        "tokens.parquet", _make_tokens, _read_tokens,
        lambda folder, out: _train("align", folder / "tokens.parquet", out),
    ),
    "safetensors": Kind("weights/model.safetensors", _make_tokenizer, _read_tokenizer, _tokenize),
    "config": Kind("weights/config.json", _make_tokenizer, _read_tokenizer, _tokenize),
    "index": Kind("index.jsonl", _make_index, _read_index, lambda folder, out: _render(folder / "index.jsonl", out)),
    "manifest": Kind(
        "views/manifest.jsonl", _make_manifest, _read_manifest,
        lambda folder, out: _render(folder / "shape.glb", folder),
    ),
    "points": Kind(
        "box/passes.npz", _make_points, _read_points,
        lambda folder, out: _train("recon", folder, out),
    ),
    "captions": Kind(
        "captions.csv", _make_captions, _read_captions,
        lambda folder, out: _render(folder / "shape.glb", out, "--captions", folder / "captions.csv"),
    ),
}  # fmt: skip


# -- running commands -------------------------------------------------------------------------------------


class _TooLong(BaseException):
    """An input took longer than it may."""


def _ring(number: int, frame: FrameType | None) -> None:
    raise _TooLong


def outcome(words: list[object], out: Path) -> tuple[str, str]:
    """What a command came to: "done", "refused", "traceback", "wrong code", "half-written" or "late"; and its words."""
    from viewmask_cli.main import run

    told = io.StringIO()
    signal.signal(signal.SIGALRM, _ring)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
            run([str(word) for word in words])
    except SystemExit as leaving:
        code: object = leaving.code or 0
    except _TooLong:
        return "late", told.getvalue()
    except BaseException as error:
        return "traceback", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    lines = [line for line in told.getvalue().splitlines() if line.startswith("error: ")]
    if (code, len(lines)) not in ((0, 0), (2, 1)):
        return "wrong code", f"{code}: {told.getvalue()}"
    left = [
        file for file in out.rglob("*") if file.name.startswith(".") or (code and file.suffix in (".glb", ".parquet"))
    ]
    if left:
        return "half-written", str(left[0])
    return ("refused", lines[0]) if code else ("done", "")


def _work(name: str, first: int, count: int, seed: int, keep: Path | None, pipe: Connection) -> None:
    """In a process of its own: run the inputs of a kind from number `first` on, and tell each outcome."""
    kind = KINDS[name]
    whole = Path(tempfile.mkdtemp(prefix="viewmask-fuzz-"))
    try:
        kind.make(whole)
        for number in range(first, count):
            with tempfile.TemporaryDirectory(prefix="viewmask-fuzz-") as scratch:
                folder, out = Path(scratch) / "in", Path(scratch) / "out"
                shutil.copytree(whole, folder)
                file = folder / kind.file
                file.write_bytes(damaged(file.read_bytes(), Random(f"{seed}/{name}/{number}")))
                if keep:  # written first: a crash leaves it, too
                    shutil.copyfile(file, keep / f"{name}-{number}{file.suffix}")
                came, said = outcome(kind.words(folder, out), out)
                if keep and came in ("done", "refused"):
                    (keep / f"{name}-{number}{file.suffix}").unlink()
            peak = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
            pipe.send((number, came, said, peak / 2**10))
    finally:
        shutil.rmtree(whole, ignore_errors=True)


def measure(name: str, count: int, seed: int, keep: Path | None) -> tuple[Counter[str], float, list[str]]:
    """Outcomes of a kind, the peak memory in MiB, and what went wrong, a line each."""
    outcomes: Counter[str] = Counter()
    peak, wrong, number = 0.0, [], 0
    context = multiprocessing.get_context("spawn")
    while number < count:
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(name, number, count, seed, keep, theirs))
        process.start()
        theirs.close()
        with contextlib.suppress(EOFError):
            while True:
                number, came, said, memory = ours.recv()
                outcomes[came] += 1
                peak = max(peak, memory)
                if came not in ("done", "refused"):
                    wrong.append(f"{name}-{number} {came}: {' '.join(said.split())[-300:]}")
                    print(wrong[-1], file=sys.stderr, flush=True)
                number += 1
        process.join()
        if number < count:
            outcomes["crash"] += 1
            wrong.append(f"{name}-{number} crash: exit code {process.exitcode}")
            print(wrong[-1], file=sys.stderr, flush=True)
            number += 1
    return outcomes, peak, wrong


COLUMNS = ("refused", "traceback", "wrong code", "half-written", "late", "crash")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="folder for the inputs that went wrong")
    arguments = parser.parse_args()
    if arguments.keep:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    rows, total, most = [], Counter[str](), 0.0
    for place, name in enumerate(arguments.kinds):
        count = len(range(place, arguments.inputs, len(arguments.kinds)))
        outcomes, peak, _ = measure(name, count, arguments.seed, arguments.keep)
        rows.append(_row(name, outcomes, peak))
        print(rows[-1], file=sys.stderr, flush=True)
        total, most = total + outcomes, max(most, peak)
    print(f"| kind | inputs | {' | '.join(COLUMNS)} | peak, MiB |")
    print(f"|---|{'---:|' * (len(COLUMNS) + 2)}")
    print("\n".join([*rows, _row("all", total, most)]))


def _row(name: str, outcomes: Counter[str], peak: float) -> str:
    cells = (outcomes.total(), *(outcomes[column] for column in COLUMNS), round(peak))
    return f"| {name} | {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
