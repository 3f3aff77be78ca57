"""Any file that people have as 8-bit RGBA, or refused with the reason."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from viewmask.errors import ViewmaskError
from viewmask.views.picture import MissingPictureError, inside, mask_of, read_mask, read_picture, shrunk

ROOT = Path(__file__).parents[3]


def test_any_picture_is_read_as_rgba(tmp_path):
    Image.new("L", (3, 2), 9).save(tmp_path / "grey.png")
    assert read_picture(str(tmp_path / "grey.png")).tolist() == [[[9, 9, 9, 255]] * 3] * 2
    Image.new("1", (3, 2), 1).save(tmp_path / "bit.png")
    assert read_picture(tmp_path / "bit.png").tolist() == [[[255] * 4] * 3] * 2
    Image.new("LA", (3, 2), (9, 8)).save(tmp_path / "la.png")
    assert read_picture(tmp_path / "la.png").tolist() == [[[9, 9, 9, 8]] * 3] * 2
    Image.new("CMYK", (3, 2), (0, 255, 255, 0)).save(tmp_path / "print.tif")
    assert read_picture(tmp_path / "print.tif")[0, 0].tolist() == [255, 0, 0, 255]


def test_a_palette_may_have_alpha(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    image.save(tmp_path / "p.png", transparency=0)
    assert read_picture(tmp_path / "p.png").tolist() == [[[10, 20, 30, 0], [200, 100, 50, 255]]]
    image.save(tmp_path / "q.png", transparency=bytes([255, 90]))
    assert read_picture(tmp_path / "q.png")[0, 1].tolist() == [200, 100, 50, 90]


def test_sixteen_bits_are_scaled(tmp_path):
    values = np.array([[0, 257, 25700, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert read_picture(tmp_path / "deep.png")[0, :, 0].tolist() == [0, 1, 100, 255]
    assert (read_picture(tmp_path / "deep.png")[..., 3] == 255).all()
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "deep.tif")
    assert read_picture(tmp_path / "deep.tif")[0, :, 1].tolist() == [0, 1, 100, 255]
    Image.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)).save(tmp_path / "float.tif")
    assert read_picture(tmp_path / "float.tif")[0, :, 2].tolist() == [0, 128, 255, 0]


def lying(tmp_path, orientation):
    """A picture 6 wide and 4 high whose upper left quarter is red, stored with an orientation."""
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:2, :3] = (255, 0, 0)
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "phone.png", exif=exif)
    return tmp_path / "phone.png"


@pytest.mark.parametrize(
    ("orientation", "shape", "corner"),
    [(1, (4, 6), (0, 0)), (2, (4, 6), (0, -1)), (3, (4, 6), (-1, -1)), (6, (6, 4), (0, -1)), (8, (6, 4), (-1, 0))],
)
def test_a_photo_stands_upright_and_a_posed_view_stays_as_stored(tmp_path, orientation, shape, corner):
    path = lying(tmp_path, orientation)
    photo = read_picture(path, upright=True)
    assert photo.shape[:2] == shape
    assert photo[corner][0] == 255
    assert read_picture(path).shape[:2] == (4, 6)
    assert read_picture(path)[0, 0, 0] == 255


def test_colour_profiles_become_srgb(tmp_path):
    colour = (200, 40, 30)
    plain = Image.new("RGBA", (4, 4), (*colour, 90))
    plain.save(tmp_path / "srgb.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert read_picture(tmp_path / "srgb.png")[0, 0].tolist() == [*colour, 90]
    lab = Image.new("LAB", (4, 4), (120, 150, 140))
    lab.save(tmp_path / "lab.tif", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())
    red, green, _, alpha = read_picture(tmp_path / "lab.tif")[0, 0].tolist()
    assert red > green
    assert alpha == 255
    plain.save(tmp_path / "broken.png", icc_profile=b"no profile")
    assert read_picture(tmp_path / "broken.png")[0, 0].tolist() == [*colour, 90]


def test_a_large_picture_is_shrunk_as_it_is_read(tmp_path):
    pixels = np.full((300, 600, 3), 90, np.uint8)
    pixels[:, 300:] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.jpg", quality=95)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    for name in ("wide.jpg", "wide.png"):
        picture = read_picture(tmp_path / name, largest=64)
        assert picture.shape == (32, 64, 4)
        assert abs(int(picture[16, 10, 0]) - 90) <= 2
        assert abs(int(picture[16, 50, 0]) - 200) <= 2
    assert read_picture(tmp_path / "wide.png", largest=600).shape == (300, 600, 4)


MEMORY = """
import resource, sys
from viewmask.views.picture import read_picture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
picture = read_picture(sys.argv[1], upright=True, largest=1024)
print(*picture.shape, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units")
@pytest.mark.parametrize(("mode", "suffix"), [("RGB", "jpg"), ("RGB", "png"), ("CMYK", "tif"), ("I;16", "png")])
def test_fifty_megapixels_take_bounded_memory(tmp_path, mode, suffix):
    path = tmp_path / f"large.{suffix}"
    Image.new(mode, (8192, 6144), 70).save(path, **({"compress_level": 1} if suffix == "png" else {}))
    done = subprocess.run([sys.executable, "-c", MEMORY, path], cwd=ROOT, capture_output=True, text=True, check=True)
    *shape, megabytes = map(int, done.stdout.split())
    assert shape == [768, 1024, 4]
    assert megabytes < 420  # the pixels alone are 50 to 200


def heic(path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.new("RGB", (64, 48), (200, 40, 30))).save(path, quality=95)
    return path


def test_a_phones_heic_is_read_or_says_what_to_install(tmp_path, monkeypatch):
    path = heic(tmp_path / "phone.heic")
    picture = read_picture(path)
    assert picture.shape == (48, 64, 4)
    assert np.abs(picture[20, 20, :3].astype(int) - (200, 40, 30)).max() < 12
    monkeypatch.setattr("viewmask.views.picture._opened", Image.open)
    Image.init()
    for table in (Image.OPEN, Image.EXTENSION):
        for name in [name for name in table if "HEI" in name.upper()]:
            monkeypatch.delitem(table, name)
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if "HEI" not in name])
    with pytest.raises(ViewmaskError, match=r"phone.heic is a HEIC photo: pip install pillow-heif"):
        read_picture(path)


def test_avif_is_read(tmp_path):
    if not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    Image.new("RGB", (64, 48), (200, 40, 30)).save(tmp_path / "phone.avif", quality=95)
    assert np.abs(read_picture(tmp_path / "phone.avif")[20, 20, :3].astype(int) - (200, 40, 30)).max() < 12


def test_shrinking_weighs_colour_by_alpha():
    picture = np.zeros((40, 80, 4), np.uint8)
    picture[:, 41:] = (200, 100, 50, 255)
    small = shrunk(picture, 20)
    assert small.shape == (10, 20, 4)
    seen = small[small[..., 3] > 20]
    assert np.abs(seen[:, :3].astype(int) - (200, 100, 50)).max() <= 8
    assert shrunk(picture, 80) is picture


def test_what_is_no_picture_says_so(tmp_path):
    (tmp_path / "note.txt").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("note.txt", "empty.png"):
        with pytest.raises(ViewmaskError, match=f"{name} is no picture that can be read here: give a PNG"):
            read_picture(tmp_path / name)
    with pytest.raises(ViewmaskError, match="is a folder: name one picture in it"):
        read_picture(tmp_path)
    with pytest.raises(MissingPictureError, match="no picture at"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(MissingPictureError, match="no mask at"):
        read_mask(tmp_path / "gone.png")
    with pytest.raises(ViewmaskError, match="cannot read the mask"):
        read_mask(tmp_path / "note.txt")


def test_a_picture_that_claims_too_many_pixels_is_refused_unread(tmp_path, monkeypatch):
    Image.new("L", (60, 60)).save(tmp_path / "bomb.png")
    for limit in (3000, 1000):  # above Pillow's limit, and above twice its limit
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(ViewmaskError, match="too many pixels: shrink it first"):
            read_picture(tmp_path / "bomb.png")


# -- masks ----------------------------------------------------------------------------------------------------------


def stored(image, path):
    image.save(path)
    return read_mask(path)


def test_masks_of_every_kind(tmp_path):
    inner = np.zeros((8, 8), bool)
    inner[2:6, 2:6] = True
    path = tmp_path / "mask.png"
    for value in (1, 3, 38, 128, 255):
        assert np.array_equal(stored(Image.fromarray((inner * value).astype(np.uint8)), path) > 0, inner)
        assert read_mask(path).max() == 255
    assert np.array_equal(stored(Image.fromarray(inner), path) == 255, inner)  # one bit
    for value in (1, 65535):
        assert np.array_equal(stored(Image.fromarray((inner * value).astype(np.uint16)), path) == 255, inner)
    palette = Image.fromarray(inner.astype(np.uint8), "P")
    palette.putpalette([0, 0, 0, 128, 0, 0])
    assert np.array_equal(stored(palette, path) == 255, inner)
    transparent = np.full((8, 8, 4), 200, np.uint8)
    transparent[..., 3] = inner * 255
    assert np.array_equal(stored(Image.fromarray(transparent), path) == 255, inner)
    labels = inner * np.arange(8)[:, None] * 20
    assert np.array_equal(stored(Image.fromarray(labels.astype(np.uint8)), path) == 255, labels > 0)


def test_shades_of_a_mask_stay():
    shades = np.tile(np.arange(256, dtype=np.uint8), (2, 1))
    np.testing.assert_array_equal(mask_of(shades), shades)
    np.testing.assert_array_equal(mask_of(np.dstack([shades, shades // 2, shades // 3])), shades)
    np.testing.assert_array_equal(mask_of(np.array([[0.0, 0.5, 1.0]])), [[0, 128, 255]])
    assert mask_of(np.zeros((3, 3))).max() == 0


def test_inside_is_half_of_the_peak():
    assert inside(np.array([[0, 127, 128, 255]], np.uint8)).tolist() == [[False, False, True, True]]
    assert inside(np.array([[0, 30, 60, 100]], np.uint8)).tolist() == [[False, False, True, True]]
    assert not inside(np.full((2, 2), 15, np.uint8)).any()


def test_a_stream_is_read_as_a_file():
    stream = io.BytesIO()
    Image.new("L", (3, 2), 9).save(stream, "PNG")
    assert read_picture(io.BytesIO(stream.getvalue()))[0, 0].tolist() == [9, 9, 9, 255]
    assert read_mask(io.BytesIO(stream.getvalue())).max() == 255
