"""Zero-1-to-3 and its XL weights: a picture and a relative pose to a view (Liu et al., ICCV 2023).

Written from the paper and from what the released layout holds (bennyguo/zero123-xl-diffusers; the reference code is
cvlab-columbia/zero123): Stable Diffusion's autoencoder and a UNet of 8 input channels, the noisy latent and the given
picture's. CLIP's embedding of the given picture and the pose go through one linear layer, 772 to 768, and are the only
token that the UNet attends to. Without guidance's condition both are zero.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eval.methods import hub
from eval.methods.method import Method, Options
from viewmask.errors import ViewmaskError
from viewmask.views.background import from_white
from viewmask.views.camera import Array
from viewmask.views.viewset import Picture, ViewSet, composite, resize

REPOSITORIES = {"zero123": "bennyguo/zero123-diffusers", "zero123-xl": "bennyguo/zero123-xl-diffusers"}
PARTS = ("unet", "vae", "image_encoder", "clip_camera_projection")
STEPS = 50
GUIDANCE = 3.0

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Condition:
    """What the UNet is told.

    Attributes:
        tokens: [views, 1, 768], a token a view.
        latent: of the given picture, [1, 4, height / 8, width / 8]; not scaled, as in the reference code.
    """

    tokens: Tensor
    latent: Tensor


@dataclass(frozen=True)
class Zero123:
    """The parts of the released layout."""

    unet: Any
    vae: Any
    image_encoder: Any
    projection: torch.nn.Linear
    scheduler: Any
    fingerprint: str

    @classmethod
    def load(cls, folder: Path) -> Zero123:
        """Read the released layout, on the GPU in half precision where there is one.

        Raises:
            ViewmaskError: a part is missing, unreadable or another model's.
        """
        from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
        from transformers import CLIPVisionModelWithProjection

        model = cls(
            unet=hub.part(folder, "unet", UNet2DConditionModel),
            vae=hub.part(folder, "vae", AutoencoderKL),
            image_encoder=hub.part(folder, "image_encoder", CLIPVisionModelWithProjection),
            projection=_projection(folder),
            scheduler=hub.scheduler(folder, DDIMScheduler),
            fingerprint=hub.fingerprint(folder, *PARTS),
        )
        if model.unet.config.in_channels != 8:
            raise ViewmaskError(f"{folder / 'unet'} takes {model.unet.config.in_channels} channels, Zero-1-to-3's 8")
        place = device()
        for module in (model.unet, model.vae, model.image_encoder, model.projection):
            module.to(**place)
        return model

    @property
    def size(self) -> int:
        """Side of its pictures in pixels: 256."""
        return int(self.unet.config.sample_size * _reduction(self.vae))

    @torch.inference_mode()
    def condition(self, picture: Picture, poses: Array) -> Condition:
        """What is known: the given view, and where the others stand.

        Args:
            picture: the given view, uint8 RGBA; seen on white.
            poses: `Camera.to_zero123` of each view, [views, 4].
        """
        kind = self.projection.weight
        rgb = torch.from_numpy(composite(resize(picture, self.size)).transpose(2, 0, 1)[None] * 2 - 1).to(kind)
        seen = functional.interpolate(rgb.float(), (224, 224), mode="bicubic", align_corners=True) / 2 + 0.5
        mean, deviation = (seen.new_tensor(x)[:, None, None] for x in (_CLIP_MEAN, _CLIP_DEVIATION))
        embedding = self.image_encoder(((seen - mean) / deviation).to(kind)).image_embeds
        pose = torch.from_numpy(np.asarray(poses)).to(kind)
        tokens = self.projection(torch.cat([embedding.expand(len(pose), -1), pose], dim=-1))
        return Condition(tokens[:, None], self.vae.encode(rgb).latent_dist.mode())

    @torch.inference_mode()
    def noise(self, latents: Tensor, step: Tensor, condition: Condition, guidance: float) -> Tensor:
        """The noise in `latents` [views, 4, height, width] at a time step, with classifier-free guidance."""
        reference = condition.latent.expand(len(latents), -1, -1, -1)
        inputs = torch.cat([torch.cat([latents, torch.zeros_like(reference)], 1), torch.cat([latents, reference], 1)])
        tokens = torch.cat([torch.zeros_like(condition.tokens), condition.tokens])
        without, with_it = self.unet(inputs, step, encoder_hidden_states=tokens).sample.chunk(2)
        return without + guidance * (with_it - without)

    @torch.inference_mode()
    def views(
        self, picture: Picture, poses: Array, steps: int = STEPS, guidance: float = GUIDANCE, noise: str = "0"
    ) -> list[Picture]:
        """The object from other poses, by DDIM without added noise (eta 0).

        Args:
            picture, poses: as for `condition`.
            noise: names the starting noise; the same name starts from the same.

        Returns:
            uint8 RGBA pictures of `size`, cut out of white.
        """
        condition = self.condition(picture, poses)
        latents = starting_noise(noise, (len(poses), *condition.latent.shape[1:])).to(condition.latent)
        self.scheduler.set_timesteps(steps)
        for step in self.scheduler.timesteps:
            predicted = self.noise(self.scheduler.scale_model_input(latents, step), step, condition, guidance)
            latents = self.scheduler.step(predicted, step, latents, eta=0.0).prev_sample
        return decoded(self.vae, latents)


def open_zero123(name: str, options: Options, seed: int) -> Method:
    """`zero123` or `zero123-xl`, asked for the bench's own cameras.

    Raises:
        ViewmaskError: the extra `baselines` or the weights are missing.
    """
    model = Zero123.load(hub.find(options.weights, REPOSITORIES[name]))
    steps = options.steps or STEPS
    guidance = GUIDANCE if options.guidance is None else options.guidance

    def views(subject: str, truth: ViewSet) -> list[Picture]:
        return model.views(truth.images[0], poses(truth), steps, guidance, f"{seed} {subject}")

    about = {"steps": steps, "guidance": guidance, "eta": 0.0, "seed": seed, "model": model.fingerprint}
    return Method(
        name, views, about | setting(), notes=(f"{name}: asked for the bench's own cameras; cut out of white",)
    )


def poses(truth: ViewSet) -> Array:
    """Zero-1-to-3's pose of every view but the given one, relative to it, [views - 1, 4]."""
    return np.stack([camera.to_zero123(truth.cameras[0]) for camera in truth.cameras[1:]])


def decoded(vae: Any, latents: Tensor) -> list[Picture]:
    """Latents [views, 4, height, width] to RGBA pictures, cut out of white, one at a time."""
    pictures = []
    for latent in latents:
        rgb = vae.decode(latent[None] / vae.config.scaling_factor).sample[0].float()
        pixels = ((rgb / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
        pictures.append(from_white(pixels.permute(1, 2, 0).cpu().numpy()))
    return pictures


def starting_noise(name: str, shape: Sequence[int]) -> Tensor:
    """Standard normal noise, drawn on the CPU so that it is the same on every machine."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def device() -> dict[str, Any]:
    """Where models run: the GPU in half precision, else the CPU."""
    if torch.cuda.is_available():
        return {"device": "cuda", "dtype": torch.float16}
    return {"device": "cpu", "dtype": torch.float32}


def setting() -> dict[str, Any]:
    """What else the figures may hang on, for the report."""
    return {"device": device()["device"], "dtype": str(device()["dtype"]).removeprefix("torch.")} | hub.versions()


def _reduction(vae: Any) -> int:
    return int(2 ** (len(vae.config.block_out_channels) - 1))


def _projection(folder: Path) -> torch.nn.Linear:
    """The linear layer that mixes CLIP's embedding with the pose."""
    from safetensors.torch import load_file

    path = hub.file(folder, "clip_camera_projection")
    try:
        tensors = load_file(path)
        weight, bias = tensors["proj.weight"], tensors["proj.bias"]
    except Exception as error:
        raise ViewmaskError(f"{path} holds no camera projection: {error!r}") from error
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0])
    if weight.shape[1] != weight.shape[0] + 4 or bias.shape != layer.bias.shape:
        raise ViewmaskError(f"{path} maps {weight.shape[1]} numbers to {weight.shape[0]}: a camera takes 4 more")
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer.eval().requires_grad_(False)
