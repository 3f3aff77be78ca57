"""The worker: one order after the other, cancelled for real, limits, and the files."""

import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.viewmask.app.conftest import OVER, box, png, until
from viewmask import pipeline
from viewmask.app import worker as module
from viewmask.app.order import Edit, Order
from viewmask.app.photo import Photo
from viewmask.app.worker import FILES, REGION, WAITING, Worker, described
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import ViewSet


def over(job):
    return until(lambda: job.state, lambda state: state in OVER)


def test_what_was_ordered_is_made(worker, painter):
    job = worker.submit("ann", Order("a ball", draws=4, steps=3, seed=9))
    assert over(job) == "done", job.error
    assert job.kept == 2  # the painter's third fits best
    assert set(job.files()) == set(FILES) - {REGION}
    record = described(worker, job)
    assert record["command"] == 'viewmask generate --text "a ball" --steps 3 --seed 9 --mesh'
    assert record["step"] == 3
    rows = np.asarray(Image.open(job.folder / "3.webp").convert("RGB")).reshape(4, 128, 512, 3)[:, 64, 64]
    assert np.abs(rows[:, 2].astype(int) - [0, 40, 80, 120]).max() < 12  # each draw has its row
    views = pipeline.generate(painter, "a ball", draws=4, seed=9, steps=3).views
    files = pipeline.write_views(views, job.folder / "again")
    with zipfile.ZipFile(job.folder / "views.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            file.name: file.read_bytes() for file in files
        }
    pipeline.write_mesh(views, job.folder / "again" / "mesh.glb")
    assert (job.folder / "again" / "mesh.glb").read_bytes() == (job.folder / "mesh.glb").read_bytes()


def test_a_photo_goes_along_as_it_was_when_it_was_ordered(worker):
    photo = Photo.read(BytesIO(png(box())), "box.png")
    job = worker.submit("ann", Order("", photo.key, steps=2), photo)
    assert over(job) == "done", job.error
    assert job.notes[0] == "the object was cut out by its plain background"
    with zipfile.ZipFile(job.folder / "views.zip") as archive:
        assert np.array_equal(np.asarray(Image.open(archive.open("cutout.png"))), photo.shown.picture)


def square() -> np.ndarray:
    region = np.zeros((48, 48), bool)
    region[18:26, 18:26] = True
    return region


def test_a_part_is_made_anew_and_the_earlier_result_stays(worker):
    first = worker.submit("ann", Order("a ball", draws=1, steps=1, seed=9))
    assert over(first) == "done", first.error
    alone = worker.edit(first, Edit("a ball", view=1, everywhere=False, mesh=False), square())
    assert over(alone) == "done", alone.error
    both = worker.edit(alone, Edit("", seed=3), square())
    assert over(both) == "done", both.error
    assert set(first.files()) == set(FILES) - {REGION}
    assert alone.files() == ["views.zip", "last.webp", "region.png"]
    assert set(both.files()) == set(FILES)
    before, once, twice = (ViewSet.load(job.folder / "views").images for job in (first, alone, both))
    assert [np.array_equal(a, b) for a, b in zip(before, once, strict=True)] == [True, False, True, True]
    assert not any(np.array_equal(a, b) for a, b in zip(once, twice, strict=True))
    assert described(worker, both)["command"].splitlines() == [
        'viewmask generate --text "a ball" --steps 1 --draws 1 --seed 9 --mesh',
        'viewmask edit a-ball-9 --region a-ball-9-edited-region.png --view 1 --text "a ball" --seed 0',
        "viewmask edit a-ball-9-edited --region a-ball-9-edited-edited-region.png --seed 3 --mesh",
    ]


def test_a_second_edit_of_the_same_views_names_its_own_folder(worker):
    first = worker.submit("ann", Order("a ball", draws=1, steps=1))
    over(first)
    edits = [worker.edit(first, Edit(mesh=False, seed=seed), square()) for seed in (1, 2)]
    assert [edit.name for edit in edits] == ["a-ball-edited", "a-ball-edited-2"]
    assert described(worker, edits[1])["command"].endswith("--out a-ball-edited-2 --seed 2")
    assert [over(edit) for edit in edits] == ["done", "done"]


def test_views_that_are_to_be_edited_are_not_forgotten(worker, painter, monkeypatch):
    monkeypatch.setattr(module, "MOST_JOBS", 1)
    first = worker.submit("ann", Order("a ball", draws=1, steps=1))
    over(first)
    painter.gate.clear()
    edit = worker.edit(first, Edit(mesh=False), square())
    later = [worker.submit("bob", Order("a ball", draws=1, steps=1)) for _ in range(3)]
    for job in later:
        worker.cancel(job)
    worker.submit("eve", Order("a ball", draws=1, steps=1))
    assert first.folder.exists()
    painter.gate.set()
    assert over(edit) == "done", edit.error


def test_cancelling_stops_the_work_and_the_next_one_begins(worker, painter):
    painter.gate.clear()
    first, second, third = (worker.submit("ann", Order("a ball", steps=steps, draws=1)) for steps in (100, 100, 1))
    until(lambda: first.state, lambda state: state == "views")
    assert [worker.ahead(job) for job in (first, second, third)] == [0, 1, 2]
    worker.cancel(second)
    assert second.state == "cancelled"
    worker.cancel(first)
    painter.gate.set()
    assert over(first) == "cancelled"
    assert first.step < 100
    assert not first.folder.exists()
    assert over(third) == "done"


def test_the_mesh_can_be_cancelled_too(worker, monkeypatch):
    def write_mesh(*_, progress, **__):
        worker.cancel(job)
        progress("carving", 0.5)
        raise AssertionError("it went on")

    monkeypatch.setattr(pipeline, "write_mesh", write_mesh)
    job = worker.submit("ann", Order("a ball", steps=2, draws=1))
    assert over(job) == "cancelled"
    assert not job.folder.exists()


def test_what_goes_wrong_is_said_and_the_worker_lives_on(worker, monkeypatch, capsys):
    def no_mesh(*_, **__):
        raise ViewmaskError("the views have no volume in common")

    job = worker.submit("ann", Order("a broken thing"))
    assert over(job) == "failed"
    assert job.error.startswith("something unexpected went wrong")
    assert "RuntimeError: broken" in capsys.readouterr().err
    monkeypatch.setattr(pipeline, "write_mesh", no_mesh)
    job = worker.submit("ann", Order("a ball", steps=1, draws=1))
    assert over(job) == "done"
    assert job.notes[-1] == "no mesh: the views have no volume in common"
    assert job.files() == ["views.zip", "last.webp"]


def test_nobody_fills_the_queue(worker, painter):
    painter.gate.clear()
    jobs = [worker.submit("ann", Order("a ball", draws=1, steps=1)) for _ in range(WAITING)]
    with pytest.raises(ViewmaskError, match="of yours wait already"):
        worker.submit("ann", Order("a ball"))
    jobs += [worker.submit(f"bob {i}", Order("a ball", draws=1, steps=1)) for i in range(3 * WAITING)]
    with pytest.raises(ViewmaskError, match="the queue is full"):
        worker.submit("eve", Order("a ball"))
    for job in jobs:
        worker.cancel(job)


def test_old_results_go(worker, monkeypatch):
    monkeypatch.setattr(module, "MOST_JOBS", 2)
    jobs = []
    for _ in range(4):
        jobs.append(worker.submit("ann", Order("a ball", draws=1, steps=1)))
        over(jobs[-1])
    assert list(worker.jobs.values()) == jobs[1:]  # the newest was not over when the first went
    assert [job.folder.exists() for job in jobs] == [False, True, True, True]


def test_time_left_is_said_once_it_is_known(worker, painter):
    painter.gate.clear()
    job = worker.submit("ann", Order("a ball", draws=1, steps=50))
    until(lambda: job.state, lambda state: state == "views")
    assert worker.left(job) is None
    painter.gate.set()
    until(lambda: job.step, lambda step: step > 0)
    after = worker.submit("bob", Order("a ball", draws=1, steps=50))
    assert (worker.left(after) or 0) > 0
    for each in (after, job):
        worker.cancel(each)


def test_stopping_leaves_nothing_unless_it_is_to_be_kept(painter, tmp_path):
    for keep in (False, True):
        worker = Worker(painter, tmp_path / "results", keep=keep)
        worker.start()
        over(worker.submit("ann", Order("a ball", draws=1, steps=1)))
        worker.stop()
        assert (tmp_path / "results").exists() == keep


def test_the_kept_draw_is_found_though_its_views_were_refined():
    from viewmask.app.worker import _kept
    from viewmask.views.camera import orbit
    from viewmask.views.viewset import ViewSet

    random = np.random.default_rng(0)
    draws = [[random.integers(0, 256, (16, 16, 4), dtype=np.uint8) for _ in range(2)] for _ in range(3)]
    finer = [np.repeat(np.repeat(np.clip(view, 8, 240) + 5, 2, 0), 2, 1).astype(np.uint8) for view in draws[1]]
    assert _kept(draws, ViewSet(finer, orbit(2, size=32))) == 1
    assert _kept(draws[:1], ViewSet(finer, orbit(2, size=32))) is None
