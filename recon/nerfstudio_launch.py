"""Nerfstudio's own commands, started by `recon.nerfstudio` in nerfstudio's environment (nothing of ours is there).

PYTHON nerfstudio_launch.py about | train ... | exporter ...
"""

import importlib
import json
import os
import sys
from typing import Any

# This folder has a `nerfstudio.py`, which is not the one that is meant.
_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [place for place in sys.path if os.path.abspath(place or ".") != _HERE]

os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # checkpoints hold numpy scalars, and are our own

import torch  # noqa: E402


def _declare_operators() -> Any:
    """Torchvision as the index has it is built for CUDA: beside a CPU build of torch it misses two operators."""
    try:
        import torchvision  # noqa: F401

        return None
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")  # lives as long as this object
        for operator in ("nms", "qnms"):
            library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library


# At module level: nerfstudio's data workers run this file again.
_OPERATORS = _declare_operators()


def _without_lpips() -> None:
    """Models load LPIPS's weights from the internet at their start, for an evaluation that never comes."""
    import torchmetrics.image
    import torchmetrics.image.lpip

    class NoLpips(torch.nn.Module):
        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__()

        def forward(self, *_: Any) -> torch.Tensor:
            return torch.tensor(float("nan"))

    for module in (torchmetrics.image.lpip, torchmetrics.image):
        module.LearnedPerceptualImagePatchSimilarity = NoLpips  # type: ignore[attr-defined]


def _with_progress() -> None:
    """Every step of training says its number on a line of its own."""
    from nerfstudio.engine.trainer import Trainer

    step = Trainer.train_iteration

    def numbered(self: Any, number: int) -> Any:
        print(f"\n@step {number}", flush=True)
        return step(self, number)

    Trainer.train_iteration = numbered


def _without_open3d() -> None:
    """The exporter imports open3d, which wants a system library (libusb), for point clouds alone: not for ours."""
    try:
        import open3d  # noqa: F401
    except (ImportError, OSError):
        from unittest.mock import MagicMock

        sys.modules["open3d"] = MagicMock()


def main() -> None:
    command = sys.argv.pop(1)
    _without_lpips()
    if command == "about":
        from importlib.metadata import version

        from nerfstudio.configs.method_configs import method_configs

        about = {"nerfstudio": version("nerfstudio"), "cuda": torch.cuda.is_available(), "methods": [*method_configs]}
        print("\n@about " + json.dumps(about))
        return
    if command == "train":
        _with_progress()
    else:
        _without_open3d()
    importlib.import_module("nerfstudio.scripts." + command).entrypoint()


if __name__ == "__main__":
    main()
