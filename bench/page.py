"""Runs the benches, and puts what they print into docs/results/speed.md.

    python -m bench.page [NAME ...] [--data DIR] [--minutes 15]

A bench's tables stand between `<!-- bench: NAME -->` and `<!-- end -->`. One that the time does not suffice for leaves
its tables as they are, and is named at the end.
"""

from __future__ import annotations

import argparse
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from viewmask.files import atomic

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/results/speed.md"


def commands(data: Path | None) -> dict[str, list[str]]:
    """The command of every bench that needs no accelerator, by the name that its tables have on the page."""
    found = {
        "start": ["bench/start.py"], "decoding": ["bench/decoding.py", "--draws", "4", "--rounds", "3"],
        "meshes": ["bench/reconstruct.py"], "engines": ["bench/engines.py"], "jobs": ["bench/jobs.py", "--rounds", "2"],
    }  # fmt: skip
    return found if data is None else found | {"metrics": ["bench/metrics.py", "--data", str(data), "--workers", "1"]}


def tables(printed: str) -> str:
    """The Markdown tables in what a bench printed, a blank line between them."""
    blocks = re.findall(r"(?:^\|.*\|[ ]*\n)+", printed + "\n", re.MULTILINE)
    return "\n".join(block for block in blocks)


def filled(page: str, name: str, content: str) -> str:
    """A page with the content of one bench replaced.

    Raises:
        ValueError: the page has no place for it.
    """
    place = re.compile(rf"(<!-- bench: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not place.search(page):
        raise ValueError(f"{PAGE.name} has no place for {name}: <!-- bench: {name} --> ... <!-- end -->")
    return place.sub(lambda found: found[1] + content + found[2], page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="benches, all by default")
    parser.add_argument("--data", type=Path, help="the benchmark's meshes, for metrics")
    parser.add_argument("--minutes", type=float, default=15)
    options = parser.parse_args()
    known = commands(options.data)
    if unknown := set(options.names) - known.keys():
        parser.error(f"no bench {', '.join(sorted(unknown))}: choose from {', '.join(known)} (metrics needs --data)")
    end = time.monotonic() + 60 * options.minutes
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}", file=sys.stderr)
    left = []
    for name in options.names or known:
        try:
            run = subprocess.run(
                [sys.executable, *known[name]], cwd=ROOT, text=True, capture_output=True,
                timeout=max(1, end - time.monotonic()),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            left.append(f"{name}: the time was over")
            continue
        if run.returncode or not tables(run.stdout):
            left.append(
                f"{name}: {run.stderr.strip().splitlines()[-1] if run.stderr.strip() else 'it printed no table'}"
            )
            continue
        atomic.write(PAGE, filled(PAGE.read_text(), name, tables(run.stdout)))
        print(f"{name}: written to {PAGE}")
    if left:
        raise SystemExit("not measured: " + "; ".join(left))


if __name__ == "__main__":
    main()
