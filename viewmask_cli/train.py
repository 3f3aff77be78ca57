"""`viewmask train`: every part of the model that learns."""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.learning import processes
from viewmask_cli import output
from viewmask_cli.progress import note, progress

Stage = Literal["tokenizer", "decoder", "align", "i2mv", "t2mv", "reranker", "refiner", "framing", "recon"]
Preset = Literal["nano", "small", "paper-stage1", "paper-stage2", "paper-stage3"]
VIEWS = ("tokenizer", "decoder", "refiner", "framing", "recon")  # what learns from pictures
TRANSFORMER = ("align", "i2mv", "t2mv")  # its stages
PAPER: dict[str, Stage] = {"paper-stage1": "align", "paper-stage2": "i2mv", "paper-stage3": "t2mv"}


def train(
    stage: Annotated[
        Stage | None,
        typer.Argument(
            help="tokenizer, decoder, refiner, framing and recon learn from views, the others from tokens.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", "-d", help="Views (folder, shards, URL) or tokens.parquet. May be repeated.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Run folder to write.", show_default="runs/STAGE")
    ] = None,
    preset: Annotated[
        Preset, typer.Option(help="nano suits two CPU cores, small a GPU, the paper's stages a cluster: see --plan.")
    ] = "nano",
    time_limit: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Stop after this time: 90 (seconds), 45m or 6h.", show_default="none"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many steps.", show_default="the preset's")
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="Weights to start from: the previous stage's, or this stage's own.", show_default="none"
        ),
    ] = None,
    gentle: Annotated[
        bool, typer.Option(help="With --init of this stage: use 0.3 of the usual learning rates.")
    ] = True,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            help="Weights of the tokenizer that made the tokens; for decoder, the one to decode.",
            show_default="the shipped one",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random. A resumed run keeps its own.")] = 0,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, help="Rows a step over all processes. A resumed run keeps its own.", show_default="the preset's"
        ),
    ] = None,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Work a batch out in so many parts, one after the other: less memory.")
    ] = 1,
    lora: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="RANK",
            help="Tune the transformer of --init by additions of this rank alone: less memory.",
            show_default="all weights learn",
        ),
    ] = None,
    each_once: Annotated[
        bool, typer.Option("--each-once", help="Every row of tokens once before any comes again; rare things as often.")
    ] = False,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Work activations out again on the way back: less memory, slower.")
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the transformer's blocks: a slow start, then faster steps.")
    ] = False,
    tracker: Annotated[
        str | None,
        typer.Option(help="Also log to an experiment tracker: tensorboard, wandb, mlflow ...", show_default="none"),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="With a preset of the paper's: say what it asks of --count GPUs, and stop.")
    ] = False,
    gpu: Annotated[str, typer.Option(help="Kind of GPU for --plan: h200, h100, a100, a100-40, l40s, 4090.")] = "h100",
    count: Annotated[int, typer.Option(min=1, help="Number of GPUs for --plan.")] = 24,
    mfu: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of the GPUs' peak that --plan counts with.")
    ] = 0.4,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> Path | None:
    """Train one part of the model.

    tokenizer: pictures to tokens and back. decoder: a larger decoder for a trained tokenizer (--tokenizer).
    align, i2mv, t2mv: the transformer, in the paper's three stages: words, picture to views, sentence to views.
    reranker: ranks draws of a sentence, on top of a transformer (--init). Takes minutes.
    refiner: fills finer tokens, given those of a transformer (--init). Its views have twice the tokenizer's pixels.
    framing: how large a cut-out object is in a view, and where. Learns from views and render --photos.
    recon: the field that shapes meshes. Its views need viewmask render ... --passes points.

    The run folder holds checkpoint/ (resumable), log.jsonl, loss.png and, at the end, weights/.
    Many processes: torchrun ... -m viewmask_cli train ..., or accelerate launch (docs/cluster.md).

    Example: viewmask train i2mv --data tokens.parquet --out runs/i2mv --time-limit 6h
    """
    if plan and stage in (None, PAPER.get(preset, stage)):
        _plan(preset, gpu, count, mfu, as_json)
        return None
    stage = stage or PAPER.get(preset)
    if stage is None:
        raise ViewmaskError(f"missing 'stage', one of {', '.join(get_args(Stage))}: see viewmask train --help")
    if stage != PAPER.get(preset, stage):
        raise ViewmaskError(f"{preset} is the stage {PAPER[preset]}, not {stage}: leave out one of them")
    out = out or Path("runs") / stage
    limit = seconds(time_limit) if time_limit is not None else None
    if not data:
        wanted = "--data views (folders of posed views)" if stage in VIEWS else "--data tokens.parquet"
        raise ViewmaskError(f"name what to train on: {wanted}")
    if stage == "recon" and (tokenizer or preset != "nano"):
        raise ViewmaskError("recon has one size and no tokenizer: leave out --preset and --tokenizer")
    if stage in ("reranker", "refiner", "framing") and preset != "nano":
        raise ViewmaskError(f"{stage} has one size: leave out --preset")
    if (checkpointing or each_once or lora) and stage not in TRANSFORMER:
        raise ViewmaskError(f"--checkpointing, --lora and --each-once are for {', '.join(TRANSFORMER)}: leave them out")
    if compiled and stage not in (*TRANSFORMER, "refiner"):
        raise ViewmaskError(f"--compile is for {', '.join(TRANSFORMER)} and refiner: leave it out")
    if (processes.launched() or accumulate > 1) and stage not in TRANSFORMER:
        raise ViewmaskError(
            f"only {', '.join(TRANSFORMER)} train on several processes or with --accumulate: {stage} learns from "
            "batches in one piece"
        )
    first = processes.rank() == 0  # of several processes one writes, and speaks
    if first:
        atomic.attempt(out)
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / "checkpoint").is_dir())):
        raise ViewmaskError(f"{out} exists and holds no run: choose another --out")

    from viewmask.train import stages
    from viewmask.train.run import Run

    if stage == "recon":
        _pack(data, out)
    with progress(f"training {stage}") if first else nullcontext(_silent) as report:

        def show(step: int, steps: int, figures: dict[str, float]) -> None:
            # A time limit may end the run first: the share done says at which step.
            share = figures.pop("share", 0.0)
            report(step, min(steps, round(step / share)) if share > 0 else steps, **figures)

        run = Run(
            out, preset=preset, time_limit=limit, steps=steps, resume=resume, init=init, tokenizer=tokenizer, seed=seed,
            gentle=gentle, progress=show, note=note if first else _silent, batch=batch, accumulate=accumulate,
            each_once=each_once, checkpointing=checkpointing, compiled=compiled, tracker=tracker,
            lora=lora,
        )  # fmt: skip
        try:
            weights = stages.train(stage, data, run)
        except KeyboardInterrupt:
            if first:
                note("to go on: the same command with --resume")
            raise
    if not first:
        return weights
    files = [file for file in (out / "log.jsonl", out / "loss.png") if file.exists()]
    output.say(as_json, {"weights": str(weights), "files": [str(file) for file in files]}, [weights, *files])
    return weights


def _silent(*_: object, **__: object) -> None:
    """What all processes but the first have to say."""


def _plan(preset: str, gpu: str, count: int, mfu: float, as_json: bool) -> None:
    """What a stage of the paper's asks of a cluster."""
    from viewmask.train.budget import GB, GPUS, RECIPES, budget

    if preset not in RECIPES:
        raise ViewmaskError(f"--plan is for the paper's stages: --preset {', '.join(RECIPES)}")
    if gpu not in GPUS:
        raise ViewmaskError(f"the GPU '{gpu}' is not known: choose one of {', '.join(GPUS)}")
    asked = budget(RECIPES[preset], GPUS[gpu], count, mfu)
    recipe = asked.recipe
    record = {
        "preset": preset, "gpu": gpu, "count": count, "mfu": mfu, "parameters": asked.parameters,
        "reported": recipe.reported, "chosen": recipe.chosen, "batch": recipe.batch, "steps": recipe.steps,
        "sequence": recipe.length, "flops": asked.flops, "days": asked.days, "token bytes": asked.tokens,
        "picture bytes": asked.pictures, "memory": [asdict(need) for need in asked.needs],
    }  # fmt: skip
    if as_json:
        output.say(True, record, [])
        return
    print(
        f"{preset} on {count} x {gpu} ({asked.gpu.memory / GB:.0f} GB, {asked.gpu.flops / 1e12:.0f} TFLOP/s bfloat16)"
    )
    print(f"reported    {recipe.reported}")
    print(f"chosen      {recipe.chosen}")
    print(f"parameters  {asked.parameters / 1e9:.2f} billion")
    print(f"steps       {recipe.steps} of {recipe.batch} sequences of {recipe.length}")
    print(f"FLOPs       {asked.flops:.2e}; {asked.days:.2f} days at {mfu:.0%} of the peak, with checkpointing")
    print(f"disk        tokens {asked.tokens / GB:.1f} GB, pictures behind them about {asked.pictures / GB:.0f} GB")
    print("memory of a GPU in GB, one sequence at a time (activations: plain, with checkpointing)")
    print("          weights  gradients  optimizer  plain  checkpointing  sequences that fit")
    for need in asked.needs:
        parts = (need.weights, need.gradients, need.optimizer, need.plain, need.checkpointed)
        columns = zip((f"{part / GB:.1f}" for part in parts), (7, 10, 10, 6, 14), strict=True)
        figures = " ".join(f"{figure:>{width}}" for figure, width in columns)
        print(f"{need.strategy:9} {figures} {need.fitting or 'none':>19}")


def _pack(data: list[str], out: Path) -> None:
    """Pack what the field learns from, with a bar of its own."""
    from viewmask.train.field import SPLITS, pack, packs

    for split in SPLITS:
        with progress(f"packing {split}", "objects") as report:
            pack(data, packs(out, split), split, report)


def seconds(duration: str) -> float:
    """`90`, `90s`, `45m`, `1.5h` or `2d` in seconds.

    Raises:
        ViewmaskError: not a positive duration.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", duration.strip())
    value = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]] if match else 0.0
    if value <= 0:
        raise ViewmaskError(f"{duration!r} is no duration: write 90 (seconds), 45m or 6h")
    return value
