"""`python -m viewmask`: the command line."""

import sys
from pathlib import Path

# Python puts the folder one stands in first: a `render/` or `eval.py` there would be taken for ours.
if not sys.flags.safe_path and sys.path and Path(sys.path[0]).resolve() != Path(__file__).resolve().parents[1]:
    del sys.path[0]

from viewmask_cli.main import run

if __name__ == "__main__":
    run()
