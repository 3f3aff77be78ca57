"""Zero-1-to-3: the released layout is read, the condition is the paper's, and the loop finds what the noise hides."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="the extra `baselines` is not installed")
pytest.importorskip("transformers", reason="the extra `baselines` is not installed")

import torch

from eval.methods import hub, open_method
from eval.methods.method import Options
from eval.methods.zero123 import Zero123, decoded, poses, starting_noise
from tests.eval import tiny_weights
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet, composite, resize

pytestmark = pytest.mark.usefixtures("on_the_cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights.zero123(tmp_path_factory.mktemp("zero123"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Zero123:
    return Zero123.load(folder)


def test_the_whole_loop_from_released_files(folder: Path, truth: ViewSet, tmp_path: Path) -> None:
    method = open_method("zero123-xl", Options(steps=3, weights=folder))
    made = method.views("car", truth)
    assert [picture.shape for picture in made] == [(64, 64, 4)] * 3
    assert all(picture.dtype == np.uint8 for picture in made)
    assert not np.array_equal(made[0], made[1])
    assert all(np.array_equal(a, b) for a, b in zip(made, method.views("car", truth), strict=True))
    assert not np.array_equal(made[0], method.views("mug", truth)[0])  # other noise for another object
    other = open_method("zero123-xl", Options(steps=3, weights=folder), seed=1)
    assert not np.array_equal(made[0], other.views("car", truth)[0])
    # The same weights elsewhere are the same model; other weights are not.
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert open_method("zero123", Options(weights=moved)).about["model"] == method.about["model"]
    changed = tiny_weights.zero123(tmp_path / "changed", seed=5)
    assert open_method("zero123", Options(weights=changed)).about["model"] != method.about["model"]


def test_defaults_are_the_papers(folder: Path) -> None:
    about = open_method("zero123", Options(weights=folder)).about
    assert (about["steps"], about["guidance"], about["eta"]) == (50, 3.0, 0.0)
    assert about["diffusers"]
    about = open_method("zero123", Options(steps=7, guidance=1.5, weights=folder)).about
    assert (about["steps"], about["guidance"]) == (7, 1.5)


def test_poses_are_relative_to_the_given_view(truth: ViewSet) -> None:
    assert poses(truth) == pytest.approx(np.array([[0, 1, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0]]), abs=1e-9)
    start = replace(truth, cameras=orbit(4, size=64, start=77))
    assert poses(start) == pytest.approx(poses(truth), abs=1e-9)
    # Higher up is a smaller polar angle.
    cameras = [*orbit(1, size=64), *orbit(1, elevation=40, distance=1.7, size=64)]
    assert poses(ViewSet(truth.images[:2], cameras))[0] == pytest.approx([-np.radians(10), 0, 1, 0.2])


def test_the_condition(model: Zero123, truth: ViewSet) -> None:
    told = model.condition(truth.images[0], poses(truth))
    assert told.tokens.shape == (3, 1, 768)
    # One linear layer over [CLIP's 768, the pose's 4]: tokens differ by its last four columns alone.
    change = torch.from_numpy(poses(truth)[1] - poses(truth)[0]).float() @ model.projection.weight[:, 768:].T
    assert torch.allclose(told.tokens[1, 0] - told.tokens[0, 0], change, atol=1e-5)
    # The latent is the mode of the autoencoder's answer to the picture on white, not scaled.
    rgb = torch.from_numpy(composite(resize(truth.images[0], 64)) * 2 - 1).permute(2, 0, 1)[None]
    assert torch.allclose(told.latent, model.vae.encode(rgb).latent_dist.mean, atol=2e-3)
    assert told.latent.shape == (1, 4, 8, 8)


def test_the_true_size_is_the_released_files(model: Zero123, truth: ViewSet) -> None:
    """Shapes alone, on torch's meta device. Sizes: the hub's listing of bennyguo/zero123-diffusers, float32."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        parts = {
            "unet": UNet2DConditionModel(sample_size=32, in_channels=8, cross_attention_dim=768, attention_head_dim=8),
            "vae": AutoencoderKL(
                block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=256,
                down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            ),
            "image_encoder": CLIPVisionModelWithProjection(
                CLIPVisionConfig(
                    hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16,
                    projection_dim=768, image_size=224, patch_size=14,
                )
            ),
            "projection": torch.nn.Linear(772, 768),
        }  # fmt: skip
    megabytes = {name: 4e-6 * sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    assert megabytes == pytest.approx({"unet": 3440, "vae": 335, "image_encoder": 1220, "projection": 2.375}, rel=0.005)
    large = replace(model, **{name: part.eval() for name, part in parts.items()})
    assert large.size == 256
    told = large.condition(truth.images[0], poses(truth))
    assert (told.tokens.shape, told.latent.shape) == ((3, 1, 768), (1, 4, 32, 32))
    latents = starting_noise("0", (3, 4, 32, 32)).to("meta")
    assert large.noise(latents, torch.tensor(981), told, 3.0).shape == latents.shape


class Oracle(torch.nn.Module):
    """Knows the latents that the noise hides; without a condition it errs, and guidance 3 must undo that."""

    def __init__(self, hidden: torch.Tensor, alphas: torch.Tensor, given: torch.Tensor) -> None:
        super().__init__()
        self.hidden, self.alphas, self.given, self.calls = hidden, alphas, given, 0
        self.config = SimpleNamespace(sample_size=8, in_channels=8)

    def forward(self, inputs: torch.Tensor, step: torch.Tensor, encoder_hidden_states: torch.Tensor) -> Any:
        self.calls += 1
        without, told = inputs.chunk(2)
        assert not without[:, 4:].any()
        assert torch.equal(told[:, 4:], self.given.expand(len(told), -1, -1, -1))
        assert torch.equal(without[:, :4], told[:, :4])
        assert not encoder_hidden_states[: len(told)].any()
        assert encoder_hidden_states[len(told) :].any()
        alpha = self.alphas[step]
        noise = (told[:, :4] - alpha.sqrt() * self.hidden) / (1 - alpha).sqrt()
        # u + 3 (c - u) is the noise itself for c = noise + 2 d, u = noise + 3 d.
        return SimpleNamespace(sample=torch.cat([noise + 3 * told[:, :4], noise + 2 * told[:, :4]]))


def test_ddim_and_guidance_find_what_the_noise_hides(model: Zero123, truth: ViewSet) -> None:
    hidden = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(3)) * 0.2
    given = model.condition(truth.images[0], poses(truth)).latent
    oracle = Oracle(hidden, model.scheduler.alphas_cumprod, given)
    made = replace(model, unet=oracle).views(truth.images[0], poses(truth), steps=50)
    assert oracle.calls == 50
    # The last step leaves the noise of the first time step (set_alpha_to_one is off): a little, and known.
    alpha = model.scheduler.alphas_cumprod[0]
    left = alpha.sqrt() * hidden + (1 - alpha).sqrt() * starting_noise("0", hidden.shape)
    for picture, expected in zip(made, decoded(model.vae, left), strict=True):
        assert np.abs(composite(picture) - composite(expected)).max() < 3 / 255


def test_noise_is_the_same_everywhere() -> None:
    assert torch.equal(starting_noise("0 car", (2, 3)), starting_noise("0 car", (2, 3)))
    assert not torch.equal(starting_noise("0 car", (2, 3)), starting_noise("0 mug", (2, 3)))
    assert starting_noise("x", (4000,)).std() == pytest.approx(1, abs=0.05)


def test_only_whole_safetensors_are_read(folder: Path, tmp_path: Path) -> None:
    def opened(place: Path) -> None:
        open_method("zero123", Options(weights=place))

    pickled = shutil.copytree(folder, tmp_path / "pickled")
    weights = pickled / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ViewmaskError, match=r"model.bin is a pickle, which may run code and is not read"):
        opened(pickled)
    partial = shutil.copytree(folder, tmp_path / "partial")
    path = partial / "image_encoder" / "model.safetensors"
    tensors = tiny_weights.load_file(path)
    del tensors["visual_projection.weight"]
    tiny_weights.save_file(tensors, path, {"format": "pt"})
    with pytest.raises(ViewmaskError, match=r"image_encoder is another model: 1 tensors are missing"):
        opened(partial)
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ViewmaskError, match=r"cannot read .*vae"):
        opened(broken)
    with pytest.raises(ViewmaskError, match=r"no folder .*bennyguo/zero123-diffusers"):
        opened(tmp_path / "nothing")


def test_a_unet_of_another_task_is_refused(tmp_path: Path) -> None:
    place = tiny_weights.zero123(tmp_path / "text")
    shutil.rmtree(place / "unet")
    tiny_weights.UNet2DConditionModel(
        sample_size=8, in_channels=4, cross_attention_dim=768, attention_head_dim=8, norm_num_groups=8,
        block_out_channels=(16, 32, 32, 32), layers_per_block=1,
    ).save_pretrained(place / "unet")  # fmt: skip
    with pytest.raises(ViewmaskError, match="takes 4 channels, Zero-1-to-3's 8"):
        Zero123.load(place)


def test_without_the_hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    import huggingface_hub

    asked: list[tuple] = []

    def unreachable(*arguments: object, **options: object) -> str:
        asked.append((arguments, options))
        raise ConnectionError("no route to\nhost")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(
        ViewmaskError, match=r"cannot fetch bennyguo/zero123-xl-diffusers .* no route to host; .*--weights"
    ):
        open_method("zero123-xl")
    # Neither pickles nor code are asked for.
    patterns = asked[0][1]["allow_patterns"]
    assert not [pattern for pattern in patterns if pattern.endswith((".bin", ".ckpt", ".py", "*"))]
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(folder))
    assert open_method("zero123-xl").about["steps"] == 50


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda name: None if name == "diffusers" else object())
    with pytest.raises(ViewmaskError, match=r"needs diffusers: pip install torch==2.13.0 '.\[baselines\]'"):
        open_method("zero123")
