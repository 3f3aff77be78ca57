"""ViVid-1-to-3: Zero123-XL and a text-to-video model denoise the frames of one sweep together (Kwak et al., CVPR 2024).

Written from the paper and the settings of ubc-vision/vivid123 (configs/base_schema.py, pipelines/vivid123_pipeline.py).
Zero123-XL predicts every frame's noise from the given picture and the frame's pose, Zeroscope that of the whole clip
from an empty prompt without guidance. Both predictions are added with weights: Zero123's stays 1, the video's falls
from 1 to 0.5 over the steps. (These are the released weights, and they are not divided by their sum there either.)
The sampler is DPM-Solver++, and the autoencoder the video model's. The refiner is left out: the frames that they score
are saved before it.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eval.methods import hub
from eval.methods.method import Method, Options
from eval.methods.zero123 import GUIDANCE, STEPS, Zero123, decoded, device, setting, starting_noise
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Array, Camera
from viewmask.views.viewset import Picture, ViewSet

ZERO123 = "bennyguo/zero123-xl-diffusers"
# The hub's own conversion of the video model to safetensors stands in this pull request of its repository.
ZEROSCOPE, REVISION = "cerspense/zeroscope_v2_576w", "refs/pr/46"
PARTS = ("unet", "vae", "text_encoder")
FRAMES = 24  # at least, all around
VIDEO_WEIGHT = (1.0, 0.5)  # at the first step and at the last
PROMPT = ""


@dataclass(frozen=True)
class Vivid123:
    """Both models; `zero123.vae` and `scheduler` are the video model's."""

    zero123: Zero123
    unet: Any
    text: Tensor
    scheduler: Any
    fingerprint: str

    @classmethod
    def load(cls, zero123: Path, zeroscope: Path) -> Vivid123:
        """Read both released layouts.

        Raises:
            ViewmaskError: a part is missing, unreadable or another model's.
        """
        from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet3DConditionModel
        from transformers import CLIPTextModel

        place = device()
        views = Zero123.load(zero123)
        unet = hub.part(zeroscope, "unet", UNet3DConditionModel).to(**place)
        vae = hub.part(zeroscope, "vae", AutoencoderKL).to(**place)
        encoder = hub.part(zeroscope, "text_encoder", CLIPTextModel)
        with torch.inference_mode():
            text = encoder(_tokens(zeroscope))[0].to(**place)
        return cls(
            replace(views, vae=vae), unet, text, hub.scheduler(zeroscope, DPMSolverMultistepScheduler),
            f"{views.fingerprint} {hub.fingerprint(zeroscope, *PARTS)}",
        )  # fmt: skip

    @torch.inference_mode()
    def sweep(
        self, picture: Picture, poses: Array, steps: int = STEPS, guidance: float = GUIDANCE, noise: str = "0"
    ) -> list[Picture]:
        """The frames of a sweep.

        Args:
            picture: the given view, uint8 RGBA; seen on white.
            poses: `Camera.to_zero123` of each frame, in the order of the sweep, [frames, 4].
            guidance: of Zero123; the video model has none.
            noise: names the starting noise.

        Returns:
            uint8 RGBA pictures of 256 x 256, cut out of white.
        """
        condition = self.zero123.condition(picture, poses)
        latents = starting_noise(noise, (len(poses), *condition.latent.shape[1:])).to(condition.latent)
        scheduler = deepcopy(self.scheduler)  # it remembers the last steps: other threads have other objects
        scheduler.set_timesteps(steps)
        for step, weight in zip(scheduler.timesteps, video_weights(steps), strict=True):
            clip = scheduler.scale_model_input(latents, step).transpose(0, 1)[None]  # [1, 4, frames, h, w]
            video = self.unet(clip, step, encoder_hidden_states=self.text).sample[0].transpose(0, 1)
            predicted = weight * video + self.zero123.noise(latents, step, condition, guidance)
            latents = scheduler.step(predicted, step, latents).prev_sample
        return decoded(self.zero123.vae, latents)


def open_vivid123(options: Options, seed: int) -> Method:
    """`vivid123`, its sweep laid around the orbit from the given view; `--weights` holds `zero123-xl` and `zeroscope`.

    Raises:
        ViewmaskError: the extra `baselines` or the weights are missing.
    """
    weights = options.weights
    model = Vivid123.load(
        hub.find(weights and weights / "zero123-xl", ZERO123),
        hub.find(weights and weights / "zeroscope", ZEROSCOPE, REVISION),
    )
    steps = options.steps or STEPS
    guidance = GUIDANCE if options.guidance is None else options.guidance

    def views(subject: str, truth: ViewSet) -> list[Picture]:
        frames, scored = orbit_frames(truth)
        poses = np.stack([frame.to_zero123(truth.cameras[0]) for frame in frames])
        sweep = model.sweep(truth.images[0], poses, steps, guidance, f"{seed} {subject}")
        return [sweep[index] for index in scored]

    about = {"steps": steps, "guidance": guidance, "video_weight": VIDEO_WEIGHT, "frames": FRAMES, "prompt": PROMPT}
    return Method(
        "vivid123",
        views,
        about | {"seed": seed, "model": model.fingerprint} | setting(),
        notes=("vivid123: the bench's views are frames of one sweep all around; cut out of white",),
    )


def orbit_frames(truth: ViewSet) -> tuple[list[Camera], list[int]]:
    """The cameras of a sweep once around from the given view, and which of its frames are the bench's other views.

    There are as many frames as make a whole multiple of the bench's views, 24 at least: 15 degrees apart for 4 and 8.

    Raises:
        ViewmaskError: the bench's views do not lie evenly around one orbit.
    """
    reference, count = truth.cameras[0], len(truth)
    between = -(-FRAMES // count)
    step = 360.0 / (count * between)
    frames = [
        Camera.on_sphere(reference.azimuth + step * i, reference.elevation, reference.distance)
        for i in range(count * between)
    ]
    scored = [between * i for i in range(1, count)]
    for camera, index in zip(truth.cameras[1:], scored, strict=True):
        if not np.allclose(camera.position, frames[index].position, atol=0.01 * reference.distance):
            raise ViewmaskError("vivid123 makes one even orbit from the given view: this bench's views lie elsewhere")
    return frames, scored


def video_weights(steps: int) -> list[float]:
    """The video model's weight at every step: from 1 to 0.5, linearly."""
    return [float(weight) for weight in np.linspace(*VIDEO_WEIGHT, steps)]


def _tokens(folder: Path) -> Tensor:
    """The prompt's token ids, [1, 77]."""
    from transformers import CLIPTokenizer

    hub.quiet()
    try:
        tokenizer = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True)
    except Exception as error:
        raise ViewmaskError(f"cannot read {folder / 'tokenizer'}: {' '.join(str(error).split())[:200]}") from error
    ids = tokenizer(PROMPT, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    return torch.as_tensor(ids)
