"""Device: where a network runs, and in what precision. Names are checked here, so that a wrong one is a clear line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from viewmask.errors import ViewmaskError
from viewmask.files.counting import counted

if TYPE_CHECKING:  # the command line takes the names from here, and torch takes a second to load
    import torch

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Device:
    """Where and how.

    Attributes:
        place: the device.
        dtype: of the transformer's numbers. Tokenizers stay in float32: signs of their numbers are the codes.
    """

    place: torch.device
    dtype: torch.dtype

    def __str__(self) -> str:
        import torch

        card = f" ({torch.cuda.get_device_name(self.place)})" if self.place.type == "cuda" else ""
        return f"{self.place}{card}, {str(self.dtype).removeprefix('torch.')}"


def chosen(device: str = "auto", precision: str = "auto") -> Device:
    """A device by name.

    Args:
        device: "auto" is a CUDA GPU if there is one, else the CPU; or any name that torch knows ("cuda:1").
        precision: "auto" is bfloat16 on GPUs that have it, else float32.

    Raises:
        ViewmaskError: no such device here, or no such precision.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise ViewmaskError(f"there is no device '{device}': choose auto, cpu, cuda or mps") from error
    if place.type not in ("cpu", "cuda", "mps"):
        raise ViewmaskError(f"there is no device '{device}': choose auto, cpu, cuda or mps")
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[place.type]:
        raise ViewmaskError(f"torch finds no {place.type} device here: `viewmask doctor` says what it finds")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ViewmaskError(f"there is no {device}: torch finds {counted(torch.cuda.device_count(), 'GPU')}")
    if precision == "auto":
        precision = "bfloat16" if place.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    if precision not in ("float32", "bfloat16"):
        raise ViewmaskError(f"there is no precision '{precision}': choose auto, float32 or bfloat16")
    return Device(place, torch.float32 if precision == "float32" else torch.bfloat16)
