"""The page in a real browser: a sentence, a picture, the mesh, downloads, cancelling, tabs, a phone; no network."""

import io
import shlex
import shutil
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.viewmask.app.conftest import box, png
from viewmask_cli import main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if CHROMIUM is None:
    pytest.skip("there is no chromium here", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright here")
pytest.importorskip("uvicorn")

ALONE = ["--no-sandbox", "--disable-dev-shm-usage", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=ALONE)
        yield browser
        browser.close()


class Tab:
    """A page of the server, and whatever it asked for or complained of."""

    def __init__(self, context, address) -> None:
        self.home = f"http://127.0.0.1:{address[1]}/"
        self.page = context.new_page()
        self.page.set_default_timeout(120_000)
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda line: self.wrong.append(line.text) if line.type == "error" else None)
        self.page.goto(self.home)
        self.page.wait_for_selector("#board .view")

    def order(self, text="", **more) -> None:
        self.page.fill("#text", text)
        self.page.evaluate("document.getElementById('more').open = true")
        for name, value in ({"draws": "1", "steps": "3"} | more).items():
            self.page.fill(f"#{name}", value)
        self.page.click("#make")

    def done(self, title: str) -> None:
        self.page.wait_for_selector("#downloads:visible")
        assert self.page.inner_text("#doing") == title

    def download(self, label: str) -> bytes:
        with self.page.expect_download() as waiting:
            self.page.click(f"#downloads a:text-is('{label}')")
        return Path(waiting.value.path()).read_bytes()

    def quiet(self) -> bool:
        """Nothing went wrong, and nothing was asked of anybody else."""
        assert self.wrong == []
        assert len(self.asked) > 3
        return all(url.startswith((self.home, "data:", f"blob:{self.home}")) for url in self.asked)


@pytest.fixture
def tab(browser, address):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    yield Tab(context, address)
    context.close()


def picture(page, selector) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")).astype(int)


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def command(words: str, folder, monkeypatch) -> None:
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    with pytest.raises(SystemExit) as leaving:
        main.run(shlex.split(words)[1:])
    assert leaving.value.code == 0


class AfterFirst(threading.Event):
    """A gate that is open for the first step, and then waits."""

    first = True

    def wait(self, timeout=None):
        first, self.first = self.first, False
        return first or super().wait(timeout)


def test_a_sentence_a_mesh_and_the_bytes_of_the_command_line(tab, painter, tmp_path, monkeypatch):
    painter.gate = AfterFirst()
    tab.order("a ball", seed="5", draws="4")
    tab.page.wait_for_selector("#cancel:visible")
    for _ in range(500):  # it is seen while it is made
        if seen := any("/steps/" in url for url in tab.asked):
            break
        tab.page.wait_for_timeout(20)
    painter.gate.set()
    assert seen
    tab.done("a ball")
    tab.page.evaluate("const s = document.querySelector('#replay input'); s.value = 1; s.oninput()")
    tab.page.wait_for_selector("#board.many .draw.kept")
    assert tab.page.locator("#board .draw").count() == 4

    words = tab.page.inner_text("#command")
    assert words == 'viewmask generate --text "a ball" --steps 3 --seed 5 --mesh'
    command(words, tmp_path / "line", monkeypatch)
    written = {file.name: file.read_bytes() for file in (tmp_path / "line" / "a-ball-5").iterdir()}
    assert tab.download("GLB") == written.pop("mesh.glb")
    assert tab.download("Page") == written.pop("page.html")
    assert unzipped(tab.download("Views (zip)")) == written
    for suffix in ("ply", "stl", "3mf", "obj"):
        again = ["viewmask", "reconstruct", "a-ball-5", "--out", f"mesh.{suffix}"]
        command(shlex.join(again), tmp_path / "line", monkeypatch)
        got = tab.download(suffix.upper())
        if suffix == "obj":
            assert {name: Path(name).read_bytes() for name in unzipped(got)} == unzipped(got)
        else:
            assert got == Path(f"mesh.{suffix}").read_bytes()
    assert tab.quiet()


def test_the_mesh_turns_under_the_mouse(tab):
    tab.order("a ball")
    tab.done("a ball")
    frame = tab.page.frame_locator("#mesh")
    frame.locator("#spin").click()
    frame.locator("#modes button").nth(2).click()  # normals: every side has its colour
    tab.page.wait_for_timeout(500)
    before = picture(tab.page, "#mesh")
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 50  # something is drawn
    shape = frame.locator("canvas").bounding_box()
    x, y = shape["x"] + shape["width"] / 2, shape["y"] + shape["height"] / 2
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x + 150, y + 20, steps=5)
    tab.page.mouse.up()
    tab.page.wait_for_timeout(500)
    assert (np.abs(picture(tab.page, "#mesh") - before).max(axis=-1) > 20).mean() > 0.01
    assert tab.quiet()


def test_a_picture_is_cut_out_painted_and_made(tab, tmp_path, monkeypatch):
    tab.page.set_input_files("#file", {"name": "my box.png", "mimeType": "image/png", "buffer": png(box())})
    tab.page.wait_for_selector("#how:text('its plain background')")
    easel = tab.page.locator("#easel canvas").bounding_box()
    before = picture(tab.page, "#easel")
    tab.page.fill("#size", "90")
    tab.page.mouse.move(easel["x"] + 4, easel["y"] + 4)
    tab.page.mouse.down()
    tab.page.mouse.move(easel["x"] + 30, easel["y"] + 8, steps=4)
    tab.page.mouse.up()
    tab.page.wait_for_selector("#how:text('your own brush')")
    assert (picture(tab.page, "#easel") != before).any()
    tab.order("a box")
    tab.done("a box")
    words = tab.page.inner_text("#command")
    assert words.startswith('viewmask generate --image cutout.png --cutout alpha --text "a box"')
    views = unzipped(tab.download("Views (zip)"))
    assert Image.open(io.BytesIO(views["cutout.png"])).getpixel((0, 0))[3] == 255  # painted
    (tmp_path / "line").mkdir()
    (tmp_path / "line" / "cutout.png").write_bytes(views["cutout.png"])
    command(words + " --out again", tmp_path / "line", monkeypatch)
    again = {file.name: file.read_bytes() for file in (tmp_path / "line" / "again").iterdir()}
    assert again.pop("mesh.glb") == tab.download("GLB")
    assert again.pop("page.html") == tab.download("Page")
    assert views == again
    tab.page.click("#restart")
    tab.page.wait_for_selector("#how:text('its plain background')")
    assert tab.quiet()


def stroke(page, *places: tuple[float, float]) -> None:
    """Paint on the view with the mouse; places are shares of its sides."""
    page.wait_for_timeout(300)  # the view must have been drawn
    slate = page.locator("#slate canvas")
    slate.scroll_into_view_if_needed()
    box = slate.bounding_box()
    for number, (across, down) in enumerate(places):
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"], steps=4)
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def test_a_part_is_painted_and_made_anew_with_the_bytes_of_the_command_line(tab, tmp_path, monkeypatch):
    tab.order("a ball", seed="5")
    tab.done("a ball")
    tab.page.click("#anew summary")
    assert tab.page.is_disabled("#redo")
    tab.page.click("#angles button:text-is('180°')")
    before = picture(tab.page, "#slate")
    stroke(tab.page, (0.4, 0.45), (0.6, 0.5))
    assert (picture(tab.page, "#slate") != before).any()
    tab.page.fill("#shall", "a ball with a blue band")
    tab.page.fill("#again", "2")
    tab.page.click("#redo")
    tab.page.wait_for_selector("#undo:visible")
    tab.done("a ball with a blue band")
    words = tab.page.inner_text("#command").splitlines()
    assert words[1:] == [
        "viewmask edit a-ball-5 --region a-ball-5-edited-region.png --view 2 --everywhere "
        '--text "a ball with a blue band" --seed 2 --mesh'
    ]
    line = tmp_path / "line"
    command(words[0], line, monkeypatch)
    (line / "a-ball-5-edited-region.png").write_bytes(tab.download("Region"))
    command(words[1], line, monkeypatch)
    written = {file.name: file.read_bytes() for file in (line / "a-ball-5-edited").iterdir()}
    assert tab.download("GLB") == written.pop("mesh.glb")
    assert tab.download("Page") == written.pop("page.html")
    assert unzipped(tab.download("Views (zip)")) == written
    for view in range(4):  # its place in all of them
        assert written[f"{view:03d}.png"] != (line / "a-ball-5" / f"{view:03d}.png").read_bytes()

    tab.page.click("#undo")
    tab.page.wait_for_selector("#undo", state="hidden")
    tab.done("a ball")
    assert tab.page.inner_text("#command") == words[0]
    assert tab.page.locator("#earlier button").count() == 2
    tab.page.click("#earlier button:has-text('edited')")
    tab.page.wait_for_selector("#undo:visible")
    tab.page.reload()
    tab.done("a ball with a blue band")
    assert tab.quiet()


def test_of_one_view_no_other_changes_and_what_was_painted_can_be_erased(tab, tmp_path, monkeypatch):
    tab.order("a ball")
    tab.done("a ball")
    earlier = unzipped(tab.download("Views (zip)"))
    tab.page.click("#anew summary")
    stroke(tab.page, (0.5, 0.5))
    assert tab.page.is_enabled("#redo")
    tab.page.click("#clear")
    assert tab.page.is_disabled("#redo")
    stroke(tab.page, (0.5, 0.5))
    tab.page.click("#ink button:text-is('Erase')")
    tab.page.fill("#width", "100")
    stroke(tab.page, (0.45, 0.5), (0.55, 0.5))
    assert tab.page.is_disabled("#redo")
    tab.page.click("#ink button:text-is('Paint')")
    stroke(tab.page, (0.4, 0.5), (0.5, 0.5))
    tab.page.click("#reach button:text-is('This view alone')")
    tab.page.uncheck("#remesh")
    tab.page.click("#redo")
    tab.page.wait_for_selector("#undo:visible")
    tab.done("a ball")
    edited = unzipped(tab.download("Views (zip)"))
    changed = {name for name in edited if edited[name] != earlier[name]}
    assert changed >= {"000.png"}
    assert not changed & {"001.png", "002.png", "003.png"}
    assert tab.page.is_hidden("#mesh")
    assert tab.page.inner_text("#command").endswith('--view 0 --text "a ball" --seed 0')
    assert tab.quiet()


def test_pictures_are_dropped_and_pasted_and_broken_ones_are_one_line(tab):
    give = """([bytes, name, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
        const about = {bubbles: true, cancelable: true};
        document.body.dispatchEvent(kind == "drop" ? new DragEvent("drop", {...about, dataTransfer: data})
                                                   : new ClipboardEvent("paste", {...about, clipboardData: data}));
    }"""
    tab.page.evaluate(give, [list(b"not a picture"), "note.png", "drop"])
    tab.page.wait_for_selector("#complaint:visible")
    assert tab.page.inner_text("#complaint").startswith("the picture is no picture that can be read here")
    tab.wrong.clear()  # the browser counts an answer of 422 as an error
    for kind in ("drop", "paste"):
        tab.page.evaluate(give, [list(png(box())), f"{kind}.png", kind])
        tab.page.wait_for_selector("#how:text('its plain background')")
        assert tab.page.is_hidden("#complaint")
        tab.page.click("#without")
        tab.page.wait_for_selector("#drop:visible")
    assert tab.quiet()


def test_cancelling_stops(tab, painter):
    painter.gate.clear()
    tab.order("a ball", steps="60")
    tab.page.wait_for_selector("#cancel:visible")
    tab.page.click("#cancel")
    painter.gate.set()
    tab.page.wait_for_selector("#doing:text('Cancelled')")
    assert tab.page.is_hidden("#downloads")
    assert tab.page.is_hidden("#cancel")


def test_tabs_and_browsers_do_not_mix_and_results_stay(tab, browser, address):
    second = Tab(tab.page.context, address)  # of the same browser
    stranger = Tab(browser.new_context(), address)
    tab.order("a ball", seed="1")
    second.order("a disc", seed="2")
    tab.done("a ball")
    second.done("a disc")
    for each, text in ((tab, "a ball"), (second, "a disc")):
        each.page.reload()
        each.done(text)
        assert f'"{text}"' in each.page.inner_text("#command")
        assert each.page.input_value("#text") == text
    assert tab.page.locator("#earlier button").count() == 2
    stranger.page.reload()
    stranger.page.wait_for_selector("#promise:visible")
    assert stranger.page.locator("#earlier button").count() == 0
    stranger.page.context.close()
    assert tab.quiet()


def test_a_phones_window(browser, address):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    tab = Tab(context, address)
    tab.order("a ball")
    tab.done("a ball")
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.page.is_visible("#camera")
    widths = [tile.bounding_box()["width"] for tile in tab.page.locator("#board .view").all()]
    assert min(widths) > 120
    assert tab.quiet()

    tab.page.tap("#anew summary")
    tab.page.wait_for_timeout(300)
    slate = tab.page.locator("#slate canvas")
    slate.scroll_into_view_if_needed()
    box = slate.bounding_box()
    assert min(box["width"], box["height"]) > 300
    assert box["height"] < 500  # the page can still be moved beside it
    finger, wire = (box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"]), context.new_cdp_session(tab.page)
    down = tab.page.evaluate("scrollY")
    for kind, across in (("touchStart", 0), ("touchMove", 30), ("touchMove", 60), ("touchEnd", None)):
        points = [] if across is None else [{"x": finger[0] + across, "y": finger[1] + across / 3}]
        wire.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert tab.page.evaluate("scrollY") == down  # the finger paints, and does not scroll
    tab.page.wait_for_selector("#redo:enabled")
    tab.page.dispatch_event("#redo", "click")  # a tap right after a stroke may count as one gesture with it
    tab.page.wait_for_selector("#undo:visible")
    tab.done("a ball")
    assert "--region a-ball-edited-region.png --text" in tab.page.inner_text("#command")
    assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.quiet()
    context.close()
