"""The training loop on a toy task: exact resume, average, learning rate, and the real tasks for a few steps."""

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint, log, trainer
from viewmask.learning.average import Average
from viewmask.learning.interruption import patience
from viewmask.learning.muon import Muon, orthogonal, orthogonal_long
from viewmask.learning.schedule import Schedule, rate


@dataclass(frozen=True)
class ToyConfig:
    width: int = 6


class Toy(torch.nn.Module):
    def __init__(self, config=ToyConfig()):
        super().__init__()
        self.config = config
        self.blocks = torch.nn.ModuleList([torch.nn.Linear(config.width, config.width)])
        self.head = torch.nn.Linear(config.width, 1)

    def forward(self, x):
        return self.head(torch.tanh(self.blocks[0](x)))


class Task:
    def loss(self, model, step, random, batch):
        x = torch.from_numpy(random.normal(size=(batch, 6)).astype(np.float32))
        noise = 0.01 * torch.randn(batch, 1)
        return (model(x) - x.sum(dim=1, keepdim=True) + noise).square().mean(), {}


def toy(start=None):
    torch.manual_seed(0)
    return checkpoint.load(start, Toy, ToyConfig)[0] if start else Toy()


def run(out, schedule, model=None, task=None, *, about=None, resume=False, progress=None, **options):
    """Train the toy in a folder."""
    model = model or toy(out / trainer.CHECKPOINT if resume else None)
    return trainer.Trainer(model, task or Task(), out, schedule, about or {}, **options).run(resume, progress)


SCHEDULE = Schedule(steps=12, batch=8, rate=1e-2, muon=1e-2, warmup=3)


def weights(path):
    return (path / "weights" / checkpoint.MODEL).read_bytes()


def test_a_resumed_run_repeats_an_uninterrupted_one(tmp_path):
    run(tmp_path / "whole", SCHEDULE)

    class CutError(Exception):
        pass

    def cut(step, steps, figures):
        if step == 7:
            raise CutError

    with pytest.raises(CutError):
        run(tmp_path / "cut", SCHEDULE, save_every=0, progress=cut)
    run(tmp_path / "cut", SCHEDULE, resume=True)
    assert weights(tmp_path / "whole") == weights(tmp_path / "cut")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_loses_nothing(tmp_path, number):
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(signal.SIGTERM)

    def ask(step, steps, figures):
        if step == 7:
            signal.raise_signal(number)

    try:
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", SCHEDULE, progress=ask)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is before[1]
    finally:
        signal.signal(signal.SIGINT, before[0])
    assert checkpoint.load_training(tmp_path / "cut" / trainer.CHECKPOINT)[1]["step"] == 7
    run(tmp_path / "cut", SCHEDULE, resume=True)
    run(tmp_path / "whole", SCHEDULE)
    assert weights(tmp_path / "whole") == weights(tmp_path / "cut")


def test_who_asks_twice_is_not_kept_waiting():
    with patience() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGTERM)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_training_runs_in_any_thread(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run, tmp_path, SCHEDULE).result() == tmp_path / trainer.EXPORT


@pytest.mark.parametrize("change", [{"seed": 1}, {"rate": 1e-4}, {"muon": 1e-4}])
def test_another_seed_or_rate_is_another_run_and_a_resumed_one_keeps_its_own(tmp_path, change):
    changed = replace(SCHEDULE, **change)
    for name, schedule in (("first", SCHEDULE), ("other", changed)):
        run(tmp_path / name, schedule)
    assert weights(tmp_path / "first") != weights(tmp_path / "other")
    for name, schedule in (("kept", changed), ("forgotten", SCHEDULE)):
        run(tmp_path / name, replace(changed, steps=6))
        run(tmp_path / name, schedule, resume=True)
    assert weights(tmp_path / "kept") == weights(tmp_path / "forgotten")
    about = json.loads((tmp_path / "forgotten" / "weights" / checkpoint.CONFIG).read_text())["about"]
    assert about["schedule"] == asdict(changed)


def test_training_lowers_the_loss_and_logs_it(tmp_path):
    run(tmp_path, replace(SCHEDULE, steps=150), about={"made": "here"})
    records = [json.loads(line) for line in (tmp_path / log.LOG).read_text().splitlines()]
    assert [record["step"] for record in records] == [50, 100, 150]
    assert records[-1]["loss"] < 0.7 * records[0]["loss"]
    assert (tmp_path / log.CURVE).stat().st_size > 500
    about = json.loads((tmp_path / "weights" / checkpoint.CONFIG).read_text())["about"]
    assert about["made"] == "here"
    assert about["steps"] == 150


def test_the_average_that_validated_best_is_exported(tmp_path):
    seen = []

    def validation(model):
        assert not model.training
        seen.append({name: tensor.detach().clone() for name, tensor in model.named_parameters()})
        return {"val": [0.1, 0.3, 0.2, 0.3][len(seen) - 1], "other": 0.0}

    place = run(tmp_path, SCHEDULE, validation=validation, validate_every=4, keep_best=True)
    assert len(seen) == 3  # 12 steps
    about = json.loads((place / checkpoint.CONFIG).read_text())["about"]
    assert about["steps"] == 8
    exported = checkpoint.read_tensors(place / checkpoint.MODEL)
    for name, tensor in seen[1].items():
        assert torch.equal(exported[name], tensor.half()), name
    # What is validated is the average, and validating changes nothing.
    run(tmp_path / "plain", SCHEDULE)
    run(tmp_path / "judged", SCHEDULE, validation=lambda model: {"val": 1.0}, validate_every=5)
    last = [
        checkpoint.read_tensors(tmp_path / name / trainer.CHECKPOINT / checkpoint.MODEL) for name in ("plain", "judged")
    ]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])
    assert weights(tmp_path / "plain") == weights(tmp_path / "judged")


def test_the_end_is_exported_unless_the_best_is_wanted(tmp_path):
    place = run(tmp_path, SCHEDULE, validation=lambda model: {"val": 1.0}, validate_every=4)
    assert checkpoint.about(place)["steps"] == SCHEDULE.steps


def test_the_best_figure_survives_a_resume(tmp_path):
    options = {"validate_every": 6, "keep_best": True}
    run(tmp_path, SCHEDULE, validation=lambda model: {"val": 0.9}, **options)
    before = weights(tmp_path)
    run(tmp_path, replace(SCHEDULE, steps=20), resume=True, validation=lambda model: {"val": 0.8}, **options)
    assert weights(tmp_path) == before


def test_the_average_follows_the_formula():
    model = toy()
    average = Average(model, decay=0.6)
    value = model.head.bias.item()
    expected = value
    for step in range(20):
        with torch.no_grad():
            model.head.bias.fill_(value + 1 + step)
        average.update(model, step)
        decay = min(0.6, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * (value + 1 + step)
        assert average.model.head.bias.item() == pytest.approx(expected, rel=1e-5)
    assert model.head.bias.item() == pytest.approx(value + 20)


def test_the_average_has_the_buffers_of_its_model():
    model = torch.nn.BatchNorm1d(3)
    average = Average(model, decay=0.9)
    model(torch.randn(8, 3) + 5)
    average.update(model, 0)
    assert torch.equal(average.model.running_mean, model.running_mean)
    assert average.model.running_mean.abs().max() > 0.1


def test_files_that_belong_to_weights_lie_with_them(tmp_path):
    place = run(tmp_path, SCHEDULE, files={"things.json": "{}"})
    assert (place / "things.json").read_text() == "{}"
    assert (tmp_path / trainer.CHECKPOINT / "things.json").read_text() == "{}"


def test_a_run_is_not_overwritten(tmp_path):
    run(tmp_path, SCHEDULE)
    with pytest.raises(ViewmaskError, match="--resume"):
        run(tmp_path, SCHEDULE)


def test_the_time_limit_ends_a_run(tmp_path):
    run(tmp_path, replace(SCHEDULE, steps=10**9), time_limit=0.2)
    assert json.loads((tmp_path / trainer.CHECKPOINT / checkpoint.TRAINER).read_text())["step"] < 10**6


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    task = Task()
    task.loss = lambda model, step, random, batch: (model(torch.full((1, 6), torch.nan)).sum(), {})
    with pytest.raises(ViewmaskError, match="nan"):
        run(tmp_path, SCHEDULE, task=task)


def test_the_learning_rate_warms_up_and_falls():
    rates = [rate(step / 100, step, 10) for step in range(101)]
    assert rates[0] == pytest.approx(0.1, abs=0.01)
    assert max(rates) == rates[9]
    assert rates[-1] == pytest.approx(0.01)


def test_newton_schulz_makes_matrices_nearly_orthogonal():
    for shape in ((20, 30), (30, 20)):
        singular = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(0))))
        assert singular.min() > 0.6
        assert singular.max() < 1.3


@pytest.mark.parametrize("shape", [(24, 648), (300, 40), (32, 32)])
def test_the_way_by_the_gram_matrix_comes_to_the_same(shape):
    # Singular values over five orders of magnitude, as gradients have them.
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    matrix *= torch.logspace(0, -5, shape[0])[:, None]
    assert torch.allclose(orthogonal_long(matrix), orthogonal(matrix), atol=1e-4)
    assert not torch.allclose(orthogonal_long(matrix, 1), orthogonal(matrix), atol=1e-2)


def test_muon_takes_a_kernel_for_the_matrix_that_it_is():
    start, gradient = torch.randn(6, 3, 2, 2, 2), torch.randn(6, 3, 2, 2, 2)
    kernel = torch.nn.Parameter(start.clone(memory_format=torch.channels_last_3d))
    matrix = torch.nn.Parameter(start.flatten(1).clone())
    kernel.grad, matrix.grad = gradient.clone(), gradient.flatten(1).clone()
    for parameter in (kernel, matrix):
        Muon([parameter], lr=0.01, weight_decay=0.1).step()
    assert torch.allclose(kernel.flatten(1), matrix, atol=1e-7)
    assert not torch.allclose(kernel, start, atol=1e-3)


def test_muon_agrees_with_pytorch_s():
    # PyTorch's computes in bfloat16: equal up to its rounding.
    start, gradients = torch.randn(16, 8), [torch.randn(16, 8) for _ in range(3)]
    mine, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    first = Muon([mine], lr=0.01, weight_decay=0.1)
    second = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients:
        mine.grad, theirs.grad = gradient.clone(), gradient.clone()
        first.step()
        second.step()
    moved = (theirs - start).norm()
    assert (mine - theirs).norm() < 0.05 * moved


def test_the_log_tells_of_every_layout_that_came_up(tmp_path):
    class Mixed(Task):
        def loss(self, model, step, random, batch):
            loss, _ = super().loss(model, step, random, batch)
            return loss, {"odd": float(step)} if step % 2 else {"even": float(step)}

    run(tmp_path, replace(SCHEDULE, steps=4), task=Mixed())
    record = json.loads((tmp_path / log.LOG).read_text())
    assert (record["odd"], record["even"]) == (2, 1)


# -- against a plain loop -----------------------------------------------------------------------------------


class Pair(torch.nn.Module):
    """The toy and a critic that learns beside it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.toy, self.critic = Toy(), torch.nn.Linear(6, 1)
        self.config = self.toy.config


class Both(Task):
    """The toy's loss and, far larger, the critic's."""

    def loss(self, model, step, random, batch):
        loss, _ = super().loss(model.toy, step, random, batch)
        return loss + 1000 * model.critic(torch.ones(1, 6)).square().sum(), {"even": float(step % 2 == 0)}


def plain_loop(schedule, steps, share=lambda step: None):
    """Train the pair step by step with AdamW; gives the pair, the average of its toy, and the losses."""
    model, losses = Pair(), []
    average = {name: parameter.detach().clone() for name, parameter in model.toy.named_parameters()}
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": schedule.decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=schedule.rate, betas=(0.9, 0.98))
    for step in range(steps):
        random = np.random.default_rng([schedule.seed, step])
        torch.manual_seed(int(random.integers(2**62)))
        progress = share(step) or step / schedule.steps
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate * rate(progress, step, schedule.warmup)
        loss, _ = Both().loss(model, step, random, schedule.batch)
        optimizer.zero_grad()
        loss.backward()
        for part in (model.toy, model.critic):  # each is clipped by its own size
            size = torch.cat([p.grad.flatten() for p in part.parameters()]).norm()
            for p in part.parameters():
                p.grad *= min(1.0, schedule.clip / (float(size) + 1e-6))
        optimizer.step()
        losses.append(loss.item())
        stays = min(schedule.average, (1 + step) / (10 + step))
        for name, parameter in model.toy.named_parameters():
            average[name] = stays * average[name] + (1 - stays) * parameter.detach()
    return model, average, losses


PLAIN = Schedule(steps=6, batch=8, rate=1e-2, warmup=3, decay=0.1, average=0.3, clip=0.02, seed=4)


def test_it_trains_as_a_plain_loop_does(tmp_path):
    calls = []
    model = Pair()
    place = run(tmp_path, PLAIN, model, Both(), network=model.toy, progress=lambda *call: calls.append(call))
    expected, average, losses = plain_loop(PLAIN, 6)
    for mine, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    exported = checkpoint.read_tensors(place / checkpoint.MODEL)
    assert {tensor.dtype for tensor in exported.values()} == {torch.float16}
    for name, tensor in average.items():
        torch.testing.assert_close(exported[name].float(), tensor, rtol=2e-3, atol=1e-5)
    last = checkpoint.read_tensors(tmp_path / trainer.CHECKPOINT / checkpoint.MODEL)
    for name, parameter in expected.toy.named_parameters():
        torch.testing.assert_close(last[name], parameter.detach(), rtol=1e-4, atol=1e-6)
    assert [call[:2] for call in calls] == [(step + 1, 6) for step in range(6)]
    assert [call[2]["loss"] for call in calls] == pytest.approx(losses, rel=1e-4)
    assert [call[2]["share"] for call in calls] == pytest.approx([step / 6 for step in range(6)])
    assert [call[2]["even"] for call in calls] == [1, 0, 1, 0, 1, 0]
    (line,) = log.read(tmp_path)
    assert line["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert (line["step"], line["even"]) == (6, 0.5)


def test_a_resumed_run_goes_on_with_what_learnt_beside(tmp_path):
    class CutError(Exception):
        pass

    def cut(step, steps, figures):
        if step == 3:
            raise CutError

    model = Pair()
    with pytest.raises(CutError):
        run(tmp_path, PLAIN, model, Both(), network=model.toy, progress=cut, save_every=-1)
    # It is cut before the third step is saved: the record is of the second.
    tensors, record = checkpoint.load_training(tmp_path / trainer.CHECKPOINT)
    assert {name for name in tensors if name.startswith("beside.")} == {"beside.critic.weight", "beside.critic.bias"}
    assert record["step"] == 2
    assert record["peaks"] == [[0.01, 0.01]]
    assert record["schedule"] == asdict(PLAIN)
    assert "best" not in record
    again = Pair()
    with torch.no_grad():
        for parameter in again.critic.parameters():
            parameter.fill_(7.0)
    again.toy = toy(tmp_path / trainer.CHECKPOINT)
    place = run(tmp_path, PLAIN, again, Both(), network=again.toy, resume=True)
    expected, average, _ = plain_loop(PLAIN, 6)
    for mine, theirs in zip(again.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    exported = checkpoint.read_tensors(place / checkpoint.MODEL)
    for name, tensor in average.items():
        torch.testing.assert_close(exported[name].float(), tensor, rtol=2e-3, atol=1e-5)


class Clock:
    """Time that goes on by itself, a second at each look."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1
        return self.now


def test_rates_fall_with_the_time_where_it_is_short(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "time", Clock())
    shares = []
    model = Pair()
    schedule = replace(PLAIN, steps=1000)
    run(tmp_path, schedule, model, Both(), network=model.toy, time_limit=10.0,
        progress=lambda step, steps, figures: shares.append(figures["share"]))  # fmt: skip
    assert 2 <= len(shares) < 10
    assert shares == sorted(shares)
    assert shares[-1] < 1
    assert shares[0] >= 0.1
    expected, _, _ = plain_loop(schedule, len(shares), lambda step: shares[step])
    for mine, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    record = checkpoint.load_training(tmp_path / trainer.CHECKPOINT)[1]
    assert record["step"] == len(shares)
    assert record["seconds"] >= 10
    about = json.loads((tmp_path / trainer.EXPORT / checkpoint.CONFIG).read_text())["about"]
    assert about["seconds"] >= 10
    # Time that is spent counts in the next sitting.
    again = Pair()
    again.toy = toy(tmp_path / trainer.CHECKPOINT)
    run(tmp_path, schedule, again, Both(), network=again.toy, time_limit=10.0, resume=True,
        progress=lambda *call: shares.append(1.0))  # fmt: skip
    assert record["step"] == len(shares)


def test_settings_that_nobody_states(tmp_path):
    plain = trainer.Trainer(toy(), Task(), tmp_path, SCHEDULE, {})
    assert (plain.time_limit, plain.save_every, plain.validate_every, plain.keep_best) == (None, 120, 250, False)
    assert plain.network is plain.model
    assert not trainer.Trainer(toy(), Task(), tmp_path, SCHEDULE, {}, keep_best=True).keep_best


def test_half_precision_is_asked_for_by_name(tmp_path):
    seen = []

    class Looking(Task):
        def loss(self, model, step, random, batch):
            seen.append((model.training, torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
            return super().loss(model, step, random, batch)

    for precision in ("float32", "bfloat16"):
        run(tmp_path / precision, replace(SCHEDULE, steps=1, precision=precision), toy().eval(), Looking())
    assert [(training, enabled) for training, enabled, _ in seen] == [(True, False), (True, True)]
    assert seen[1][2] == torch.bfloat16


def test_validation_sees_the_average_in_time_and_is_logged(tmp_path):
    seen, calls = [], []

    def validation(model):
        seen.append((model.training, model.head.bias.item()))
        return {"val": float(len(seen)), "other": 5.0}

    schedule = replace(SCHEDULE, steps=5)
    place = run(tmp_path, schedule, validation=validation, validate_every=2, about={"stage": "toy"},
                files={"vocabulary.json": "[1]"}, progress=lambda *call: calls.append(call[2]))  # fmt: skip
    assert [training for training, _ in seen] == [False, False]
    assert [figures.get("val") for figures in calls] == [None, 1, None, 2, None]
    (line,) = log.read(tmp_path)
    assert (line["val"], line["other"]) == (1.5, 5)
    record = json.loads((place / checkpoint.CONFIG).read_text())
    assert record["about"]["stage"] == "toy"
    assert record["about"]["steps"] == 5
    assert record["about"]["schedule"] == asdict(schedule)
    assert isinstance(record["about"]["seconds"], int)
    assert record["architecture"] == {"width": 6}
    for folder in (trainer.EXPORT, trainer.CHECKPOINT):
        assert (tmp_path / folder / "vocabulary.json").read_text() == "[1]"
    assert "best" not in checkpoint.load_training(tmp_path / trainer.CHECKPOINT)[1]


def test_the_best_is_kept_by_the_first_figure_and_the_end_is_judged_too(tmp_path):
    for number, (figures, best) in enumerate([([1.0, 3.0, 2.0], 4), ([1.0, 2.0, 3.0], 5), ([3.0, 3.0, 1.0], 2)]):
        figures = iter(figures)
        out = tmp_path / str(number)
        place = run(out, replace(SCHEDULE, steps=5), keep_best=True, validate_every=2,
                    validation=lambda model, figures=figures: {"val": next(figures), "other": 9.0})  # fmt: skip
        assert json.loads((place / checkpoint.CONFIG).read_text())["about"]["steps"] == best
        assert next(figures, None) is None
        assert checkpoint.load_training(out / trainer.CHECKPOINT)[1]["best"] == 3
    # Where the last step has been judged, it is not judged again; where none was, the end is.
    counts = []
    for number, every in enumerate((5, 100)):
        run(tmp_path / f"end{number}", replace(SCHEDULE, steps=5), keep_best=True, validate_every=every,
            validation=lambda model: counts.append(1) or {"val": 0.0})  # fmt: skip
    assert len(counts) == 2


def test_checkpoints_are_written_at_the_end_and_as_often_as_asked(tmp_path, monkeypatch):
    saved = []
    real = checkpoint.save

    def save(path, *rest, **more):
        saved.append(path.name)
        return real(path, *rest, **more)

    monkeypatch.setattr(checkpoint, "save", save)
    run(tmp_path / "seldom", replace(SCHEDULE, steps=3))
    assert saved == ["checkpoint", "weights"]
    saved.clear()
    run(tmp_path / "often", replace(SCHEDULE, steps=3), save_every=-1.0)
    assert saved == ["checkpoint"] * 4 + ["weights"]


def test_every_fiftieth_step_and_the_last_are_logged(tmp_path):
    run(tmp_path, replace(SCHEDULE, steps=101))
    lines = log.read(tmp_path)
    assert [line["step"] for line in lines] == [50, 100, 101]
    assert all(line["seconds"] == round(line["seconds"], 1) for line in lines)


def told(out):
    """What the log says of each step's loss, without the clock."""
    return [(line["step"], line["loss"]) for line in log.read(out)]


def test_a_run_that_time_cuts_short_is_logged_all_the_same(tmp_path):
    run(tmp_path, SCHEDULE, time_limit=1e-9)
    assert told(tmp_path) == []  # not a step of it
    run(tmp_path / "one", SCHEDULE, time_limit=1.0, task=Slow())
    assert [step for step, _ in told(tmp_path / "one")] == [1]
    assert (tmp_path / "one" / log.CURVE).exists()


class Slow(Task):
    def loss(self, *arguments):
        time.sleep(1.1)
        return super().loss(*arguments)


@pytest.fixture
def interruptible():
    """Ctrl-C interrupts, as at a terminal: a shell's background job ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_run_that_is_stopped_early_is_logged_and_resumed_as_if_it_was_not(tmp_path, interruptible):
    schedule = replace(SCHEDULE, steps=60)
    run(tmp_path / "whole", schedule)

    def stop(step, steps, figures):
        if step in (7, 52):
            signal.raise_signal(signal.SIGINT)

    for sitting, steps in enumerate(([7], [50, 52])):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut", schedule, progress=stop, resume=sitting > 0)
        assert [step for step, _ in told(tmp_path / "cut")] == steps
        assert (tmp_path / "cut" / log.CURVE).exists()
    run(tmp_path / "cut", schedule, resume=True)
    assert told(tmp_path / "cut") == told(tmp_path / "whole")


def test_nothing_to_resume_is_said(tmp_path):
    with pytest.raises(ViewmaskError, match="no checkpoint"):
        run(tmp_path, SCHEDULE, toy(), resume=True)


def test_a_run_without_a_best_score_finds_one_when_it_goes_on(tmp_path):
    run(tmp_path, replace(SCHEDULE, steps=4))
    place = run(tmp_path, replace(SCHEDULE, steps=8), resume=True, keep_best=True, validate_every=2,
                validation=lambda model: {"val": -1.0})  # fmt: skip
    assert json.loads((place / checkpoint.CONFIG).read_text())["about"]["steps"] == 6
