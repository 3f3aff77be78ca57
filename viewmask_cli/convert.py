"""`viewmask convert`: released weights of others into our form, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from viewmask.errors import ViewmaskError
from viewmask.files.counting import counted
from viewmask_cli import output
from viewmask_cli.progress import note, progress


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="File or folder of weights, or a name on the hub: OWNER/NAME, OWNER/NAME/FILE."
        ),
    ],
    to: Annotated[Path | None, typer.Option("--to", help="Folder to write.", show_default=False)] = None,
    to_peer: Annotated[
        bool,
        typer.Option("--to-peer", help="SOURCE is a folder of our weights: write its peer's names and order."),
    ] = False,
    words_only: Annotated[
        bool, typer.Option("--words-only", help="With --to-peer: no visual tokens, as LLaDA was released.")
    ] = False,
    bits: Annotated[
        int, typer.Option(min=1, max=20, help="Bits of the visual tokens that LLaDA is given: 2^BITS of them.")
    ] = 18,
    seed: Annotated[int, typer.Option(min=0, help="Seed of what these begin as.")] = 0,
    plan: Annotated[bool, typer.Option("--plan", help="List every tensor and where it goes; write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace --to, whatever it holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> list[Path]:
    """Convert released weights: Open-MAGVIT2 and showlab/magvitv2 (tokenizers), LLaDA-8B and MMaDA-8B (transformers).

    Numbers stay as they are, to the bit. Weights are read a few rows at a time, and nothing in a file is executed.
    --to-peer leads back.

    Example: viewmask convert GSAI-ML/LLaDA-8B-Base --to weights/transformer --plan
    """
    if to is None and not plan:
        raise ViewmaskError("name the folder to write: --to DIR (or --plan, which writes nothing)")
    if words_only and not to_peer:
        raise ViewmaskError("--words-only belongs to --to-peer")
    if to is not None and force:
        output.check_folder(to, force)

    from viewmask.model import conversion, hub

    job = conversion.departure(source, words_only) if to_peer else conversion.arrival(hub.place(source), bits, seed)
    record: dict[str, Any] = {"peer": job.plan.peer, "bytes": job.plan.size, "notes": list(job.plan.notes)}
    if plan:
        _show(job.plan, record, as_json)
        return []
    assert to is not None
    for line in job.plan.notes:
        note(line)
    with progress("converting", "MB") as report:
        files = job.write(to, force, lambda done, total: report(done // 10**6, total // 10**6))
    record |= {"out": str(to), "files": [str(file) for file in files]}
    output.say(
        as_json,
        record,
        [to],
        f"{job.plan.peer}, {counted(len(job.plan.targets), 'tensor')}, {job.plan.size / 1e9:.2f} GB",
    )
    return files


def _show(plan: Any, record: dict[str, Any], as_json: bool) -> None:
    """Every tensor, what it is made of, and what goes nowhere."""
    record["tensors"] = {
        each.name: {"is": str(each.entry), "from": [str(part) for part in each.parts]} for each in plan.targets
    }
    record["left out"] = list(plan.left)
    if as_json:
        output.say(True, record, [])
        return
    for name, tensor in record["tensors"].items():
        print(f"{name}  {tensor['is']}  <-  {' + '.join(tensor['from'])}")
    for name in plan.left:
        print(f"{name}  ->  nowhere")
    for line in plan.notes:
        print(f"# {line}")
    print(f"# {plan.peer}: {counted(len(plan.targets), 'tensor')}, {plan.size / 1e9:.2f} GB; nothing was written")
