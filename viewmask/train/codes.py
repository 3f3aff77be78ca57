"""Codes, the training of tokenizer and decoder: how far decoded pictures are from true ones, how codes are used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viewmask.errors import ViewmaskError
from viewmask.learning.checkpoint import fingerprint
from viewmask.learning.lpips import Lpips
from viewmask.learning.schedule import Schedule
from viewmask.learning.task import Figures
from viewmask.model.refiner import FINER
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig, pack
from viewmask.train.run import Run
from viewmask.views import collection
from viewmask.views.viewset import Picture


@dataclass(frozen=True)
class Terms:
    """Weights of the loss's terms; 0 turns one off.

    Attributes:
        absolute: share of L1 in the pixel term (the rest is squared error).
        chroma: extra weight on colour differences, which a small tokenizer loses first.
        entropy: sure bits for a picture, evenly used codes over the batch (LFQ, MAGVIT-v2).
        commitment: pulls encoder outputs to +-1.
        perceptual: LPIPS (AlexNet; needs the extra `lpips`).
        adversarial: PatchGAN, hinge loss.
        adversarial_start: step before which the discriminator rests.
    """

    absolute: float = 0.2
    chroma: float = 2.0
    entropy: float = 0.02
    commitment: float = 0.05
    perceptual: float = 0.0
    adversarial: float = 0.0
    adversarial_start: int = 2000


TOKENIZERS = {
    "nano": (
        TokenizerConfig(stem=8, widths=(96, 192), blocks=(1, 1), mid_blocks=1),
        Terms(),
        Schedule(steps=20_000, batch=16, rate=1.5e-3, warmup=100, average=0.998),
    ),
    "small": (
        TokenizerConfig(size=256, stem=4, widths=(96, 192, 384), blocks=(2, 2, 2), mid_blocks=2),
        Terms(perceptual=0.2, adversarial=0.02),
        Schedule(steps=20_000, batch=128, rate=6e-4, warmup=500, precision="bfloat16"),
    ),
}

# A decoder works on finer grids than the encoder, and can be learnt anew without touching codes.
DECODERS: dict[str, tuple[dict[str, Any], Terms, Schedule]] = {
    "nano": (
        {"decoder_stem": 4, "decoder_widths": (96, 160, 192), "decoder_blocks": (1, 1, 1)},
        Terms(perceptual=0.3),
        Schedule(steps=5_000, batch=16, rate=1e-3, muon=3e-3, warmup=50, average=0.998, precision="auto"),
    ),
    "small": (
        {"decoder_stem": 4, "decoder_widths": (128, 256, 384), "decoder_blocks": (2, 2, 2)},
        Terms(perceptual=0.3, adversarial=0.02),
        Schedule(steps=20_000, batch=64, rate=5e-4, muon=1.5e-3, warmup=200, precision="bfloat16"),
    ),
}


class Discriminator(nn.Module):
    """PatchGAN: pictures [n, channels, h, w] to one score for each patch [n, 1, h / 8, w / 8]."""

    def __init__(self, channels: int, width: int = 48) -> None:
        super().__init__()
        sizes = [channels, width, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise(sizes):
            norm = nn.GroupNorm(8, c_out) if c_in != channels else nn.Identity()
            layers += [nn.Conv2d(c_in, c_out, 4, stride=2, padding=1), norm, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(sizes[-1], 1, 3, padding=1))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(2 * pictures - 1)


def entropy_loss(z: Tensor, groups: int = 2, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """Entropy of single codes and of the batch's mean code, both in nats a bit.

    Bits are independent given the picture, so a picture's entropy is the sum over its bits; that of
    the batch is taken over groups of bits jointly, as all 2^18 codes at once would not fit.

    Args:
        z: encoder outputs of patches, [n, bits].
        groups: groups of bits for the batch's entropy.
        temperature: of the softmax over codes.
    """
    bits = z.shape[1]
    probability = torch.sigmoid(4 * z / temperature)
    sure = -(
        probability * probability.clamp(min=1e-6).log() + (1 - probability) * (1 - probability).clamp(min=1e-6).log()
    )
    batch = z.new_zeros(())
    for group in probability.chunk(groups, dim=1):
        joint = z.new_ones(len(z), 1)
        for bit in group.T:
            joint = torch.cat([joint * (1 - bit[:, None]), joint * bit[:, None]], dim=1)
        mean = joint.mean(dim=0)
        batch = batch - (mean * mean.clamp(min=1e-9).log()).sum()
    return sure.mean(), batch / bits


class Adversarial(nn.Module):
    """A tokenizer and the discriminator that judges it, which learn together."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.discriminator = Discriminator(tokenizer.config.channels)


class Reconstruction:
    """The tokenizer's training task: pictures through the codes and back."""

    def __init__(self, images: Picture, terms: Terms, device: torch.device) -> None:
        self.images = images
        self.terms = terms
        self.device = device
        self.lpips = Lpips.load("alex").to(device) if terms.perceptual else None

    def loss(
        self, model: Tokenizer | Adversarial, step: int, random: np.random.Generator, batch: int
    ) -> tuple[Tensor, Figures]:
        """Pixels, use of codes, features and, with a discriminator, how real pictures look."""
        tokenizer = model.tokenizer if isinstance(model, Adversarial) else model
        config = tokenizer.config
        truth = self.truth(random, batch, config)
        empty = tokenizer.empty(truth)
        codes, loss, figures = self.coded(tokenizer, truth, empty)
        decoded = tokenizer.decoder(codes).float()
        if config.empty_code:
            covered = F.interpolate((~empty[:, None]).float(), scale_factor=config.patch, mode="nearest")
        else:
            covered = torch.ones_like(truth[:, :1])
        loss = loss + pixel_loss(decoded, truth, covered, self.terms)
        with torch.no_grad():
            error = ((decoded.clamp(0, 1) - truth) * covered).square().sum() / (covered.sum() * truth.shape[1])
        figures |= {"psnr": -10 * float(error.clamp(min=1e-9).log10())}
        visible = decoded * covered
        if self.lpips is not None:
            distance = self.lpips.distance(over_white(visible), over_white(truth)).mean()
            loss = loss + self.terms.perceptual * distance
            figures["lpips"] = distance.item()
        if isinstance(model, Adversarial) and step >= self.terms.adversarial_start:
            fooling, judging = adversarial_losses(model.discriminator, truth, visible)
            loss = loss + self.terms.adversarial * fooling + judging
            figures["discriminator"] = judging.item()
        return loss, figures

    def coded(self, tokenizer: Tokenizer, truth: Tensor, empty: Tensor) -> tuple[Tensor, Tensor, Figures]:
        """Codes [n, bits, grid, grid] that the decoder is given, what their use costs, and figures."""
        z = tokenizer.encoder(truth).float()
        codes = torch.where(z > 0, 1.0, -1.0)
        codes = z + (codes - z).detach()
        if tokenizer.config.empty_code:
            codes = torch.where(empty[:, None], -1.0, codes)
        patches = z.movedim(1, -1)[~empty]
        sure, used = entropy_loss(patches)
        commitment = (patches - patches.sign().detach()).square().mean()
        cost = self.terms.entropy * (sure - used) + self.terms.commitment * commitment
        return codes, cost, {"sure": sure.item(), "used": used.item()}

    def truth(self, random: np.random.Generator, batch: int, config: TokenizerConfig) -> Tensor:
        """Random pictures as a tokenizer takes them, [n, channels, size, size]."""
        return pack(self.batch(random, batch), config.channels).to(self.device)

    def batch(self, random: np.random.Generator, batch: int) -> Picture:
        """Random pictures, mirrored half the time and with their colour channels exchanged."""
        images = self.images[random.integers(len(self.images), size=batch)].copy()
        for index in range(batch):
            if random.random() < 0.5:
                images[index] = images[index, :, ::-1]
            if random.random() < 0.5:
                images[index, ..., :3] = images[index][..., random.permutation(3)]
        return images


class Decoding(Reconstruction):
    """The training task of a decoder by itself: the encoder, and with it every code, stays as it is.

    Half of the pictures come with codes as a model gives them that is not sure (`uncertain`). Where the pictures are
    larger than the tokenizer's, as the refiner's are, half of the batches are made smaller.
    """

    def truth(self, random: np.random.Generator, batch: int, config: TokenizerConfig) -> Tensor:
        """Random pictures, those of a batch as they are or of the tokenizer's size."""
        pictures = super().truth(random, batch, config)
        times = pictures.shape[-1] // config.size
        return F.avg_pool2d(pictures, times) if times > 1 and random.random() < 0.5 else pictures

    def coded(self, tokenizer: Tokenizer, truth: Tensor, empty: Tensor) -> tuple[Tensor, Tensor, Figures]:
        """True codes, some of them unsure; their use costs nothing, for the encoder does not learn."""
        tokens = tokenizer.tokens_of(tokenizer.encoder(truth).float(), empty)
        codes = uncertain(tokenizer.bits_of(tokens).movedim(-1, 1))
        if tokenizer.config.empty_code:
            codes = torch.where(empty[:, None], -1.0, codes)
        return codes, truth.new_zeros(()), {}


def adversarial_losses(discriminator: Discriminator, truth: Tensor, decoded: Tensor) -> tuple[Tensor, Tensor]:
    """What the tokenizer is judged by, and what the discriminator learns from (hinge loss).

    The first does not move the discriminator, the second does not move the tokenizer.
    """
    frozen = {name: parameter.detach() for name, parameter in discriminator.named_parameters()}
    fooling = -torch.func.functional_call(discriminator, frozen, (decoded,)).mean()
    judging = F.relu(1 - discriminator(truth)).mean() + F.relu(1 + discriminator(decoded.detach())).mean()
    return fooling, judging


def uncertain(codes: Tensor, share: float = 0.5) -> Tensor:
    """Expected bits as `Tokenizer.decode` is given them, of a model that is right as often as it thinks.

    An expected bit of +-m is the true one with probability (1 + m) / 2. How unsure a picture is at most is drawn evenly
    for a `share` of the pictures, the others are sure; within a picture bits differ.

    Args:
        codes: true bits +-1 [n, bits, h, w].
    """
    some = torch.rand(len(codes), 1, 1, 1, device=codes.device) < share
    most = torch.where(some, torch.rand_like(some, dtype=codes.dtype), 0.0)
    sure = 1 - most * torch.rand_like(codes)
    return torch.where(torch.rand_like(codes) < (1 + sure) / 2, codes, -codes) * sure


def pixel_loss(decoded: Tensor, truth: Tensor, covered: Tensor, terms: Terms) -> Tensor:
    """Weighted error over the patches that are not empty, on black and on white, chroma apart."""
    error = (decoded - truth) * covered
    planes = [error]
    if truth.shape[1] == 4:
        planes.append(error[:, :3] - error[:, 3:])  # over white
    colour = error[:, :3]
    planes.append(terms.chroma * (colour - colour.mean(dim=1, keepdim=True)))
    count = covered.sum().clamp(min=1)
    squared = sum(plane.square().sum() for plane in planes) / count
    absolute = sum(plane.abs().sum() for plane in planes) / count
    return (1 - terms.absolute) * squared + terms.absolute * absolute * 0.2


def over_white(pictures: Tensor) -> Tensor:
    """Premultiplied RGBA over white as RGB [n, 3, h, w]; RGB as it is."""
    return pictures[:, :3] + (1 - pictures[:, 3:]) if pictures.shape[1] == 4 else pictures


def train_tokenizer(data: Sequence[str | Path], run: Run) -> Path:
    """Train a tokenizer on the pictures of view sets."""
    config, terms, schedule = TOKENIZERS[run.preset]
    images = _pictures(data, config.size, run)
    tokenizer = _placed(Tokenizer(config), run.device)
    schedule = run.begin(tokenizer, run.schedule(schedule), "tokenizer")
    return _train("tokenizer", tokenizer, Reconstruction(images, terms, run.device), schedule, run)


def train_decoder(data: Sequence[str | Path], run: Run) -> Path:
    """Train a new decoder for the codes of a tokenizer, which stay as they are.

    It learns pictures of the tokenizer's size and, where views are large enough, such as a refiner's tokens make.

    Raises:
        ViewmaskError: weights to start from that decode other codes.
    """
    coder = run.load_tokenizer()
    finer, terms, schedule = DECODERS[run.preset]
    config = replace(coder.config, **finer)
    size = config.size * (FINER if (side := collection.side(data, "train")) >= FINER * config.size else 1)
    if size == config.size:
        run.note(f"views of {side} pixels: the decoder learns none of {FINER * size}, as a refiner makes them")
    images = _pictures(data, size, run)
    tokenizer = _placed(Tokenizer(config), run.device)
    schedule = run.begin(tokenizer, run.schedule(schedule), "decoder")
    if run.start is not None and fingerprint(tokenizer.encoder) != fingerprint(coder.encoder):
        raise ViewmaskError(f"{run.start} decodes other codes than those of {run.codes}")
    freeze_encoder(tokenizer, coder)
    return _train("decoder", tokenizer, Decoding(images, terms, run.device), schedule, run)


def _pictures(data: Sequence[str | Path], size: int, run: Run) -> Picture:
    """The pictures to learn from, mapped into memory from a folder beside the run's."""
    return collection.pictures(data, size, "train", run.out.with_name(f"{run.out.name}-pictures"), run.note)


def freeze_encoder(tokenizer: Tokenizer, other: Tokenizer) -> None:
    """Give a tokenizer the encoder of another, for good: its codes are the other's, only its decoder learns."""
    tokenizer.encoder.load_state_dict(other.encoder.state_dict())
    tokenizer.encoder.requires_grad_(False)


def _placed(tokenizer: Tokenizer, device: torch.device) -> Tokenizer:
    # Convolutions of pictures with few channels are a quarter faster in this layout.
    return tokenizer.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _train(stage: str, tokenizer: Tokenizer, task: Reconstruction, schedule: Schedule, run: Run) -> Path:
    model = Adversarial(tokenizer).to(run.device) if task.terms.adversarial else tokenizer
    about = {"stage": stage, "preset": run.preset, "terms": asdict(task.terms), "pictures": len(task.images)}
    return run.train(model, task, schedule, about, network=tokenizer)
