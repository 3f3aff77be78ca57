"""What all tests share: where the optional data stands."""

from pathlib import Path

SHARED = Path(__file__).parents[2] / "shared" / "data"
