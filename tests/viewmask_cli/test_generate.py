"""`viewmask generate`, with a model that is quick: it paints a disc."""

import hashlib
import json
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from viewmask import pipeline
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.generator import Generator
from viewmask.learning.device import Device
from viewmask.model.sampling import SPEED
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.views.camera import orbit
from viewmask.views.making import KEY, Making, digest
from viewmask.views.viewset import ViewSet
from viewmask_cli import output
from viewmask_cli.generate import generate
from viewmask_cli.output import last_views

SIZE = 48


class Painter(Generator):
    """A generator that is quick: it paints a disc. Remembers how it was asked."""

    def __init__(self, words=()) -> None:
        lexicon = lexicon_of(SHIPPED / TRANSFORMER, {"words": list(words)})
        runs_on = Device(torch.device("cpu"), torch.float32)
        weights = SimpleNamespace(
            lexicon=lexicon, runs_on=runs_on, photos=True, fingerprint="paint", refiner=SimpleNamespace()
        )
        super().__init__(weights)  # type: ignore[arg-type]
        self.asked: list[dict] = []

    def samples(self, caption, count=4, views=4, *, progress, watch, **options) -> list[ViewSet]:  # type: ignore[override]
        self.asked.append({"caption": caption, "views": views, "draws": count} | options)
        progress(1, 1)
        # Seed 6 fits best.
        return [self.paint(caption, views, options["seed"], -abs(options["seed"] - 6)) for _ in range(count)]

    def _ranked(self, caption, count, views, seed, progress, watch, sampling):
        return iter(self.samples(caption, count, views, seed=seed, progress=progress, watch=watch, **sampling))

    def paint(self, caption, views, seed, fit) -> ViewSet:
        y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2 + 0.5
        image = np.zeros((SIZE, SIZE, 4), np.uint8)
        image[np.hypot(x, y) < 14] = (200, seed % 256, 40, 255)
        return ViewSet([image] * views, orbit(views, size=SIZE), {"caption": caption, "fit": fit})

    def from_reference(self, picture, views=4, *, caption, symmetry, as_view, **options) -> ViewSet:  # type: ignore[override]
        (painting,) = self.samples(caption, 1, views, **options)
        sampling = {
            key: value for key, value in options.items() if key not in ("seed", "progress") and value is not None
        }
        painting.extra[KEY] = Making(
            caption, digest(picture), "", views, options["seed"], as_view=as_view, symmetry=symmetry,
            sampling=sampling, weights="paint", runs_on="cpu, float32",
        ).record()  # fmt: skip
        self.asked[-1] |= {"picture": picture, "symmetry": symmetry, "as_view": as_view}
        del painting.extra["fit"]
        return painting


def shown(monkeypatch, painter: Painter) -> Painter:
    monkeypatch.setattr(Generator, "load", lambda weights=None, device=None, precision=None: painter)
    return painter


@pytest.fixture
def painter(monkeypatch) -> Painter:
    monkeypatch.setattr(pipeline, "write_mesh", partial(pipeline.write_mesh, faces=200, texture=64))
    return shown(monkeypatch, Painter())


def contents(folder: str) -> dict[str, str]:
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def photo(name: str, background: int = 255) -> Path:
    picture = np.full((60, 80, 3), background, np.uint8)
    picture[20:40, 30:50] = (30, 60, 200)
    Image.fromarray(picture).save(name)
    return Path(name)


def test_a_sentence_gives_a_folder_named_after_it(shell, painter):
    done = shell("generate", "--text", "A red chair!")
    assert (done.code, done.out) == (0, "wrote a-red-chair/ a-red-chair/sheet.png\n")
    assert sorted(contents("a-red-chair")) == [
        "000.png", "001.png", "002.png", "003.png", "sheet.png", "transforms.json",
    ]  # fmt: skip
    assert ViewSet.load("a-red-chair").caption == "A red chair!"
    with Image.open("a-red-chair/sheet.png") as sheet:
        assert sheet.size == (4 * SIZE, SIZE)


def test_options_reach_the_model(shell, painter):
    shell(
        *("generate", "--text", "a cup", "--views", 8, "--steps", 5, "--schedule", "linear", "--temperature", 0.5),
        *("--guidance", 2, "--refine", 6, "--seed", 7, "--order", "halton", "--remask", 0.1),
    )
    options = {
        "speed": SPEED, "steps": 5, "schedule": "linear", "temperature": 0.5, "guidance": 2.0, "refine": 6,
        "seed": 7, "order": "halton", "remask": 0.1,
    }  # fmt: skip
    assert painter.asked == [{"caption": "a cup", "views": 8, "draws": 4} | options]
    shell("generate", "--text", "a cup", "--draws", 7, "--speed", "exact", "--out", "more")
    rest = dict.fromkeys(("steps", "schedule", "temperature", "guidance", "refine", "order", "remask")) | {"seed": 0}
    assert painter.asked[-1] == {"caption": "a cup", "views": 4, "draws": 7, "speed": "exact"} | rest


class Contradicting(Painter):
    """A painter whose views cannot be of one object: every second one shows the disc elsewhere, in each draw less."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.good = good

    def samples(self, caption, count=4, views=4, **options) -> list[ViewSet]:
        draws = super().samples(caption, count, views, **options)
        for number, views in enumerate(draws):
            views.extra["number"] = number
            if number != self.good:
                moved = np.roll(views.images[0], 18 - number, 0)
                views.images[1::2] = [moved] * len(views.images[1::2])
        return draws


@pytest.mark.parametrize("option", [("--text", "a cup"), ("--text", "a cup", "--samples", 2)])
def test_of_draws_that_contradict_themselves_none_is_taken(shell, painter, monkeypatch, option):
    contradicting = shown(monkeypatch, Contradicting(good=2))
    done = shell("generate", *option, "--seed", 9, "--out", "cup", "--json")
    samples = json.loads(done.out)["samples"]
    assert [sample["seed"] for sample in samples] == [asked["seed"] for asked in contradicting.asked]
    assert [ViewSet.load(sample["folder"]).extra["number"] for sample in samples] == [2] * len(samples)
    assert "agree" not in done.err


def test_if_none_agree_the_best_are_kept_and_people_are_told(shell, painter, monkeypatch):
    shown(monkeypatch, Contradicting(good=-1))
    done = shell("generate", "--text", "a cup", "--out", "cup", "--json")
    assert ViewSet.load("cup").extra["number"] == 3  # the least shifted
    assert re.search(r"the views agree to \d\d%, none of 4 draws to more: a mesh of them is a guess; another", done.err)
    done = shell("generate", "--text", "a cup", "--out", "one", "--draws", 1)
    assert re.search(
        r"the views agree to \d\d%: a mesh of them is a guess; another sentence, --seed or more --draws", done.err
    )


def test_words_that_training_hardly_had_are_named(shell, painter, monkeypatch):
    done = shell("generate", "--text", "a Kangaroo with a fedora", "--out", "k")
    assert done.code == 0
    assert "of 'Kangaroo', 'fedora': 'a Kangaroo' is what it reads and what comes out may be something else" in done.err
    done = shell("generate", "--text", "a gray recycling bin", "--out", "b")
    assert done.err.count("little or nothing of 'gray', 'recycling': 'a grey bin' is what it reads\n") == 1
    assert "training" not in shell("generate", "--text", "a red chair", "--out", "c").err
    shown(monkeypatch, Painter(["recycling"]))
    assert "training" not in shell("generate", "--text", "a recycling bin", "--out", "r").err


def test_a_thing_that_training_never_showed_is_named(shell, painter):
    done = shell("generate", "--text", "a blue handle with legs", "--out", "t")
    assert "training showed nothing that is called 'handle': what comes out may be something else\n" in done.err


def test_a_picture_is_cut_out_first(shell, painter):
    done = shell("generate", "--image", photo("My Photo.png"), "--text", "a box")
    assert done.out == "wrote my-photo/ my-photo/sheet.png my-photo/cutout.png\n"
    assert "the object was cut out by its plain background\n" in done.err
    given = Image.open("my-photo/cutout.png")
    assert given.mode == "RGBA"
    assert given.getpixel((0, 0))[3] == 0
    again = shell("generate", "--image", "my-photo/cutout.png", "--out", "again", "--json")
    assert "the object was cut out by its transparency\n" in again.err
    assert json.loads(again.out)["samples"][0]["cutout"] == "its transparency"
    assert np.array_equal(painter.asked[0]["picture"], painter.asked.pop()["picture"])
    (asked,) = painter.asked
    assert asked["caption"] == "a box"
    assert asked["picture"].shape == (256, 256, 4)
    assert 0.2 < (asked["picture"][..., 3] > 127).mean() < 0.8


def test_nothing_of_a_photo_but_its_pixels_reaches_the_results(shell, painter):
    image, exif = Image.open(photo("p.png")).convert("RGB"), Image.Exif()
    exif[0x010F], exif[0x0112] = "A camera of mine", 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save("p.jpg", quality=95, exif=exif, icc_profile=profile)
    assert shell("generate", "--image", "p.jpg").code == 0
    for name in ("p/000.png", "p/cutout.png", "p/sheet.png"):
        written = Image.open(name)
        assert not written.getexif()
        assert "icc_profile" not in written.info


def test_a_mask_tells_the_object(shell, painter):
    photo("p.png")
    side = Image.open("p.png").size
    mask = np.zeros((side[1], side[0]), np.uint8)
    mask[: side[1] // 2] = 1
    Image.fromarray(mask).save("mask.png")
    done = shell("generate", "--image", "p.png", "--cutout", "mask.png")
    assert "the object was cut out by the mask mask.png\n" in done.err
    assert "no cut-out 'scissors': choose auto" in shell("generate", "--image", "p.png", "--cutout", "scissors").error


def test_mesh_adds_a_mesh_and_a_page(shell, painter):
    done = shell("generate", "--text", "a ball", "--mesh", "--out", "ball")
    assert done.out == "wrote ball/ ball/sheet.png ball/mesh.glb ball/page.html\n"
    assert {"mesh.glb", "page.html"} <= set(contents("ball"))


def test_samples_have_a_folder_and_a_seed_each_and_stale_ones_go(shell, painter):
    assert shell("generate", "--text", "a cup", "--samples", 3, "--seed", 5, "--out", "cups").code == 0
    done = shell("generate", "--text", "a cup", "--samples", 2, "--seed", 5, "--out", "cups", "--json")
    record = json.loads(done.out)
    assert [(sample["folder"], sample["seed"]) for sample in record["samples"]] == [("cups/000", 5), ("cups/001", 6)]
    assert sorted(path.name for path in Path("cups").iterdir()) == ["000", "001"]
    assert contents("cups/000")["000.png"] != contents("cups/001")["000.png"]


def test_of_several_samples_the_one_that_fits_best_is_named_and_taken_next(shell, painter):
    done = shell("generate", "--text", "a cup", "--samples", 3, "--seed", 5, "--out", "cups", "--json")
    assert [sample["fit"] for sample in json.loads(done.out)["samples"]] == [-1, 0, -1]
    assert f"{Path('cups', '001')} fits the sentence best" in done.err
    assert last_views()[0] == Path("cups/001")
    done = shell("generate", "--image", photo("p.png"), "--text", "a box", "--samples", 2, "--json")
    assert "fit" not in json.loads(done.out)["samples"][0]  # they all hold the picture
    assert "fits" not in done.err


def test_the_same_seed_gives_the_same_files(shell, painter):
    shell("generate", "--text", "a cup", "--out", "a", "--mesh")
    shell("generate", "--text", "a cup", "--out", "b", "--mesh")
    assert contents("a") == contents("b")


def test_the_same_command_replaces_its_result_and_another_goes_beside_it(shell, painter):
    shell("generate", "--text", "a cup", "--views", 2)
    before = contents("a-cup")
    assert shell("generate", "--text", "a cup", "--views", 2).out == "wrote a-cup/ a-cup/sheet.png\n"
    assert contents("a-cup") == before
    done = shell("generate", "--text", "a cup", "--views", 3)
    assert done.out == "wrote a-cup-0/ a-cup-0/sheet.png\n"
    assert "a-cup holds another result ('a cup', seed 0; views 2, not 3): this one goes to a-cup-0\n" in done.err
    assert shell("generate", "--text", "a cup", "--views", 4).out.startswith("wrote a-cup-0-2/ ")
    assert shell("generate", "--text", "a cup", "--views", 3).out.startswith("wrote a-cup-0/ ")
    assert shell("generate", "--text", "a cup", "--seed", 7).out.startswith("wrote a-cup-7/ ")
    assert shell("generate", "--text", "a cup", "--seed", 7, "--steps", 3).out.startswith("wrote a-cup-7-2/ ")
    assert contents("a-cup") == before


def test_what_was_made_of_a_result_is_not_lost_when_it_is_made_again(shell, painter):
    shell("generate", "--text", "a cup")
    shell("reconstruct", "a-cup", "--print-size", 80, "--method", "hull")
    before = contents("a-cup")
    assert "mesh.3mf" in before
    done = shell("generate", "--text", "a cup")
    assert "a-cup holds mesh.3mf, which this one lacks: this one goes to a-cup-0\n" in done.err
    assert contents("a-cup") == before
    photo("shot.png")
    shell("generate", "--image", "shot.png", "--cutout", "plain")
    assert "goes to" not in shell("generate", "--image", "shot.png", "--cutout", "plain").err
    with Image.open("shot/cutout.png") as picture:
        mended = picture.copy()
    mended.putpixel((0, 0), (9, 9, 9, 255))
    mended.save("shot/cutout.png")
    before = contents("shot")
    assert "shot holds cutout.png, which" in shell("generate", "--image", "shot.png", "--cutout", "plain").err
    assert contents("shot") == before


def test_force_does_not_remove_what_is_to_be_read(shell, painter):
    Path("all").mkdir()
    photo("all/a.png")
    photo("all/b.png")
    Path("all/said.txt").write_text("a cup\n")
    before = contents("all")
    for words in (
        ["--image", "all/a.png"], ["--image", "all"], ["--image", "all/a.png", "--image", "all/b.png"],
        ["--text-file", "all/said.txt"],
    ):  # fmt: skip
        assert "which is to be read" in shell("generate", *words, "--out", "all", "--force").error
    assert "which is to be read" in shell("reconstruct", "all/a", "all/b", "--out", "all", "--force").error
    assert contents("all") == before
    assert painter.asked == []


def test_a_folder_that_was_named_is_replaced_and_that_is_said(shell, painter):
    shell("generate", "--text", "a cup", "--out", "cup", "--mesh")
    assert "replaced" not in shell("generate", "--text", "a cup", "--out", "cup", "--mesh").err
    done = shell("generate", "--text", "a cup", "--out", "cup")
    assert "cup held mesh.glb, page.html, which this one lacks: it is replaced\n" in done.err
    assert "replaced" not in shell("generate", "--text", "a cup", "--out", "cup").err
    done = shell("generate", "--text", "a jug", "--out", "cup", "--seed", 3, "--views", 2)
    assert "cup held another result ('a cup', seed 0): it is replaced\n" in done.err
    assert sorted(contents("cup")) == ["000.png", "001.png", "sheet.png", "transforms.json"]


def test_a_program_can_call_it(painter, tmp_path):
    files = generate(text="a cup", out=tmp_path / "cup", views=2)
    assert [file.name for file in files] == ["000.png", "001.png", "transforms.json", "sheet.png"]
    with pytest.raises(ViewmaskError, match="there is no schedule"):
        generate(text="a cup", schedule="sigmoid")  # type: ignore[arg-type]
    with pytest.raises(ViewmaskError, match="there is no order"):
        generate(text="a cup", order="raster")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "say what to show"),
        (["--text", "  "], "the sentence is empty"),
        (["--image", "nowhere.png"], "no picture at nowhere.png"),
        (["--image", "notes.txt"], "notes.txt is no picture that can be read here"),
        (["--image", "papers"], "papers holds no pictures"),
        (["--image", "busy.png", "--cutout", "plain"], "plain background"),
        (["--text", "x", "--out", "papers"], "papers holds thesis.tex"),
        (["--text", "x", "--out", "notes.txt"], "notes.txt is a file"),
        (["--text", "x", "--out", ".", "--force"], "--force would remove"),
        (["--text", "x", "--out", "notes.txt/inside"], "cannot write notes.txt/inside"),
    ],
)
def test_what_goes_wrong_is_one_line_and_changes_nothing(shell, painter, words, says):
    Path("notes.txt").write_text("mine")
    Path("papers").mkdir()
    Path("papers/thesis.tex").write_text("mine")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save("busy.png")
    before = contents(".")
    assert says in shell("generate", *words).error
    assert contents(".") == before


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "path 'weights' does not exist"),
        ({"notes.txt": ""}, "no checkpoint at weights/tokenizer: config.json is missing"),
        ({"tokenizer/config.json": "{"}, "config.json is damaged or truncated"),
        ({"tokenizer/config.json": '{"kind": "Rocket"}'}, "holds a Rocket, not a Tokenizer"),
    ],
)
def test_wrong_weights_are_one_line(shell, files, says):
    for name, text in files.items():
        atomic.write(Path("weights") / name, text)
    assert says in shell("generate", "--text", "a cup", "--weights", "weights").error
    assert not Path("a-cup").exists()


def test_a_full_disk_leaves_the_earlier_views_as_they_were(shell, painter, monkeypatch):
    shell("generate", "--text", "a cup")
    before = contents(".")

    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(atomic, "_sync", full)
    assert "No space left on device" in shell("generate", "--text", "a cup", "--seed", 1).error
    assert contents(".") == before


def test_views_of_which_no_mesh_can_be_made_are_kept_and_named(shell, painter, monkeypatch):
    empty = ViewSet([np.zeros((SIZE, SIZE, 4), np.uint8)] * 4, orbit(4, size=SIZE))
    monkeypatch.setattr(Painter, "samples", lambda *_, **__: [empty])
    error = shell("generate", "--text", "a cup", "--mesh").error
    assert error.startswith("no mesh: ")
    assert error.endswith("(the views are in a-cup)")
    assert len(ViewSet.load("a-cup")) == 4
    assert str(output.last_views()[0]) == "a-cup"


def test_ctrl_c_leaves_nothing(shell, painter, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Painter, "samples", interrupted)
    assert shell("generate", "--text", "a cup").code == 130
    assert contents(".") == {}


def test_what_it_runs_on_is_said_where_that_is_no_cpu(shell, monkeypatch):
    painter = shown(monkeypatch, Painter())
    done = shell("generate", "-t", "a cup", "--json")
    assert json.loads(done.out)["device"] == "cpu, float32"
    assert "running on" not in done.err
    asked = []

    def load(weights, device, precision):
        asked.append((device, precision))
        return painter

    monkeypatch.setattr(Generator, "load", load)
    painter.weights.runs_on = Device(torch.device("mps"), torch.bfloat16)  # type: ignore[misc]
    done = shell("generate", "-t", "a cup", "--device", "mps", "--precision", "bfloat16")
    assert asked == [("mps", "bfloat16")]
    assert "running on mps, bfloat16" in done.err
