"""Tiny random models of the true architectures, written in the released layouts, file by file and key by key.

Zero-1-to-3: bennyguo/zero123-xl-diffusers. Zeroscope: cerspense/zeroscope_v2_576w. Only widths, depths and picture
size are smaller; block types, latent channels, the 8 input channels, CLIP's 768 numbers, 772 x 768 are the true ones.
"""

import json
from pathlib import Path

import pytest

pytest.importorskip("diffusers", reason="the extra `baselines` is not installed")
pytest.importorskip("transformers", reason="the extra `baselines` is not installed")

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet3DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from eval.methods.hub import quiet

# scheduler_config.json, as released; Zeroscope's is older and lacks what came later.
SCHEDULER = {
    "_class_name": "DDIMScheduler", "_diffusers_version": "0.17.0.dev0", "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False, "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "set_alpha_to_one": False, "steps_offset": 1, "trained_betas": None,
}  # fmt: skip
LATER = {
    "_diffusers_version": "0.18.2", "clip_sample_range": 1.0, "dynamic_thresholding_ratio": 0.995,
    "rescale_betas_zero_snr": False, "sample_max_value": 1.0, "thresholding": False, "timestep_spacing": "leading",
}  # fmt: skip


def zero123(folder: Path, seed: int = 0) -> Path:
    """A tiny Zero-1-to-3 for pictures of 64 x 64."""
    quiet()
    torch.manual_seed(seed)
    UNet2DConditionModel(
        sample_size=8, in_channels=8, cross_attention_dim=768, attention_head_dim=8, norm_num_groups=8,
        block_out_channels=(16, 32, 32, 32), layers_per_block=1,
    ).save_pretrained(folder / "unet")  # fmt: skip
    vae(folder)
    CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, projection_dim=768,
            image_size=224, patch_size=56,
        )
    ).save_pretrained(folder / "image_encoder")  # fmt: skip
    place = folder / "clip_camera_projection"
    place.mkdir()
    layer = torch.nn.Linear(772, 768)
    save_file(
        {"proj.weight": layer.weight.detach(), "proj.bias": layer.bias.detach()},
        place / "diffusion_pytorch_model.safetensors",
    )
    (place / "config.json").write_text(
        json.dumps({"_class_name": "CLIPCameraProjection", "additional_embeddings": 4, "embedding_dim": 768})
    )
    return scheduler(folder, SCHEDULER | LATER)


def zeroscope(folder: Path, seed: int = 1) -> Path:
    """A tiny text-to-video model whose latents fit `zero123`'s."""
    quiet()
    torch.manual_seed(seed)
    UNet3DConditionModel(
        cross_attention_dim=32, attention_head_dim=8, norm_num_groups=8, block_out_channels=(16, 16, 16, 16),
        layers_per_block=1,
    ).save_pretrained(folder / "unet")  # fmt: skip
    vae(folder)
    config = CLIPTextConfig(
        vocab_size=4, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=2, eos_token_id=3, pad_token_id=3,
    )  # fmt: skip
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    # The released file has the names of its day.
    path = folder / "text_encoder" / "model.safetensors"
    tensors = {f"text_model.{key.removeprefix('text_model.')}": tensor for key, tensor in load_file(path).items()}
    save_file(tensors, path, {"format": "pt"})
    place = folder / "tokenizer"
    place.mkdir()
    (place / "vocab.json").write_text(json.dumps({"a": 0, "a</w>": 1, "<|startoftext|>": 2, "<|endoftext|>": 3}))
    (place / "merges.txt").write_text("#version: 0.2\n")
    names = {"bos_token": "<|startoftext|>", **dict.fromkeys(("eos_token", "pad_token", "unk_token"), "<|endoftext|>")}
    (place / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77} | names)
    )
    return scheduler(folder, SCHEDULER)


def vae(folder: Path) -> None:
    AutoencoderKL(
        block_out_channels=(8, 16, 16, 16), layers_per_block=1, norm_num_groups=8, latent_channels=4, sample_size=64,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    ).save_pretrained(folder / "vae")  # fmt: skip


def scheduler(folder: Path, config: dict[str, object]) -> Path:
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(config))
    return folder
