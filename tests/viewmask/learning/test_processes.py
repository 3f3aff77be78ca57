"""Several processes train as one does: the same batches, exact resume, one that writes."""

import json
import shutil

import pytest
import torch

from tests.viewmask.learning.together import SCHEDULE, curve, together, train
from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint, log
from viewmask.learning.task import Part
from viewmask.learning.trainer import CHECKPOINT, EXPORT, Trainer

pytest.importorskip("accelerate")


def weights(out):
    return checkpoint.read_tensors(out / CHECKPOINT / checkpoint.MODEL)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run of one process."""
    out = tmp_path_factory.mktemp("alone")
    train(out)
    return out


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The same run on two processes, never interrupted."""
    out = tmp_path_factory.mktemp("pair")
    assert together(train, out) == [0, 0]
    return out


def test_two_processes_equal_one(alone, pair):
    assert len(curve(pair)) == 20
    assert [step for step, _ in curve(pair)] == [step for step, _ in curve(alone)]
    for (_, mine), (_, theirs) in zip(curve(pair), curve(alone), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    (one,), (two,) = log.read(alone), log.read(pair)
    assert one.keys() == two.keys()
    assert {name: two[name] for name in two if name != "seconds"} == pytest.approx(
        {name: one[name] for name in one if name != "seconds"}, abs=1e-5
    )


def test_a_killed_run_goes_on_as_if_nothing_had_been(alone, pair, tmp_path):
    assert together(train, tmp_path, event=(9, "SIGKILL", [0, 1]), save_every=-1) == [-9, -9]
    kept = tmp_path.with_name("kept")
    shutil.copytree(tmp_path, kept)
    assert together(train, tmp_path, resume=True) == [0, 0]
    assert curve(tmp_path) == curve(pair)
    assert [line | {"seconds": 0} for line in log.read(tmp_path)] == [line | {"seconds": 0} for line in log.read(pair)]
    for name, tensor in weights(pair).items():
        assert torch.equal(weights(tmp_path)[name], tensor), name
    # One process can go on with what two began.
    train(kept, resume=True)
    assert [loss for _, loss in curve(kept)] == pytest.approx([loss for _, loss in curve(alone)], abs=1e-5)


FSDP = {
    "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_RESHARD_AFTER_FORWARD": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}  # fmt: skip


def test_weights_may_be_sharded(alone, tmp_path):
    assert together(train, tmp_path, environment=FSDP, event=(9, "SIGTERM", [0]), accumulate=2) == [0, 0]
    kept = tmp_path.with_name("sharded")
    shutil.copytree(tmp_path, kept)
    assert together(train, tmp_path, environment=FSDP, resume=True) == [0, 0]
    assert [loss for _, loss in curve(tmp_path)] == pytest.approx([loss for _, loss in curve(alone)], abs=1e-5)
    (one,), (two,) = log.read(alone), log.read(tmp_path)
    assert two["val"] == pytest.approx(one["val"], abs=1e-5)
    for name, tensor in weights(alone).items():
        torch.testing.assert_close(weights(tmp_path)[name], tensor, atol=2e-4, rtol=0)
    # Files know nothing of shards: one process goes on.
    train(kept, resume=True)
    assert [loss for _, loss in curve(kept)] == pytest.approx([loss for _, loss in curve(alone)], abs=1e-5)


def test_zero_2_is_weights_that_stay_whole_between_the_two_ways(alone, tmp_path):
    kept = FSDP | {"FSDP_RESHARD_AFTER_FORWARD": "false"}
    assert together(train, tmp_path, environment=kept) == [0, 0]
    assert [loss for _, loss in curve(tmp_path)] == pytest.approx([loss for _, loss in curve(alone)], abs=1e-5)
    for name, tensor in weights(alone).items():
        torch.testing.assert_close(weights(tmp_path)[name], tensor, atol=2e-4, rtol=0)


def test_a_signal_to_any_process_writes_one_checkpoint(tmp_path):
    # Every process is told twice: by its launcher, and by the cluster.
    assert together(train, tmp_path, event=(7, "SIGTERM", [1])) == [0, 0]
    record = json.loads((tmp_path / CHECKPOINT / checkpoint.TRAINER).read_text())
    assert record["step"] == 7
    assert not (tmp_path / EXPORT).exists()
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, "curve.jsonl"}


def test_parts_add_up_to_the_batch(alone, tmp_path):
    train(tmp_path, accumulate=3)
    assert [loss for _, loss in curve(tmp_path)] == pytest.approx([loss for _, loss in curve(alone)], abs=1e-5)


def test_parts_of_a_batch():
    assert [Part(number, 3).rows(8) for number in range(3)] == [slice(0, 2), slice(2, 5), slice(5, 8)]


def test_what_cannot_be_split_is_said(tmp_path):
    with pytest.raises(ViewmaskError, match="a batch of 6 cannot be split into 7 parts"):
        train(tmp_path, accumulate=7)

    class Plain(torch.nn.Linear):
        config = None

        def __init__(self):
            super().__init__(1, 1)

    class Whole:
        def loss(self, model, step, random, batch):
            raise AssertionError

    with pytest.raises(ViewmaskError, match="one piece"):
        Trainer(Plain(), Whole(), tmp_path, SCHEDULE, {}, accumulate=2)
