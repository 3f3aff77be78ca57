"""Status: how far a run is, read from its folder alone, whether it is running, finished or killed."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from render.run import MANIFEST, RUN
from viewmask.errors import ViewmaskError
from viewmask.files.lock import take_lock


@dataclass(frozen=True)
class Status:
    """A run's state.

    Attributes:
        objects: in all, as the newest run counted them.
        done: rendered.
        failed: number by reason; names and figures in a reason are "…".
        left: neither done nor failed.
        running: whether a process holds the folder.
        rate: objects an hour of the newest run, failed ones included; 0 before the first.
        seconds_left: None where the rate is 0.
        bytes: of the rendered objects on disk.
        others: view sets in the folder that were rendered with other settings than the newest run's.
    """

    objects: int
    done: int
    failed: dict[str, int]
    left: int
    running: bool
    rate: float
    seconds_left: float | None
    bytes: int
    others: int

    @classmethod
    def read(cls, out: str | Path) -> Status:
        """The state of the run in `out`.

        Raises:
            ViewmaskError: no run was ever begun there.
        """
        out = Path(out)
        try:
            run = json.loads((out / RUN).read_text())
            with (out / MANIFEST).open("rb") as file:
                lines = file.read().splitlines()
                running = not take_lock(file.fileno())
        except FileNotFoundError as error:
            what = f"no run of viewmask render in {out}" if out.is_dir() else f"there is no folder {out}"
            raise ViewmaskError(f"{what}: give the folder that --out named") from error
        except (OSError, ValueError) as error:
            raise ViewmaskError(f"cannot read the run in {out} ({error}): run the same render again") from error
        records = {}
        for line in lines:
            try:
                record = json.loads(line)
                records[record["id"]] = record
            except (ValueError, KeyError, TypeError):
                break  # a line being written
        current = [record for record in records.values() if record.get("settings") == run["digest"]]
        good = [record for record in current if record["status"] == "ok"]
        failed = Counter(_kind(record) for record in current if record["status"] != "ok")
        fresh = [record.get("at", 0.0) for record in current if record.get("at", 0.0) >= run["begun"]]
        until = time.time() if running else max(fresh, default=run["begun"])
        rate = 3600 * len(fresh) / max(until - run["begun"], 1e-3) if fresh else 0.0
        left = max(0, run["objects"] - len(current))
        seconds = 3600 * left / rate if rate else None
        size = sum(record.get("bytes", 0) for record in good)
        others = sum(
            record["status"] == "ok" and record.get("settings") != run["digest"] and (out / name).is_dir()
            for name, record in records.items()
        )
        return cls(run["objects"], len(good), dict(failed.most_common()), left, running, rate, seconds, size, others)


def _kind(record: dict[str, str]) -> str:
    """A failure's reason without what belongs to the one object: its name, paths and figures."""
    reason = record.get("reason", "").replace(record["id"], "…")
    return re.sub(r"\S*[/\\…]\S*|\b\d[\d.,]*", "…", reason)[:120]
