"""Shards: view sets packed into WebDataset tars, so that 180,000 objects are not two million files.

A sample's files share the object's name up to the first dot: `chair.000.png` ..., `chair.transforms.json`,
`chair.txt` (the first caption). Folders stand beside the shards until there are enough to fill one.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from viewmask.files import atomic
from viewmask.files.manifest import Manifest
from viewmask.views.conventions import TRANSFORMS

INDEX = "shards.jsonl"


class Shards:
    """The shards of a run: `000000.tar` ..., and `shards.jsonl` with one line a shard that lists its objects.

    A shard counts once its line is written. Only then its folders go. A tar without a line is written again.
    """

    def __init__(self, out: Path, size: int) -> None:
        """Open the shards in `out`, and undo the half step of a killed run.

        Raises:
            ViewmaskError: the disk refuses.
        """
        self._out, self._size = out, size
        self._index = Manifest(out / INDEX)
        self.ids = {name for record in self._index.records.values() for name in record["objects"]}
        self._waiting: list[str] = []
        for file in out.glob("[0-9]*.tar"):
            if file.name not in self._index.records:
                file.unlink()
        for name in self.ids:
            self._remove(name)

    def __contains__(self, name: str) -> bool:
        return name in self.ids

    def add(self, record: dict[str, Any]) -> None:
        """Take an object with its manifest record; the shard is written when it is full."""
        if record["status"] == "ok":
            self._waiting.append(record["id"])
        if len(self._waiting) >= self._size:
            self._write()

    def close(self) -> None:
        """Write the last shard, however small."""
        if self._waiting:
            self._write()
        self._index.close()

    def _write(self) -> None:
        names, self._waiting = self._waiting, []
        file = f"{len(self._index.records):06d}.tar"
        atomic.write_with(self._out / file, lambda temporary: self._pack(temporary, names))
        self._index.append({"id": file, "objects": names})
        self.ids |= set(names)
        for name in names:
            self._remove(name)

    def _pack(self, target: Path, names: list[str]) -> None:
        with tarfile.open(target, "w") as tar:
            for name in names:
                folder = self._out / name
                for file in sorted(folder.iterdir()):
                    _put(tar, f"{key(name)}.{file.name}", file.read_bytes())
                about = json.loads((folder / TRANSFORMS).read_text())
                caption = (about.get("captions") or [about.get("caption", "")])[0]
                _put(tar, f"{key(name)}.txt", str(caption).encode())

    def _remove(self, name: str) -> None:
        if (self._out / name / TRANSFORMS).exists():
            shutil.rmtree(self._out / name, ignore_errors=True)


def key(name: str) -> str:
    """An object's name as a WebDataset key, which ends at the first dot."""
    return name.replace(".", "%2E")


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mode = len(content), 0o644
    tar.addfile(about, io.BytesIO(content))
