"""Learning to refine: which tokens are learnt from, and that something is learnt."""

import json
import shutil

import numpy as np
import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model.refiner import Refiner, RefinerConfig
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig, pack
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.train.refining import Grids, Refining, _taken, train, validation
from viewmask.train.run import Run
from viewmask.train.tokens import mirror
from viewmask.views import camera
from viewmask.views.picture import resize
from viewmask.views.viewset import ViewSet

CPU = torch.device("cpu")
TOKENIZER = TokenizerConfig(size=32, stem=8, widths=(8, 16), blocks=(1, 1), mid_blocks=1)


@pytest.fixture
def weights(tmp_path):
    """A tokenizer and a transformer that read each other's tokens."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(TOKENIZER)
    checkpoint.save(tmp_path / "tokenizer", tokenizer, TOKENIZER, {})
    shape = TransformerConfig(width=64, layers=2, heads=2, hidden=96, words=40, grid=2)
    record = {"tokenizer": checkpoint.fingerprint(tokenizer.encoder)}
    checkpoint.save(tmp_path / "transformer", Transformer(shape), shape, record)
    return tmp_path


@pytest.fixture
def data(tmp_path):
    """Orbits of eight views, which differ in colour and size; the last is of `val`."""
    for index in range(5):
        images = []
        for view in range(8):
            picture = np.zeros((64, 64, 4), np.uint8)
            picture[20 : 40 + 2 * view, 16 : 40 + 4 * index] = (50 * index, 255 - 30 * view, 90, 255)
            images.append(picture)
        about = {"id": f"block{index}", "split": "val" if index == 4 else "train"}
        ViewSet(images, camera.orbit(8, size=64), about).save(tmp_path / "views" / f"block{index}")
    return tmp_path / "views"


def run(weights, out="run", **settings):
    return Run(weights / out, init=weights / "transformer", tokenizer=weights / "tokenizer", **settings)


def test_an_orbit_of_eight_gives_two_of_four_and_their_mirror_images_in_other_colours(data, weights):
    tokenizer = checkpoint.load(weights / "tokenizer", Tokenizer, TokenizerConfig)[0]
    grids = Grids.of([data], tokenizer, "train")
    assert grids.coarse.shape == (4 * 2 * 2, 4, 2, 2)
    assert grids.fine.shape == (4 * 2 * 2, 4, 4, 4)
    views = ViewSet.load(data / "block1")
    with torch.inference_mode():
        fine = tokenizer.encode(pack(np.stack(views.images)))
        coarse = tokenizer.encode(pack(np.stack([resize(image, 32) for image in views.images])))
    assert np.array_equal(grids.fine[4], fine[::2])  # each object has four rows
    assert np.array_equal(grids.coarse[5], coarse[1::2])
    mirrored = mirror(views).images
    with torch.inference_mode():
        other = tokenizer.encode(pack(np.stack([image[..., [1, 0, 2, 3]] for image in mirrored])))
        same = tokenizer.encode(pack(np.stack(mirrored)))
    assert np.array_equal(grids.fine[6], other[::2])  # the second object takes the second other order of channels
    assert not np.array_equal(grids.fine[6], same[::2])
    assert set(grids.sources) == {0}
    assert len(Grids.of([data], tokenizer, "val").fine) == 4


def test_what_is_encoded_is_kept_until_the_views_change(data, weights, monkeypatch):
    tokenizer = checkpoint.load(weights / "tokenizer", Tokenizer, TokenizerConfig)[0]
    first = Grids.kept([data], tokenizer, "train", weights / "kept")
    with monkeypatch.context() as patch:
        patch.setattr(Grids, "of", lambda *_: pytest.fail("encoded again"))
        again = Grids.kept([data], tokenizer, "train", weights / "kept")
    assert all(np.array_equal(getattr(first, name), getattr(again, name)) for name in ("coarse", "fine"))
    shutil.rmtree(data / "block0")
    assert len(Grids.kept([data], tokenizer, "train", weights / "kept").fine) == len(first.fine) - 4
    both = Grids.kept([data, data / "block1"], tokenizer, "train", weights / "kept")
    assert np.bincount(both.sources).tolist() == [12, 4]
    for file in (weights / "kept").glob("*.npz"):
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ViewmaskError, match=r"is damaged .*: delete it, it is made anew"):
        Grids.kept([data], tokenizer, "train", weights / "kept")


def test_no_given_token_is_asked_for(data, weights):
    tokenizer = checkpoint.load(weights / "tokenizer", Tokenizer, TokenizerConfig)[0]
    task = Refining(Transformer(TransformerConfig(width=64, layers=1, heads=2, hidden=64, words=40, grid=2)),
                    Grids.of([data], tokenizer, "train"), CPU)  # fmt: skip
    tokens = torch.zeros(50, 4, 4, 4)
    hidden = task._hidden(tokens, np.full(50, 0.5), 1, np.random.default_rng(0))
    assert not hidden[:, 0].any()
    assert 0.4 < hidden[:, 1:].float().mean() < 0.6


def test_those_around_the_object_take_part_and_as_many_others_as_make_a_round_number():
    around = torch.zeros(2, 400, dtype=torch.bool)
    around[0, 100:250] = around[1, 7] = True
    near = _taken(around)
    assert near.shape == (2, 256)
    assert set(range(100, 250)) <= set(near[0].tolist())
    assert near[1].tolist() == [7, *range(7), *range(8, 256)]
    assert _taken(around[:, 90:260]).shape == (2, 170)  # no more than there are


@pytest.mark.parametrize("given", [0.0, 1.0])
def test_views_without_anything_in_them_are_no_trouble(given):
    torch.manual_seed(0)
    model = Transformer(TransformerConfig(width=64, layers=1, heads=2, hidden=64, words=40, grid=2))
    model.empty_head.bias.data.fill_(20.0)
    empty = Grids(np.zeros((3, 4, 2, 2), np.int32), np.zeros((3, 4, 4, 4), np.int32), np.zeros(3, np.int64))
    loss, _ = Refining(model, empty, CPU, given).loss(Refiner.of(model), 0, np.random.default_rng(0), 2)
    assert torch.isfinite(loss)


def test_something_is_learnt_and_exported(data, weights):
    folder = train([data], run(weights, steps=250, batch=2))
    refiner, _, about = checkpoint.load(folder, Refiner, RefinerConfig)
    assert (about["stage"], about["orbits"]) == ("refiner", 16)
    tokenizer = checkpoint.load(weights / "tokenizer", Tokenizer, TokenizerConfig)[0]
    transformer = checkpoint.load(weights / "transformer", Transformer, TransformerConfig)[0]
    figures = validation(Refining(transformer, Grids.of([data], tokenizer, "train"), CPU))
    untrained = figures(Refiner.of(transformer).eval())
    trained = figures(refiner)
    assert trained["val given"] < 0.8 * untrained["val given"]
    assert trained["val none"] < 0.8 * untrained["val none"]
    lines = [json.loads(line) for line in (weights / "run" / "log.jsonl").read_text().splitlines()]
    assert any("val given" in line for line in lines)


def test_a_run_goes_on_with_its_own_transformer_alone(data, weights):
    train([data], run(weights, steps=2, batch=2))
    shape = TransformerConfig(width=64, layers=2, heads=2, hidden=96, words=40, grid=2)
    checkpoint.save(weights / "transformer", Transformer(shape), shape, {})
    with pytest.raises(ViewmaskError, match="must name the same to go on"):
        train([data], run(weights, steps=3, batch=2, resume=True))


def test_a_tokenizer_of_another_transformer_is_refused(data, weights):
    torch.manual_seed(9)
    checkpoint.save(weights / "tokenizer", Tokenizer(TOKENIZER), TOKENIZER, {})
    with pytest.raises(ViewmaskError, match="reads the tokenizer"):
        train([data], run(weights, steps=2))


def test_views_that_are_no_orbit_teach_nothing(tmp_path, weights):
    cameras = [camera.Camera.on_sphere(90.0 * view, 10.0 * view, size=64) for view in range(4)]
    ViewSet([np.zeros((64, 64, 4), np.uint8)] * 4, cameras, {"id": "a"}).save(tmp_path / "photos" / "a")
    notes = []
    with pytest.raises(ViewmaskError, match="no orbit of 4"):
        train([tmp_path / "photos"], run(weights, steps=2, note=notes.append))
    assert "left out 1 view sets of 'train': no orbit of 4, 8 ... views" in notes


def test_views_that_would_have_to_be_enlarged_are_refused(tmp_path, weights):
    ViewSet([np.zeros((48, 48, 4), np.uint8)] * 4, camera.orbit(4, size=48), {"id": "a"}).save(tmp_path / "small" / "a")
    with pytest.raises(ViewmaskError, match="a have 48 pixels a side, the refiner learns from 64"):
        train([tmp_path / "small"], run(weights, steps=2))
