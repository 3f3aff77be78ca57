"""The server: who may ask for what, and what it says to the broken, the huge and the hostile."""

import base64
import zlib
from io import BytesIO
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from tests.viewmask.app.conftest import Visitor, box, png, serving
from viewmask.app import server
from viewmask.app.worker import Worker

pytest.importorskip("starlette")


def test_from_a_sentence_to_files(visitor):
    job = visitor.order(text="a ball", steps=3)
    assert job["command"] == 'viewmask generate --text "a ball" --steps 3 --draws 1 --seed 0 --mesh'
    done = visitor.wait(job)
    assert (done["state"], done["step"]) == ("done", 3)
    for step in (1, 2, 3):
        picture = Image.open(BytesIO(visitor.ask(f"/api/jobs/{job['id']}/steps/{step}").body))
        assert picture.size == (4 * 256, 256)
    for name in done["files"]:
        assert visitor.ask(f"/api/jobs/{job['id']}/files/{name}").status == 200
    assert [job["id"] for job in visitor.ask("/api/state").record["jobs"]] == [job["id"]]


def test_people_do_not_see_each_others_results(visitor, address):
    job = visitor.order(text="a ball")
    visitor.wait(job)
    photo = visitor.ask("/api/photos?name=box.png", "POST", png(box())).record
    other = Visitor(address).enter()
    assert other.ask("/api/state").record["jobs"] == []
    for path in (f"jobs/{job['id']}", f"jobs/{job['id']}/steps/1", f"jobs/{job['id']}/files/mesh.glb"):
        assert "no longer here" in other.ask(f"/api/{path}").error
    assert other.ask(f"/api/jobs/{job['id']}", "DELETE").status == 404
    assert other.ask(f"/api/photos/{photo['id']}/cutout.png").status == 404
    assert "no longer here" in other.ask("/api/jobs", "POST", {"picture": photo["id"]}).error
    assert "open the page first" in Visitor(address).ask("/api/state").error


def test_nothing_else_is_served(visitor):
    job = visitor.order(text="a ball")
    visitor.wait(job)
    for path in (
        f"/api/jobs/{job['id']}/files/..%2f..%2fetc%2fpasswd", f"/api/jobs/{job['id']}/files/1.webp",
        f"/api/jobs/{job['id']}/steps/-1", f"/api/jobs/{job['id']}/steps/99", "/server.py", "/../worker.py", "/%2e%2e/",
        f"/api/jobs/..%2f{job['id']}", "/docs", "/page.css/../server.py",
    ):  # fmt: skip
        answer = visitor.ask(path)
        assert answer.status in (404, 405), path
        assert "no " in answer.error
    assert visitor.ask("/", "POST", b"").status == 405


def test_pages_of_elsewhere_are_turned_away(visitor, address):
    port = address[1]
    assert visitor.ask("/", host="evil.example").status == 400
    assert visitor.ask("/", host=f"127.0.0.1:{port}").status == 200
    order = {"text": "a ball"}
    assert visitor.ask("/api/jobs", "POST", order, origin="https://evil.example").status == 403
    assert visitor.ask("/api/jobs", "POST", order, origin="null").status == 403
    assert visitor.ask("/api/jobs", "POST", b'{"text": "a ball"}', content_type="text/plain").status == 415
    assert visitor.ask("/api/state").record["jobs"] == []


def test_the_browser_is_told_to_fetch_nothing_from_elsewhere(visitor):
    for path in ("/", "/page.css", "/page.js", "/api/state"):
        headers = visitor.ask(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
    job = visitor.order(text="a ball")
    visitor.wait(job)
    page = visitor.ask(f"/api/jobs/{job['id']}/files/page.html")
    assert "sandbox allow-scripts" in page.headers["content-security-policy"]
    assert "img-src data:" in page.headers["content-security-policy"]


def test_user_and_password(painter, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "_PATIENCE", 0.0)
    with serving(Worker(painter, tmp_path / "results"), None, "ann:öl: and more") as address:
        visitor = Visitor(address)
        token = base64.b64encode("ann:öl: and more".encode()).decode()
        assert visitor.ask("/").status == 401
        assert "Basic" in visitor.ask("/").headers["www-authenticate"]
        for wrong in ("Basic bm9ib2R5OngK", "Basic ???", "Bearer x", f"Digest {token}", "Basic"):
            assert visitor.ask("/api/state", authorization=wrong).status == 401
        assert visitor.ask("/", authorization=f"Basic {token}", host="anything.example").status == 200


def test_pictures_that_cannot_be_used_are_one_line(visitor, monkeypatch):
    def send(body):
        return visitor.ask("/api/photos?name=x.png", "POST", body).error

    assert "no picture that can be read here" in send(b"GIF, but not really")
    assert "no picture that can be read here" in send(b"")
    assert "cannot read the picture" in send(png(box())[:90])
    bomb = b"\x89PNG\r\n\x1a\n"  # it claims 65535 x 65535 pixels
    for kind, content in ((b"IHDR", b"\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0"), (b"IDAT", zlib.compress(b"\0" * 99))):
        bomb += len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")
    assert "too many pixels: shrink it first" in send(bomb)
    monkeypatch.setattr(server, "LARGEST_FILE", 2**20)
    assert "too large: 1 MB at most" in send(b"\0" * (2**20 + 1))
    assert visitor.ask("/api/jobs", "POST", b"[" * 9000, content_type="application/json").status == 400
    assert "too large" in visitor.ask("/api/jobs", "POST", b" " * 10_001, content_type="application/json").error
    assert "say what to show" in visitor.ask("/api/jobs", "POST", {}).error


def test_a_cut_out_is_shown_and_painted(visitor):
    photo = visitor.ask("/api/photos?name=my%20box.png", "POST", png(box())).record
    assert (photo["name"], photo["how"], photo["width"]) == ("my box.png", "its plain background", 80)
    assert visitor.ask(f"/api/photos/{photo['id']}/picture.webp").headers["content-type"] == "image/webp"
    cut = Image.open(BytesIO(visitor.ask(f"/api/photos/{photo['id']}/cutout.png").body))
    assert cut.getpixel((0, 0))[3] == 0
    mask = np.zeros((60, 80), np.uint8)
    mask[:30] = 255
    painted = visitor.ask(f"/api/photos/{photo['id']}", "PUT", png(mask)).record
    assert painted["how"] == "your own brush"
    cut = Image.open(BytesIO(visitor.ask(f"/api/photos/{photo['id']}/cutout.png").body))
    assert (cut.getpixel((0, 0))[3], cut.getpixel((40, 35))[3]) == (255, 0)
    job = visitor.order(picture=photo["id"], text="a box")
    assert job["command"].startswith('viewmask generate --image cutout.png --cutout alpha --text "a box"')
    assert job["mended"]
    assert visitor.wait(job)["state"] == "done"
    back = visitor.ask(f"/api/photos/{photo['id']}?cutout=auto", "PUT", b"").record
    assert back["how"] == "its plain background"
    trouble = visitor.ask(f"/api/photos/{photo['id']}?cutout=alpha", "PUT", b"").record
    assert "no transparency" in trouble["trouble"]
    assert "no transparency" in visitor.ask("/api/jobs", "POST", {"picture": photo["id"]}).error
    assert visitor.ask(f"/api/photos/{photo['id']}?cutout=/etc/passwd", "PUT", b"").status == 422


def painted(side=48) -> bytes:
    mask = np.zeros((side, side), np.uint8)
    mask[18:26, 18:26] = 255
    return png(mask)


def test_a_part_is_made_anew(visitor, address):
    job = visitor.wait(visitor.order(text="a ball"))
    path = f"/api/jobs/{job['id']}/edits?order="
    edit = visitor.ask(path + quote('{"text": "a blue ball", "view": 2}'), "POST", painted()).record
    assert (edit["edit"], edit["base"], edit["views"]) == (True, job["id"], 4)
    done = visitor.wait(edit)
    assert done["state"] == "done", done["error"]
    region = visitor.ask(f"/api/jobs/{edit['id']}/files/region.png")
    assert region.headers["content-type"] == "image/png"
    assert (np.asarray(Image.open(BytesIO(region.body)).convert("L")) == Image.open(BytesIO(painted()))).all()
    assert Visitor(address).enter().ask(path + "{}", "POST", painted()).status == 404
    for order, mask, says in (
        ("", painted(), "no order"), ("{", painted(), "no order"), ("[]", painted(), "no order"),
        ("{}", b"none", "it is no picture that can be read here"), ("{}", painted(32), "is 32x32, the view 48x48"),
        ("{}", png(np.zeros((48, 48), np.uint8)), "holds no pixel"), ('{"view": 4}', painted(), "there is no view 4"),
        ("{}", b"0" * (2**20 + 1), "too large"),
    ):  # fmt: skip
        assert says in visitor.ask(path + quote(order), "POST", mask).error


def test_only_views_that_are_there_can_be_edited(visitor, painter):
    painter.gate.clear()
    job = visitor.order(text="a ball")
    assert "not there yet" in visitor.ask(f"/api/jobs/{job['id']}/edits?order={{}}", "POST", painted()).error
    painter.gate.set()
    visitor.wait(job)


def test_cancelling(visitor, painter):
    painter.gate.clear()
    job = visitor.order(text="a ball", steps=50)
    assert visitor.ask(f"/api/jobs/{job['id']}", "DELETE").status == 200
    painter.gate.set()
    assert visitor.wait(job)["state"] == "cancelled"


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
                      ("192.168.0.4", False), ("example.org", False)],
)  # fmt: skip
def test_which_addresses_are_this_machines_own(host, own):
    assert server.is_loopback(host) == own
