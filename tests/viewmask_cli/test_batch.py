"""Many inputs, one command: rows, what is skipped, what fails."""

import json
from pathlib import Path

import pytest

from tests.viewmask_cli.test_generate import contents, painter, photo
from viewmask.errors import ViewmaskError
from viewmask_cli import batch
from viewmask_cli.render import render

__all__ = ["painter"]  # a fixture


def rows(folder):
    return [json.loads(line) for line in Path(folder, "results.jsonl").read_text().splitlines()]


def test_a_file_of_sentences_is_a_folder_each_and_a_row_each(shell, painter):
    Path("prompts.txt").write_text("# mine\na red chair\n\n  A red   chair! \na jug\na jug\n")
    done = shell("generate", "--text-file", "prompts.txt")
    assert done.code == 0
    assert done.out.startswith("wrote prompts (3 of 3 made; ")
    assert "a jug stands in the list twice: it is made once\n" in done.err
    assert [(row["id"], row["name"]) for row in rows("prompts")] == [
        ("a red chair", "a-red-chair"), ("A red chair!", "a-red-chair-2"), ("a jug", "a-jug"),
    ]  # fmt: skip
    for row in rows("prompts"):
        assert all((Path("prompts") / file).exists() for file in row["files"])
        assert {Path(file).name for file in row["files"]} == set(contents(f"prompts/{row['name']}"))
    assert len(painter.asked) == 3


def test_the_same_batch_gives_the_same_bytes_but_for_the_seconds(shell, painter):
    Path("prompts.txt").write_text("a red chair\na jug\n")
    for out in ("one", "two"):
        assert shell("generate", "--text-file", "prompts.txt", "--out", out, "--seed", 3).code == 0
    one, two = contents("one"), contents("two")
    assert one.pop("seconds.jsonl")
    assert two.pop("seconds.jsonl")
    assert one == two


def test_what_is_done_is_skipped_and_what_is_gone_is_made_again(shell, painter):
    Path("prompts.txt").write_text("a red chair\na jug\n")
    shell("generate", "--text-file", "prompts.txt")
    before = contents("prompts")
    Path("prompts/a-jug/002.png").unlink()
    Path("prompts.txt").write_text("a cup\na red chair\na jug\n")
    shell("generate", "--text-file", "prompts.txt")
    assert [asked["caption"] for asked in painter.asked] == ["a red chair", "a jug", "a cup", "a jug"]
    after = contents("prompts")
    assert {name: after[name] for name in before if "/" in name} == {
        name: before[name] for name in before if "/" in name
    }


def test_a_bad_picture_is_a_row_with_its_reason_and_the_rest_is_made(shell, painter):
    Path("shots").mkdir()
    photo("shots/good.png")
    Path("shots/bad.png").write_text("no picture")
    Path("shots/notes.txt").write_text("passed over")
    done = shell("generate", "--image", "shots", "--image", photo("other.png"), "--text", "a box")
    assert done.code == 1
    assert "1 of 3 could not be made: pictures/results.jsonl says why" in done.err
    bad, good, other = rows("pictures")
    assert "no picture that can be read" in bad["error"]
    assert [row["name"] for row in (good, other)] == ["good", "other"]
    assert {"cutout.png", "000.png"} <= {Path(file).name for file in good["files"]}
    photo("shots/bad.png", background=200)
    done = shell("generate", "--image", "shots", "--image", "other.png", "--text", "a box", "--json")
    assert (done.code, json.loads(done.out)["failed"], len(painter.asked)) == (0, 0, 3)
    assert not [row for row in rows("pictures") if "error" in row]


def test_a_picture_that_changed_is_made_again(shell, painter):
    Path("shots").mkdir()
    photo("shots/a.png")
    for _ in range(2):
        done = shell("generate", "--image", "shots")
        assert done.code == 0, done.err
    assert len(painter.asked) == 1
    photo("shots/a.png", background=180)
    shell("generate", "--image", "shots")
    assert len(painter.asked) == 2


def test_other_settings_are_refused_and_named(shell, painter):
    Path("prompts.txt").write_text("a cup\n")
    shell("generate", "--text-file", "prompts.txt", "--out", "o")
    before = contents("o")
    error = shell("generate", "--text-file", "prompts.txt", "--out", "o", "--seed", 1, "--steps", 3).error
    assert "with other settings (steps as usual, not 3; seed 0, not 1)" in error
    assert contents("o") == before
    assert shell("generate", "--text-file", "prompts.txt", "--out", "o", "--seed", 1, "--force").code == 0
    assert shell("generate", "--text-file", "prompts.txt", "--seed", 1).out.startswith("wrote prompts-1 ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--text-file", "none.txt"], "cannot read none.txt"),
        (["--text-file", "empty.txt"], "holds no sentence"),
        (["--text-file", "prompts.txt", "--text", "a cup"], "leave out --text and --image"),
        (["--text-file", "prompts.txt", "--out", "papers"], "holds something else than a batch"),
        (["--text-file", "prompts.txt", "--out", "empty.txt"], "is a file"),
        (["--image", "a.png", "--image", "b.png", "--cutout", "mask.png"], "mask.png is a mask of one picture"),
    ],
)
def test_what_goes_wrong_is_one_line_and_changes_nothing(shell, painter, words, says):
    Path("empty.txt").write_text("# nothing\n\n")
    Path("prompts.txt").write_text("a cup\n")
    Path("papers").mkdir()
    Path("papers/thesis.tex").write_text("mine")
    before = contents(".")
    assert says in shell("generate", *words).error
    assert contents(".") == before


def test_if_nothing_can_be_made_the_exit_code_is_2(shell, painter):
    Path("shots").mkdir()
    Path("shots/bad.png").write_text("no picture")
    assert "none of the inputs could be made" in shell("generate", "--image", "shots").error


def test_a_killed_batch_goes_on(shell, painter, monkeypatch):
    Path("prompts.txt").write_text("a cup\na jug\n")
    samples = type(painter).samples

    def interrupted(self, caption, *rest, **options):
        if caption == "a jug":
            raise KeyboardInterrupt
        return samples(self, caption, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(painter), "samples", interrupted)
        assert shell("generate", "--text-file", "prompts.txt").code == 130
    assert [row["id"] for row in rows("prompts")] == ["a cup"]
    assert shell("generate", "--text-file", "prompts.txt").code == 0
    assert [asked["caption"] for asked in painter.asked] == ["a cup", "a jug"]


def test_several_folders_of_views_are_a_mesh_each(shell, capsys):
    render(views=4, size=32)
    capsys.readouterr()
    Path("bare").mkdir()
    folder = next(Path("views").glob("*/transforms.json")).parent
    quick = ("--faces", 200, "--texture", 64, "--resolution", 24)
    done = shell("reconstruct", folder, "bare", *quick)
    assert done.code == 1
    made, bad = rows("meshes")
    assert made["files"] == [f"{folder.name}.glb"]
    assert made["mesh"]["watertight"]
    assert "error" in bad
    before = Path(f"meshes/{folder.name}.glb").stat().st_mtime_ns
    assert shell("reconstruct", folder, "bare", *quick).code == 1
    assert Path(f"meshes/{folder.name}.glb").stat().st_mtime_ns == before
    refused = shell("reconstruct", folder, "bare", "--page", "p.html").error
    assert "--page, --video and --print-size are for one mesh" in refused


def test_a_folder_of_a_batch_holds_one_command(shell, tmp_path):
    batch.Batch(tmp_path / "b", "generate", {"seed": 0})
    with pytest.raises(ViewmaskError, match="holds a batch of viewmask generate"):
        batch.Batch(tmp_path / "b", "reconstruct", {"seed": 0})
