"""The training of the tokenizer, of its decoder by itself, of the paper's three stages and of the reranker, as presets:
what is trained on what, how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint, trainer
from viewmask.learning.checkpoint import fingerprint
from viewmask.learning.trainer import LAST, Progress, Schedule
from viewmask.model import captions as wording
from viewmask.model import transformer, vocabulary
from viewmask.model.generator import TOKENIZER, TRANSFORMER, WEIGHTS
from viewmask.model.reranker import Towers, TowersConfig, features
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
from viewmask.model.transformer import Transformer, TransformerConfig, deepened, reworded
from viewmask.train import ranking as contrast
from viewmask.train import tokens
from viewmask.train.codes import Decoding, Reconstruction, Terms
from viewmask.train.masked import Denoising, Mixture, held_out
from viewmask.views import collection

STAGES = ("tokenizer", "decoder", "align", "i2mv", "t2mv", "reranker")

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
        Schedule(steps=5_000, batch=16, rate=1e-3, muon=3e-3, warmup=50, average=0.998),
    ),
    "small": (
        {"decoder_stem": 4, "decoder_widths": (128, 256, 384), "decoder_blocks": (2, 2, 2)},
        Terms(perceptual=0.3, adversarial=0.02),
        Schedule(steps=20_000, batch=64, rate=5e-4, muon=1.5e-3, warmup=200, precision="bfloat16"),
    ),
}

TRANSFORMERS = {"nano": transformer.NANO, "small": transformer.SMALL}

# The last stage keeps what those before it learnt, so a sixth of its batches are I2MV; words are learnt fastest from
# single pictures, of which a batch holds four times as many.
MIXTURES = {
    "align": Mixture(t2i=0.6, mmu=0.4),
    "i2mv": Mixture(i2mv=1.0),
    "t2mv": Mixture(t2i=0.35, mmu=0.03, i2mv=0.17, t2mv=0.45, cosine=True),
}

NANO_SCHEDULE = Schedule(steps=3_000, batch=24, rate=2e-3, muon=4e-3, warmup=50, decay=0.05, average=0.998)
SMALL_SCHEDULE = Schedule(
    steps=8_000, batch=256, rate=1e-3, muon=2e-3, warmup=200, decay=0.05, average=0.9995, precision="bfloat16"
)
RERANKING = Schedule(steps=600, batch=256, rate=1e-3, warmup=50, decay=0.1, average=0.98)
SCHEDULES = {
    ("nano", "align"): replace(NANO_SCHEDULE, steps=500),
    ("nano", "i2mv"): NANO_SCHEDULE,
    ("nano", "t2mv"): replace(NANO_SCHEDULE, batch=16, rate=1.5e-3, muon=3e-3),
    ("small", "align"): replace(SMALL_SCHEDULE, steps=2_000),
    ("small", "i2mv"): SMALL_SCHEDULE,
    ("small", "t2mv"): replace(SMALL_SCHEDULE, rate=7e-4, muon=1.4e-3),
}


def train(
    stage: str,
    data: Sequence[str | Path],
    out: Path,
    preset: str = "nano",
    time_limit: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    init: Path | None = None,
    tokenizer: Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    gentle: bool = True,
) -> Path:
    """Train the tokenizer or its decoder (`data`: folders of view sets, or shards), or a stage of the model or the
    reranker (`data`: token files).

    Args:
        stage: one of STAGES.
        data: what to train on; only what belongs to the split "train", or to no split, is learnt from. Of rows of the
            split "val", if token files hold some, the log tells the loss; the end is kept all the same, as a network
            that is surer than they warrant draws no worse (docs/notebook.md).
        out: run folder; see `training.run`.
        preset: "nano" (two CPU cores) or "small" (a data-centre GPU).
        time_limit: seconds.
        steps: optimizer steps, in place of the preset's.
        resume: continue the run in `out`.
        init: weights to start from: the stage before; or this one, then the rates are lower (`training.GENTLY`) unless
            the preset has more layers or the vocabulary more words, which a transformer then gets. For the reranker the
            transformer that it reads with, the shipped one by default.
        tokenizer: weights of the tokenizer that made the tokens, or whose codes a decoder learns; the shipped one by
            default.
        seed: of everything.
        progress: called with step, steps and figures.
        gentle: False goes on with weights of this stage at the full rates, too.

    Returns:
        The folder of exported weights.

    Raises:
        ViewmaskError: an unknown stage or preset, no data, nothing to resume, weights of another size.
    """
    if stage not in STAGES:
        raise ViewmaskError(f"no stage '{stage}': choose one of {', '.join(STAGES)}")
    if preset not in TOKENIZERS:
        raise ViewmaskError(f"no preset '{preset}': choose one of {', '.join(TOKENIZERS)}")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(seed)  # what weights begin as
    score = None
    start = out / LAST if resume else init
    if stage == "tokenizer":
        config, terms, schedule = TOKENIZERS[preset]
        images = collection.stack(data, config.size, "train")
        task: trainer.Task = Reconstruction(config, images, terms, device)
        about = {"terms": asdict(terms), "pictures": len(images)}
        kind: tuple[type[torch.nn.Module], type] = (Tokenizer, TokenizerConfig)
    elif stage == "decoder":
        codes = checkpoint.load(tokenizer or WEIGHTS / TOKENIZER, Tokenizer, TokenizerConfig)[0]
        finer, terms, schedule = DECODERS[preset]
        config = replace(codes.config, **finer)
        images = collection.stack(data, config.size, "train")
        task = Decoding(config, images, terms, device, codes.encoder)
        about = {"terms": asdict(terms), "pictures": len(images)}
        kind = (Tokenizer, TokenizerConfig)
    else:
        codes = checkpoint.load(tokenizer or WEIGHTS / TOKENIZER, Tokenizer, TokenizerConfig)[0]
        name = fingerprint(codes.encoder)
        files = [Path(file) for file in data]
        rows = tokens.read(files, name, "train")
        unseen = tokens.read(files, name, "val") if tokens.holds(files, "val") else None
        about = {"tokenizer": name, "rows": len(rows.ids), "objects": len(set(rows.ids))}
        if stage == "reranker":
            schedule, start = RERANKING, out / LAST if resume else None
            reader = checkpoint.load(init or WEIGHTS / TRANSFORMER, Transformer, TransformerConfig)[0]
            towers = TowersConfig(features(reader.config), vocabulary.size())
            task = ranking = contrast.Contrast(towers, reader, rows, device)
            score = contrast.held_out(ranking, unseen) if unseen else None
            about = {"transformer": fingerprint(reader)} | about
            kind = (Towers, TowersConfig)
        else:
            schedule, mixture = SCHEDULES[preset, stage], MIXTURES[stage]
            architecture = replace(
                TRANSFORMERS[preset], words=vocabulary.size(), grid=codes.config.grid, bits=codes.config.bits
            )
            task = denoising = Denoising(architecture, rows, mixture, device)
            score = held_out(denoising, unseen) if unseen else None
            said: dict[str, set[str]] = {}  # by object, of which there may be variants
            for one, captions in zip(rows.ids, rows.captions, strict=True):
                said.setdefault(one, set()).update(captions)
            about = {"mixture": asdict(mixture), "words": wording.repeated(said.values())} | about
            kind = (Transformer, TransformerConfig)
    schedule = replace(schedule, steps=steps or schedule.steps, seed=seed)
    if start is not None:
        loaded: tuple[torch.nn.Module, Any, dict[str, Any]] = checkpoint.load(start, *kind)
        known, shape, theirs = loaded
        if (reads := theirs.get("transformer")) != about.get("transformer") and stage == "reranker":
            raise ViewmaskError(f"{start} learnt with the transformer {reads}: --init must name the same to go on")
        if gentle and theirs.get("stage") == stage and shape == task.config:
            schedule = trainer.gently(schedule)
        if not resume and isinstance(known, Transformer):
            known = _grown(known, task.config)
            shape = known.config
        if shape != task.config:
            raise ViewmaskError(
                f"{start} is of another size than the preset '{preset}', and only --init adds layers and words"
            )
        if stage == "decoder" and fingerprint(known.get_submodule("encoder")) != fingerprint(codes.encoder):
            raise ViewmaskError(f"{start} decodes other codes than those of {tokenizer or WEIGHTS / TOKENIZER}")
        task.model.load_state_dict(known.state_dict())
    about = {"stage": stage, "preset": preset} | about
    return trainer.run(task, out, schedule, about, time_limit, resume, progress=progress, score=score, keep_best=False)


def worded(known: Transformer, words: int) -> Transformer:
    """With the words of the vocabulary that it lacks up to `words`, if the vocabulary tells what they begin as."""
    parts = vocabulary.parts()
    first = vocabulary.size() - len(parts)  # the words before are put together from no others
    if not first <= known.config.words < words <= vocabulary.size():
        return known
    return reworded(known, parts[known.config.words - first : words - first])


def _grown(known: Transformer, config: TransformerConfig) -> Transformer:
    """With the layers and words that it lacks; what it has more than `config` stays."""
    if known.config.layers < config.layers:
        known = deepened(known, config.layers)
    return worded(known, config.words)
