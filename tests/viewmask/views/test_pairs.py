"""Pairs from shards, folders and Parquet files with URLs; what is broken or incomplete among them."""

import functools
import http.server
import io
import tarfile
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.views import pairs


def encoded(colour, kind="JPEG", size=(48, 32)):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind, quality=95)
    return stream.getvalue()


def tar(path, files):
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def told(places, size=16):
    return [(pair.name, pair.sentence, pair.picture is not None) for pair in pairs.read(places, size)]


def test_shards(tmp_path):
    tar(tmp_path / "00.tar", {
        "a/1.jpg": encoded("red"), "a/1.txt": b"a red\nthing", "a/2.json": b"{}", "a/2.jpg": encoded("blue"),
        "b/1.txt": b"a blue thing", "b/1.json": b"{}", "b/1.PNG": encoded("blue", "PNG"), "b/2.txt": b"half",
        "c.jpg": b"no picture", "c.txt": b"broken",
    })  # fmt: skip
    tar(tmp_path / "01.tar", {"d.webp": encoded("green", "WEBP"), "d.txt": b"green"})
    expected = [
        ("a/1", "a red thing", True),
        ("b/1", "a blue thing", True),
        ("c", "broken", False),
        ("d", "green", True),
    ]
    assert told([f"{tmp_path}/{{00..01}}.tar"]) == told([tmp_path]) == expected
    picture = next(pairs.read([tmp_path], 16)).picture
    assert picture.shape == (16, 16, 4)
    np.testing.assert_allclose(picture[8, 8], [254, 0, 0, 255], atol=4)


def test_folders(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.jpeg").write_bytes(encoded("red"))
    (tmp_path / "x" / "1.txt").write_text(" a red  thing\n")
    (tmp_path / "2.txt").write_text("nothing to see")
    assert told([tmp_path]) == [("x/1", "a red thing", True)]


def test_the_middle_square_is_taken(tmp_path):
    image = Image.new("RGB", (60, 20), "white")
    image.paste((255, 0, 0), (20, 0, 40, 20))
    image.save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("red")
    picture = next(pairs.read([tmp_path], 20)).picture
    assert (picture == [255, 0, 0, 255]).all()


@pytest.fixture
def server(tmp_path):
    """The address of a web server of a folder."""
    (tmp_path / "web").mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=tmp_path / "web"))
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{web.server_address[1]}"
    web.shutdown()
    thread.join()
    web.server_close()


def test_parquet_with_urls(server, tmp_path):
    for number in range(40):
        (tmp_path / "web" / f"{number}.jpg").write_bytes(encoded((6 * number, 0, 0)))
    (tmp_path / "local.jpg").write_bytes(encoded("red"))
    urls = [f"{server}/{number}.jpg" for number in range(40)]
    urls += [f"{server}/gone.jpg", f"file://{tmp_path}/local.jpg", None, f"{server}/0.jpg"]
    table = pa.table({"URL": urls, "TEXT": [f"picture {number}" for number in range(43)] + [""], "other": [1] * 44})
    pq.write_table(table, tmp_path / "laion.parquet")
    found = list(pairs.read([tmp_path / "laion.parquet"], 8))
    assert [pair.name for pair in found] == [f"laion-{number}" for number in range(42)]
    assert [pair.picture is not None for pair in found] == [True] * 40 + [False] * 2  # no server, no local files
    for number in range(40):  # in their order, though fetched at once
        assert abs(int(found[number].picture[4, 4, 0]) - 6 * number) < 6
    tar(tmp_path / "web" / "s.tar", {"d.jpg": encoded("green"), "d.txt": b"green"})
    assert told([f"{server}/s.tar"]) == [("d", "green", True)]
    with pytest.raises(ViewmaskError, match="cannot read the shard"):
        told([f"{server}/gone.tar"])


def test_parquet_with_pictures(tmp_path):
    table = pa.table({"image": [{"bytes": encoded("red"), "path": "a.jpg"}], "caption": ["red"]})
    pq.write_table(table, tmp_path / "hub.parquet")
    assert told([tmp_path / "hub.parquet"]) == [("hub-0", "red", True)]


def test_what_holds_no_pairs_is_said(tmp_path):
    with pytest.raises(ViewmaskError, match="wants its sentence in"):
        told([tmp_path])
    with pytest.raises(ViewmaskError, match="name a folder, a"):
        told([tmp_path / "gone"])
    (tmp_path / "a.tar").write_bytes(b"x" * 700)
    with pytest.raises(ViewmaskError, match="cannot read the shard"):
        told([tmp_path / "a.tar"])
    (tmp_path / "a.parquet").write_bytes(b"x")
    with pytest.raises(ViewmaskError, match="cannot read"):
        told([tmp_path / "a.parquet"])
    pq.write_table(pa.table({"a": [1]}), tmp_path / "b.parquet")
    with pytest.raises(ViewmaskError, match="has the columns a: pairs want caption or text, and url or image"):
        told([tmp_path / "b.parquet"])
