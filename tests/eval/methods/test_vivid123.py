"""ViVid-1-to-3: both released layouts are read, both models' noise is added as released, and the sweep is the orbit."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="the extra `baselines` is not installed")
pytest.importorskip("transformers", reason="the extra `baselines` is not installed")

import torch

from eval.methods import open_method
from eval.methods.method import Options
from eval.methods.vivid123 import Vivid123, orbit_frames, video_weights
from eval.methods.zero123 import decoded
from tests.eval import tiny_weights
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet, composite

pytestmark = pytest.mark.usefixtures("on_the_cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("vivid123")
    tiny_weights.zero123(place / "zero123-xl")
    tiny_weights.zeroscope(place / "zeroscope")
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> Vivid123:
    return Vivid123.load(folder / "zero123-xl", folder / "zeroscope")


def test_the_whole_loop_from_released_files(folder: Path, truth: ViewSet) -> None:
    method = open_method("vivid123", Options(steps=2, weights=folder))
    made = method.views("car", truth)
    assert [picture.shape for picture in made] == [(64, 64, 4)] * 3
    assert all(np.array_equal(a, b) for a, b in zip(made, method.views("car", truth), strict=True))
    assert method.about["steps"] == 2
    assert method.about["guidance"] == 3.0
    assert len(method.about["model"].split()) == 2


def test_both_models_are_needed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "zero123-xl").symlink_to(folder / "zero123-xl")
    with pytest.raises(ViewmaskError, match=r"no folder .*zeroscope: .*cerspense/zeroscope_v2_576w"):
        open_method("vivid123", Options(weights=tmp_path))


def test_the_sweep_is_the_orbit(truth: ViewSet) -> None:
    frames, scored = orbit_frames(truth)
    assert len(frames) == 24
    assert [frame.azimuth for frame in frames] == pytest.approx([15 * i for i in range(24)])
    assert [frames[i].azimuth for i in scored] == pytest.approx([90, 180, 270])
    for count, expected in ((8, 24), (16, 32), (5, 25)):
        views = ViewSet([truth.images[0]] * count, orbit(count, size=64, start=40))
        frames, scored = orbit_frames(views)
        assert len(frames) == expected
        assert np.allclose([frames[i].position for i in scored], [camera.position for camera in views.cameras[1:]])
    uneven = replace(truth, cameras=[*truth.cameras[:3], *orbit(1, start=300, size=64)])
    with pytest.raises(ViewmaskError, match="one even orbit"):
        orbit_frames(uneven)


def test_the_videos_weight_falls() -> None:
    weights = video_weights(50)
    assert (weights[0], weights[-1], len(weights)) == (1.0, 0.5, 50)
    assert np.diff(weights) == pytest.approx(-0.5 / 49)


class Video(torch.nn.Module):
    """Predicts the clip itself times a number, and checks what it is shown."""

    def __init__(self, share: float, text: torch.Tensor) -> None:
        super().__init__()
        self.share, self.text, self.calls = share, text, 0

    def forward(self, clip: torch.Tensor, step: torch.Tensor, encoder_hidden_states: torch.Tensor) -> Any:
        assert clip.shape == (1, 4, 24, 8, 8)
        assert torch.equal(encoder_hidden_states, self.text)
        self.calls += 1
        return SimpleNamespace(sample=self.share * clip)


class Views(torch.nn.Module):
    """Predicts what, with the video's part added, is the noise that hides known latents."""

    def __init__(self, hidden: torch.Tensor, model: Vivid123, share: float) -> None:
        super().__init__()
        self.hidden, self.alphas, self.share = hidden, model.scheduler.alphas_cumprod, share
        self.weights = iter(video_weights(25))
        self.config = model.zero123.unet.config

    def forward(self, inputs: torch.Tensor, step: torch.Tensor, encoder_hidden_states: torch.Tensor) -> Any:
        latents = inputs.chunk(2)[1][:, :4]
        alpha = self.alphas[step]
        noise = (latents - alpha.sqrt() * self.hidden) / (1 - alpha).sqrt() - next(self.weights) * self.share * latents
        return SimpleNamespace(sample=torch.cat([noise, noise]))


def test_both_noises_are_added_with_their_weights(model: Vivid123, truth: ViewSet) -> None:
    frames, _ = orbit_frames(truth)
    poses = np.stack([frame.to_zero123(truth.cameras[0]) for frame in frames])
    hidden = torch.randn(24, 4, 8, 8, generator=torch.Generator().manual_seed(3)) * 0.2
    video = Video(0.3, model.text)
    known = replace(model, unet=video, zero123=replace(model.zero123, unet=Views(hidden, model, 0.3)))
    made = known.sweep(truth.images[0], poses, steps=25)
    assert video.calls == 25
    # The solver ends without noise, so the hidden latents come out as they are.
    for picture, expected in zip(made, decoded(model.zero123.vae, hidden), strict=True):
        assert np.abs(composite(picture) - composite(expected)).max() < 4 / 255


def test_the_true_size_takes_the_sweep() -> None:
    """Shapes alone: the config of cerspense/zeroscope_v2_576w, 24 frames of 256 pixels, 77 tokens of 1024 numbers."""
    with torch.device("meta"):
        unet = tiny_weights.UNet3DConditionModel(cross_attention_dim=1024, attention_head_dim=64, sample_size=32)
        clip, text = torch.zeros(1, 4, 24, 32, 32), torch.zeros(1, 77, 1024)
    with torch.inference_mode():
        assert unet.eval()(clip, torch.tensor(999), encoder_hidden_states=text).sample.shape == clip.shape


def test_the_empty_prompt_and_the_videos_own_autoencoder(model: Vivid123, folder: Path) -> None:
    assert model.text.shape == (1, 77, 32)
    weights = tiny_weights.load_file(folder / "zeroscope" / "vae" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(model.zero123.vae.encoder.conv_in.weight, weights["encoder.conv_in.weight"])
