"""Training of codes: what the loss is made of, and that tokenizer, decoder and discriminator learn."""

import numpy as np
import pytest
import torch

from tests.viewmask.model.test_tokenizer import FINER, TINY
from viewmask.learning import checkpoint
from viewmask.learning.optimizers import optimizers
from viewmask.learning.schedule import Schedule
from viewmask.learning.trainer import Trainer
from viewmask.model.tokenizer import Tokenizer, pack
from viewmask.train.codes import (
    Adversarial,
    Decoding,
    Reconstruction,
    Terms,
    adversarial_losses,
    entropy_loss,
    freeze_encoder,
    uncertain,
)

CPU = torch.device("cpu")


@pytest.fixture
def pictures():
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 4), dtype=np.uint8)
    images[:, :16, :16] = 0
    return images


def test_entropy_tells_sure_from_unsure_and_used_from_unused():
    random = torch.Generator().manual_seed(0)
    signs = torch.rand(512, 18, generator=random).round() * 2 - 1
    sure, used = entropy_loss(5 * signs)
    unsure, _ = entropy_loss(0.01 * signs)
    _, unused = entropy_loss(5 * signs[:1].expand(512, -1))
    assert sure < 0.01 < unsure
    assert unused < 0.01 < used


@pytest.mark.parametrize(
    "terms",
    [
        Terms(),
        Terms(entropy=0, commitment=0, chroma=0, absolute=0),
        Terms(adversarial=0.01, adversarial_start=10),
    ],
)
def test_training_lowers_the_error_with_any_terms(pictures, terms):
    torch.manual_seed(0)
    smooth = np.kron(pictures[:, ::8, ::8], np.ones((1, 8, 8, 1), dtype=np.uint8))
    task, tokenizer = Reconstruction(smooth, terms, CPU), Tokenizer(TINY)
    model = Adversarial(tokenizer) if terms.adversarial else tokenizer
    (optimizer,) = optimizers(model, Schedule(60, rate=3e-3))
    psnr = []
    for step in range(60):
        loss, figures = task.loss(model, step, np.random.default_rng(step), 4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        psnr.append(figures["psnr"])
    assert np.mean(psnr[-5:]) > np.mean(psnr[:5]) + 1


def test_uncertain_bits_are_right_as_often_as_they_say():
    torch.manual_seed(0)
    true = torch.randint(0, 2, (400, 18, 8, 8)) * 2.0 - 1
    shown = uncertain(true, share=1.0)
    right, size = (shown.sign() == true).flatten(), shown.abs().flatten()
    assert size.min() < 0.05
    for low in (0.1, 0.3, 0.5, 0.7, 0.9):
        here = (size > low) & (size < low + 0.05)
        assert right[here].float().mean() == pytest.approx((1 + low + 0.025) / 2, abs=0.02)
    assert torch.equal(uncertain(true, share=0.0), true)
    sure = (uncertain(true) == true).flatten(1).all(1)
    assert sure.float().mean() == pytest.approx(0.5, abs=0.1)


def test_a_decoder_by_itself_learns_and_leaves_the_encoder(pictures):
    torch.manual_seed(0)
    tokenizer = Tokenizer(TINY)
    smooth = np.kron(pictures[:, ::8, ::8], np.ones((1, 8, 8, 1), dtype=np.uint8))
    task, model = Decoding(smooth, Terms(), CPU), Tokenizer(FINER)
    freeze_encoder(model, tokenizer)
    both = optimizers(model, Schedule(60, rate=3e-3, muon=3e-3))
    psnr = []
    for step in range(60):
        loss, figures = task.loss(model, step, np.random.default_rng(step), 4)
        model.zero_grad()
        loss.backward()
        for optimizer in both:
            optimizer.step()
        psnr.append(figures["psnr"])
    assert np.mean(psnr[-5:]) > np.mean(psnr[:5]) + 1
    assert all(
        torch.equal(a, b) for a, b in zip(model.encoder.parameters(), tokenizer.encoder.parameters(), strict=True)
    )
    assert torch.equal(model.encode(pack(pictures)), tokenizer.encode(pack(pictures)))


def test_a_decoder_learns_large_pictures_in_both_sizes(pictures):
    config = TINY
    large = np.kron(pictures, np.ones((1, 2, 2, 1), dtype=np.uint8))
    small = Decoding(pictures, Terms(), CPU)
    task = Decoding(large, Terms(), CPU)
    seen = [task.truth(np.random.default_rng(seed), 2, config) for seed in range(20)]
    sides = [truth.shape[-1] for truth in seen]
    assert 5 < sides.count(32) < 15
    assert sides.count(32) + sides.count(64) == 20
    for seed, truth in enumerate(seen):
        if truth.shape[-1] == 32:
            torch.testing.assert_close(truth, small.truth(np.random.default_rng(seed), 2, config))
    for seed in range(20):
        assert small.truth(np.random.default_rng(seed), 2, config).shape[-1] == 32


def test_tokenizer_and_discriminator_each_learn_from_their_own_loss():
    torch.manual_seed(0)
    model = Adversarial(Tokenizer(TINY))
    truth = torch.rand(2, 4, 32, 32)
    decoded = torch.rand(2, 4, 32, 32, requires_grad=True)
    fooling, judging = adversarial_losses(model.discriminator, truth, decoded)
    fooling.backward()
    assert decoded.grad is not None
    assert all(parameter.grad is None for parameter in model.discriminator.parameters())
    decoded.grad = None
    judging.backward()
    assert decoded.grad is None
    assert any(parameter.grad.abs().sum() > 0 for parameter in model.discriminator.parameters())
    true, false = model.discriminator(truth), model.discriminator(decoded)
    assert fooling.item() == pytest.approx(-false.mean().item())
    hinge = (1 - true).clamp(min=0).mean() + (1 + false).clamp(min=0).mean()
    assert judging.item() == pytest.approx(hinge.item())


def test_the_gradients_of_the_discriminator_start_anew_at_each_step_and_are_clipped(pictures, tmp_path):
    torch.manual_seed(0)
    terms = Terms(adversarial=0.1, adversarial_start=0)
    tokenizer = Tokenizer(TINY)
    model, norms = Adversarial(tokenizer), []

    class Watched(Reconstruction):
        def loss(self, model, step, random, batch):
            loss, figures = super().loss(model, step, random, batch)
            return 1e4 * loss, figures

    trainer = Trainer(
        model, Watched(pictures, terms, CPU), tmp_path, Schedule(4, batch=2, clip=0.5), {}, network=tokenizer
    )

    def norm(step, steps, figures):
        parts = tokenizer.parameters(), model.discriminator.parameters()
        norms.append([sum(float(p.grad.square().sum()) for p in part) ** 0.5 for part in parts])

    trainer.run(progress=norm)
    assert len(norms) == 4
    # A gradient that is kept would grow from step to step; each part is clipped by itself.
    np.testing.assert_allclose(norms, 0.5, rtol=1e-3)


def test_the_discriminator_is_kept_in_checkpoints_and_resumed_but_not_exported(pictures, tmp_path):
    terms = Terms(adversarial=0.1, adversarial_start=0)

    def run(out, stop=None, resume=False):
        torch.manual_seed(0)
        tokenizer = Tokenizer(TINY)
        model = Adversarial(tokenizer)
        if resume:
            torch.nn.init.zeros_(model.discriminator.layers[0].weight)
            tokenizer.load_state_dict(checkpoint.load(out / "checkpoint", Tokenizer, type(TINY))[0].state_dict())

        def progress(step, steps, figures):
            if step == stop:
                raise RuntimeError("cut")

        task, schedule = Reconstruction(pictures, terms, CPU), Schedule(4, batch=2)
        trainer = Trainer(model, task, out, schedule, {}, network=tokenizer, save_every=0)
        weights = trainer.run(resume, progress)
        return (weights / "model.safetensors").read_bytes(), model.discriminator.state_dict()

    whole, judge = run(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="cut"):
        run(tmp_path / "parts", stop=3)
    again, resumed = run(tmp_path / "parts", resume=True)
    assert again == whole
    assert all(torch.equal(judge[name], resumed[name]) for name in judge)
    names = checkpoint.read_tensors(tmp_path / "whole" / "weights" / "model.safetensors")
    assert not [name for name in names if "discriminator" in name]
