"""LoRA: additions alone learn, and merged they are the same model."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from tests.viewmask.learning.together import task, together
from viewmask.learning import checkpoint, lora, processes
from viewmask.learning.average import Average
from viewmask.learning.schedule import Schedule
from viewmask.learning.trainer import CHECKPOINT, EXPORT, Trainer
from viewmask.model import sequence
from viewmask.model.transformer import Transformer, TransformerConfig

SCHEDULE = Schedule(steps=6, batch=4, rate=1e-2, warmup=2)


def network(codes="bits"):
    torch.manual_seed(0)
    bits = 18 if codes == "bits" else 6
    return Transformer(
        TransformerConfig(width=32, layers=2, heads=2, hidden=48, words=len(task().vocabulary), grid=2, codes=codes,
                          bits=bits)
    ).eval()  # fmt: skip


def adapted(codes="bits", dtype=torch.float16):
    """A network, matrices in half precision, with additions as if they had learnt."""
    model = network(codes).to(dtype)
    lora.adapt(model, 3)
    for name, parameter in model.named_parameters():
        if name.endswith(".up"):
            torch.nn.init.normal_(parameter, std=0.05)
    return model


@torch.no_grad()
def logits(model):
    layout = sequence.i2mv()
    tokens = torch.randint(0, 2**6, (2, 4, 2, 2), generator=torch.Generator().manual_seed(1))
    words, seen = model(layout, sequence.words(layout, torch.zeros(2, 0, dtype=torch.long)), tokens, tokens < 9)
    return torch.cat([model.predict(seen.flatten(0, 3)).codes.flatten(), model.word_head(words).flatten()])


@pytest.mark.parametrize("codes", ["bits", "table"])
def test_merged_equals_unmerged(codes):
    model, before = adapted(codes), network(codes)
    whole = network(codes)
    whole.load_state_dict({name: tensor.float() for name, tensor in lora.merged(model.float().state_dict()).items()})
    assert (logits(model) - logits(before.half().float())).abs().max() > 0.1
    torch.testing.assert_close(logits(whole), logits(model), atol=2e-5, rtol=1e-4)


def test_matrices_keep_half_precision_and_the_model_still_counts_in_full():
    model, full = adapted(), adapted().float()
    kinds = {p.dtype for p in model.parameters() if p.ndim > 1 and not p.requires_grad}
    assert kinds == {torch.float16}
    torch.testing.assert_close(logits(model), logits(full), atol=1e-6, rtol=0)


def test_nothing_changes_at_first_and_a_state_without_additions_stays():
    model, before = network(), logits(network())
    state = model.state_dict()
    assert lora.plain(state).keys() == lora.merged(state).keys() == state.keys()
    assert lora.additions(state) == {}
    lora.adapt(model, 3)
    assert torch.equal(logits(model), before)
    assert lora.plain(model.state_dict()).keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in lora.plain(model.state_dict()).items())


def test_the_average_has_no_second_copy_of_what_is_frozen():
    model = adapted()
    average = Average(model, 0.9)
    for (name, mine), theirs in zip(average.model.named_parameters(), model.parameters(), strict=True):
        assert (mine is theirs) == (not theirs.requires_grad), name
    with torch.no_grad():
        ups = [parameter for parameter in model.parameters() if parameter.requires_grad]
        before = [parameter.clone() for parameter in ups]
        for parameter in ups:
            parameter += 1
    average.update(model, 0)
    mine = [
        parameter
        for parameter in average.model.parameters()
        if all(parameter is not each for each in model.parameters())
    ]
    for old, new, kept in zip(before, ups, mine, strict=True):
        torch.testing.assert_close(kept, old.lerp(new, 0.9))


def train(out: Path, stop: int | None = None, resume: bool = False) -> None:
    """Tune a network, perhaps to be cut after some steps."""
    joined, model = processes.joined(), network().half()
    if resume:
        model = checkpoint.load(out / CHECKPOINT, Transformer, TransformerConfig, dtype=None)[0]
    torch.manual_seed(3)
    lora.adapt(model, 3)

    def progress(step, steps, figures):
        if step == stop:
            raise RuntimeError("cut")

    trainer = Trainer(model, task(), out, SCHEDULE, {"lora": 3}, processes=joined, save_every=-1)
    trainer.run(resume, progress)


def test_additions_alone_learn_and_a_run_goes_on_exactly(tmp_path):
    train(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="cut"):
        train(tmp_path / "parts", stop=4)
    train(tmp_path / "parts", resume=True)
    for place in (f"{CHECKPOINT}/model", f"{CHECKPOINT}/optimizer", f"{EXPORT}/model"):
        one, two = (checkpoint.read_tensors(tmp_path / run / f"{place}.safetensors") for run in ("whole", "parts"))
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    kept = checkpoint.read_tensors(tmp_path / "whole" / CHECKPOINT / "model.safetensors")
    begun = network().half().state_dict()
    assert all(torch.equal(kept[name].half(), begun[name]) for name in begun)
    exported, config, _ = checkpoint.load(tmp_path / "whole" / EXPORT, Transformer, TransformerConfig)
    assert asdict(config) == asdict(network().config)
    changed = {name for name, tensor in exported.state_dict().items() if not torch.equal(tensor, begun[name].float())}
    assert changed == {
        f"{name}.weight" for name, each in network().named_modules() if isinstance(each, torch.nn.Linear)
    }
    names = checkpoint.read_tensors(tmp_path / "whole" / CHECKPOINT / "optimizer.safetensors")
    assert not [name for name in names if "original" in name]


FSDP = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}  # fmt: skip


@pytest.mark.parametrize("environment", [None, FSDP], ids=["ddp", "fsdp2"])
def test_two_processes_tune_as_one_does(tmp_path, environment):
    pytest.importorskip("accelerate")
    train(tmp_path / "one")
    assert together(train, tmp_path / "two", environment=environment) == [0, 0]
    one, two = (checkpoint.read_tensors(tmp_path / run / EXPORT / "model.safetensors") for run in ("one", "two"))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=2e-3, rtol=0)
