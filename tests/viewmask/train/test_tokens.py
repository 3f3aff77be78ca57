"""Token files: written, read, refused; mirrored and recoloured objects."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.learning.checkpoint import fingerprint
from viewmask.model import colour
from viewmask.model.framing import Place
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig, pack
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.train import tokens
from viewmask.train.masked import MIXTURES, Masked
from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet


@pytest.fixture(scope="module")
def tokenizer():
    torch.manual_seed(0)
    return Tokenizer(TokenizerConfig(size=32, stem=8, widths=(8, 16), blocks=(1, 1), mid_blocks=1)).eval()


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for name, split in (("a", "train"), ("b", "val")):
        images = [random.integers(1, 256, (32, 32, 4), dtype=np.uint8) for _ in range(4)]
        ViewSet(images, orbit(4, size=32), {"captions": ["a red cup"], "split": split}).save(tmp_path / "sets" / name)
    return tmp_path / "sets"


def test_round_trip(folder, tokenizer, tmp_path):
    path = tokens.tokenize([folder], tmp_path / "t.parquet", tokenizer, augment=2)
    read = tokens.read([path], fingerprint(tokenizer.encoder))
    assert read.ids == ["a", "a", "a", "b"]
    assert read.tokens.shape == (4, 4, 2, 2)
    np.testing.assert_allclose(read.azimuths[0], [0, 90, 180, 270], atol=1e-4)
    expected = tokenizer.encode(pack(np.stack(ViewSet.load(folder / "b").images))).numpy()
    np.testing.assert_array_equal(read.tokens[3], expected)
    assert read.captions[3] == ["a red cup"]
    assert tokens.read([path], fingerprint(tokenizer.encoder), "val").ids == ["b"]
    assert tokens.holds([path], "val")
    assert not tokens.holds([path], "test")


@pytest.fixture
def albums(folder, tmp_path):
    """Two photos of each object, of one colour each, from views 1 and 3."""
    for name in ("a", "b"):
        views = ViewSet.load(folder / name)
        views.extra["mesh_to_world"] = np.eye(4).tolist()
        views.save(folder / name)
        images = []
        for paint in ((200, 10, 10), (10, 10, 200)):
            image = np.zeros((32, 32, 4), np.uint8)
            image[4:28, 10:30] = *paint, 255
            images.append(image)
        cameras = [Camera.on_sphere(azimuth, 5.0, 2.0, 30.0, 32) for azimuth in (90, 270)]
        ViewSet(images, cameras, {"mesh_to_world": np.eye(4).tolist()}).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_photos_belong_to_rows_and_to_the_views_of_their_azimuth(folder, albums, tokenizer, tmp_path):
    path = tokens.tokenize([folder], tmp_path / "t.parquet", tokenizer, augment=1, photos=[albums])
    read = tokens.read([path], fingerprint(tokenizer.encoder))
    assert read.ids == ["a", "a", "b"]
    # All photos of an object, half of them of its mirror image.
    assert read.photo_rows.tolist() == [0, 0, 1, 2, 2]
    assert read.photo_views.tolist()[:2] == [1, 3]
    assert read.photo_views[2] in (1, 3)
    assert read.photo_views.tolist()[3:] == [1, 3]
    assert read.photos.shape == (5, 2, 2)
    assert len({photo.tobytes() for photo in read.photos}) > 1
    both = tokens.read([path, path], fingerprint(tokenizer.encoder))
    assert both.photo_rows.tolist() == [0, 0, 1, 2, 2, 3, 3, 4, 5, 5]
    assert tokens.read([path], fingerprint(tokenizer.encoder), "val").photo_rows.tolist() == [0, 0]


def test_a_mirrored_photo_looks_from_the_mirrored_side(folder, albums):
    views = ViewSet.load(folder / "a")
    album = [(image, turn) for image, turn in zip(ViewSet.load(albums / "a").images, (1, 0), strict=True)]
    seen = []
    random = np.random.default_rng(0)
    for _ in range(8):
        seen += [turn for _, turn in tokens.Variant(views, mirrored=True).references(album, random)[0]]
    assert set(seen) == {3, 0}


def test_photos_are_placed_as_the_views_from_their_azimuths(folder, albums):
    views = ViewSet.load(folder / "a")
    photos = ViewSet.load(albums / "a").images
    views.images[1] = np.zeros_like(views.images[1])
    views.images[1][20:28, 2:8] = 255  # small, below and left of the middle
    placed, refused = tokens.Variant(views).references([(photos[0], 1)], np.random.default_rng(0))
    assert (len(placed), refused) == (1, 0)
    mine, wanted = Place.of(placed[0][0]), Place.of(views.images[1])
    for name in ("zoom", "down", "right"):
        assert getattr(mine, name) == pytest.approx(getattr(wanted, name), abs=0.03)
    views.images[1] = np.zeros_like(views.images[1])  # a view that shows nothing tells no place
    assert tokens.Variant(views).references([(photos[0], 1)], np.random.default_rng(0)) == ([], 1)


def test_photos_that_use_refuses_are_left_out(folder, albums, tokenizer, tmp_path):
    photos = ViewSet.load(albums / "a")
    specks = np.zeros_like(photos.images[0])
    specks[3, ::4] = specks[20, 2::4] = 200, 0, 0, 255
    photos.images[0] = specks
    photos.save(albums / "a")
    notes: list[str] = []
    path = tokens.tokenize([folder], tmp_path / "t.parquet", tokenizer, photos=[albums], note=notes.append)
    assert notes == ["left out 1 photos: they, or the views from their azimuths, show nothing, or thin fragments"]
    shutil.rmtree(albums / "b")
    tokens.tokenize([folder], tmp_path / "u.parquet", tokenizer, photos=[albums], note=notes.append)
    assert notes[1] == f"1 of 2 objects have no photos in {albums}"
    read = tokens.read([path], fingerprint(tokenizer.encoder))
    assert (read.photo_rows.tolist(), read.photo_views.tolist()) == ([0, 1, 1], [3, 1, 3])


def test_files_without_photos_are_read_with_those_that_have_some(folder, albums, tokenizer, tmp_path):
    old = tokens.tokenize([folder], tmp_path / "old.parquet", tokenizer)
    new = tokens.tokenize([folder], tmp_path / "new.parquet", tokenizer, photos=[albums])
    read = tokens.read([old, new], fingerprint(tokenizer.encoder))
    assert read.photo_rows.tolist() == [2, 2, 3, 3]


def test_photos_that_an_earlier_version_framed_by_their_edges_are_refused(folder, albums, tokenizer, tmp_path):
    path = tokens.tokenize([folder], tmp_path / "t.parquet", tokenizer, photos=[albums])
    table = pq.read_table(path)
    about = {"tokenizer": fingerprint(tokenizer.encoder), "grid": tokenizer.config.grid}
    pq.write_table(table.replace_schema_metadata({tokens.META: json.dumps(about).encode()}), path)
    with pytest.raises(ViewmaskError, match="framed by their edges"):
        tokens.read([path], fingerprint(tokenizer.encoder))
    bare = tokens.tokenize([folder], tmp_path / "bare.parquet", tokenizer)
    table = pq.read_table(bare)
    pq.write_table(table.replace_schema_metadata({tokens.META: json.dumps(about).encode()}), bare)
    assert not len(tokens.read([bare], fingerprint(tokenizer.encoder)).photos)


def test_photos_of_another_form_or_side_are_refused(folder, albums, tokenizer, tmp_path):
    photos = ViewSet.load(albums / "a")
    turned = ViewSet(photos.images, [Camera.on_sphere(100, 5.0, 2.0, 30.0, 32)] * 2, photos.extra)
    stretched = ViewSet(photos.images, photos.cameras, {"mesh_to_world": (2 * np.eye(4)).tolist()})
    for wrong in (turned, stretched):
        wrong.save(albums / "a")
        with pytest.raises(ViewmaskError, match="same --jitter"):
            tokens.tokenize([folder], tmp_path / "t.parquet", tokenizer, photos=[albums])


def test_views_without_a_split_have_variants_as_those_to_train_on(folder, tokenizer, tmp_path):
    views = ViewSet.load(folder / "a")
    del views.extra["split"]
    views.save(tmp_path / "mine")
    path = tokens.tokenize([tmp_path / "mine"], tmp_path / "t.parquet", tokenizer, augment=3)
    assert tokens.read([path], fingerprint(tokenizer.encoder), "train").ids == ["mine"] * 4


def test_tokens_of_another_tokenizer_are_refused_by_both_names(folder, tokenizer, tmp_path):
    path = tokens.tokenize([folder], tmp_path / "t.parquet", tokenizer)
    with pytest.raises(ViewmaskError, match=f"{fingerprint(tokenizer.encoder)}.*0123"):
        tokens.read([path], "0123")


def test_tokens_of_another_grid_than_their_tokenizer_makes_are_refused(folder, tokenizer, tmp_path):
    larger = Tokenizer(replace(tokenizer.config, size=64)).eval()
    larger.load_state_dict(tokenizer.state_dict())  # the same name, for the same numbers
    path = tokens.tokenize([folder], tmp_path / "t.parquet", larger)
    assert len(tokens.tokens_of([path], larger)[0].ids) > 0
    with pytest.raises(ViewmaskError, match="makes 2 x 2 a view, and hold 4 x 4"):
        tokens.tokens_of([path], tokenizer)


def changed(table, name, values):
    index = table.schema.get_field_index(name)
    return table.set_column(index, table.schema.field(name), pa.array(values, table.schema.field(name).type))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: changed(t, "tokens", [[2**18] * 16] * 2), "none of 0 to 262143"),
        (lambda t: changed(t, "tokens", [[-1] + [0] * 15] * 2), "none of 0 to 262143"),
        (lambda t: changed(t, "azimuths", [[float("nan")] * 4] * 2), "azimuths that are no numbers"),
        (lambda t: changed(t, "tokens", [[0] * 16, [0] * 12]), "not of 4 views of 2 x 2 tokens"),
        (lambda t: changed(t, "captions", [["a cup"], None]), "captions are null"),
        (lambda t: t.drop_columns(["azimuths"]), "it has no column azimuths"),
    ],
)
def test_rows_that_no_tokenizer_wrote_are_refused_with_their_file(folder, tokenizer, tmp_path, change, says):
    path = tokens.tokenize([folder], tmp_path / "t.parquet", tokenizer)
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(ViewmaskError, match=f"t.parquet .*{says}"):
        tokens.read([path], fingerprint(tokenizer.encoder))


def test_objects_of_other_numbers_of_views_do_not_share_a_file(folder, tokenizer, tmp_path):
    views = ViewSet.load(folder / "a")
    ViewSet(views.images[:2], orbit(2, size=32), {"split": "train"}).save(tmp_path / "two" / "c")
    with pytest.raises(ViewmaskError, match="c has 2 views, a has 4"):
        tokens.tokenize([folder, tmp_path / "two"], tmp_path / "t.parquet", tokenizer)
    assert not (tmp_path / "t.parquet").exists()
    four = tokens.tokenize([folder], tmp_path / "four.parquet", tokenizer)
    two = tokens.tokenize([tmp_path / "two"], tmp_path / "two.parquet", tokenizer)
    with pytest.raises(ViewmaskError, match=r"four\.parquet 4 of 2 x 2 and .*two\.parquet 2 of 2 x 2"):
        tokens.read([four, two], fingerprint(tokenizer.encoder))


def test_captions_are_a_list_and_none_is_none(folder, tokenizer, tmp_path):
    file = folder / "a" / "transforms.json"
    record = json.loads(file.read_text())
    for captions, read in (("a red cup", ["a red cup"]), ([], []), (None, []), ({"a": 1}, None), ([7], None)):
        file.write_text(json.dumps(record | {"captions": captions}))
        if read is None:
            with pytest.raises(ViewmaskError, match=r"the captions of .* are no list of sentences"):
                tokens.tokenize([folder / "a"], tmp_path / "t.parquet", tokenizer)
            continue
        path = tokens.tokenize([folder / "a"], tmp_path / "t.parquet", tokenizer, augment=20)
        rows = tokens.read([path], fingerprint(tokenizer.encoder)).captions
        assert rows[0] == read
        assert all("" not in captions for captions in rows)


def test_views_that_are_no_orbit_of_the_models_are_told(folder, tokenizer, tmp_path):
    notes = []
    tokens.tokenize([folder], tmp_path / "t.parquet", tokenizer, note=notes.append)
    assert notes == []
    views = ViewSet.load(folder / "a")
    ViewSet(views.images, orbit(4, elevation=70, size=32), views.extra).save(folder / "a")
    tokens.tokenize([folder], tmp_path / "t.parquet", tokenizer, note=notes.append)
    assert len(notes) == 1
    assert notes[0].startswith("1 of 2 view sets are no orbits")


def test_other_files_are_refused(tokenizer, tmp_path):
    with pytest.raises(ViewmaskError, match="no tokens at"):
        tokens.read([tmp_path / "gone.parquet"], "")
    (tmp_path / "x.parquet").write_text("not parquet")
    with pytest.raises(ViewmaskError, match="not a token file"):
        tokens.read([tmp_path / "x.parquet"], "")
    with pytest.raises(ViewmaskError, match="no view sets"):
        tokens.tokenize([tmp_path], tmp_path / "t.parquet", tokenizer)
    (tmp_path / "empty").mkdir()
    assert not (tmp_path / "t.parquet").exists()


def test_the_mirrored_object_is_seen_from_the_mirrored_side(folder):
    views = ViewSet.load(folder / "a")
    mirrored = tokens.mirror(views)
    np.testing.assert_array_equal(mirrored.images[1], views.images[3][:, ::-1])
    np.testing.assert_array_equal(mirrored.images[0], views.images[0][:, ::-1])
    again = tokens.mirror(mirrored)
    for mine, theirs in zip(again.images, views.images, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_colours_and_their_words_change_together(folder):
    views = ViewSet.load(folder / "a")
    changed = tokens.recolour(views, (2, 1, 0))  # red and blue change places
    np.testing.assert_array_equal(changed.images[0][..., 0], views.images[0][..., 2])
    np.testing.assert_array_equal(changed.images[0][..., 3], views.images[0][..., 3])
    assert changed.extra["captions"] == ["a blue cup"]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a red cup", "a blue cup"),
        ("A Yellow car with white stripes", "A teal car with white stripes"),
        ("a green and purple kite", "a green and purple kite"),
        ("a wooden red chair", None),
        ("a banana", None),
        ("a brown bear", None),
    ],
)
def test_colour_words(caption, expected):
    assert colour.exchange(caption, (2, 1, 0)) == expected


def test_metadata_names_the_tokenizer(folder, tokenizer, tmp_path):
    path = tokens.tokenize([folder], tmp_path / "t.parquet", tokenizer)
    about = json.loads(pq.read_schema(path).metadata[tokens.META])
    assert about == {"tokenizer": fingerprint(tokenizer.encoder), "grid": 2, "photos": "placed"}


def test_pairs_become_rows_of_one_view(tokenizer, tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "pairs").mkdir()
    for number in range(70):  # more than are encoded at once
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(tmp_path / f"pairs/{number:02d}.png")
        (tmp_path / f"pairs/{number:02d}.txt").write_text(f"a thing, {number}")
    (tmp_path / "pairs/05.png").write_bytes(b"broken")
    notes: list[str] = []
    path = tokens.tokenize_pairs([tmp_path / "pairs"], tmp_path / "p.parquet", tokenizer, note=notes.append)
    assert notes == ["left out 1 of 70 pairs: their pictures could not be read or fetched"]
    read = tokens.read([path], fingerprint(tokenizer.encoder), "train")
    assert (read.tokens.shape, read.azimuths.tolist()) == ((69, 1, 2, 2), [[0.0]] * 69)
    assert (read.ids[5], read.captions[5]) == ("06", ["a thing, 6"])
    with Image.open(tmp_path / "pairs/69.png") as image:
        expected = tokenizer.encode(pack(np.array(image.convert("RGBA"))[None])).numpy()
    np.testing.assert_array_equal(read.tokens[68], expected)
    vocabulary = lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary
    task = Masked(read, MIXTURES["align"], vocabulary, torch.device("cpu"))
    assert task.draw("t2i", random, 5)[2].shape == (5, 1, 2, 2)
    for file in (tmp_path / "pairs").glob("*.png"):
        file.write_bytes(b"broken")
    with pytest.raises(ViewmaskError, match="none of 70 pictures"):
        tokens.tokenize_pairs([tmp_path / "pairs"], tmp_path / "q.parquet", tokenizer)
    assert not (tmp_path / "q.parquet").exists()
