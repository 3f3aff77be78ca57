"""3MF: builds of objects in objects, colours, textures, +Z up."""

import io
import zipfile

import numpy as np
import pytest

from render.surface import Surface
from tests.render.formats.test_obj import BLUE, GREEN, QUARTERS, RED, YELLOW, quarters
from viewmask.errors import ViewmaskError

CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
MATERIAL = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"
# The world's square that faces azimuth 0 (+X): first corner lower left as seen from there.
VERTICES = "".join(f'<vertex x="0" y="{y}" z="{z}"/>' for y, z in ((-1, -1), (1, -1), (1, 1), (-1, 1)))


def package(resources, triangles, build='<item objectid="1"/>', more="", **files):
    mesh = f"<mesh><vertices>{VERTICES}</vertices><triangles>{triangles}</triangles></mesh>"
    model = f'<model xmlns="{CORE}" xmlns:m="{MATERIAL}"><resources>{resources}<object id="1">{mesh}</object>{more}'
    model += f"</resources><build>{build}</build></model>"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("3D/3dmodel.model", model)
        for name, data in files.items():
            archive.writestr(f"3D/Textures/{name.replace('__', '.')}", data)
    return buffer.getvalue()


def load(data, **options):
    return Surface.load(data, file_type="3mf", **options)


PLAIN = '<triangle v1="0" v2="1" v3="2"/><triangle v1="0" v2="2" v3="3"/>'

HOLDS = '<object id="2"><components><component {}/></components></object>'


def test_base_materials_paint_triangles():
    base = '<basematerials id="5"><base name="a" displaycolor="#FF0000"/><base name="b" displaycolor="#00FF00FF"/>'
    triangles = '<triangle v1="0" v2="1" v3="2" pid="5" p1="0"/><triangle v1="0" v2="2" v3="3" pid="5" p1="1"/>'
    surface = load(package(base + "</basematerials>", triangles))
    assert (quarters(surface)[0], quarters(surface)[3]) == (GREEN, RED)
    assert surface.notes == ()


def test_colours_differ_at_corners():
    group = '<m:colorgroup id="5"><m:color color="#FF0000"/><m:color color="#0000FF"/></m:colorgroup>'
    surface = load(package(group, '<triangle v1="0" v2="1" v3="2" pid="5" p1="0" p2="1" p3="0"/>'))
    assert surface.colours[0].tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_a_colour_beyond_the_group_is_noted():
    group = '<m:colorgroup id="5"><m:color color="#FF0000"/></m:colorgroup>'
    surface = load(package(group, '<triangle v1="0" v2="1" v3="2" pid="5" p1="3"/>'))
    assert "the last one" in surface.notes[0]


def test_textures_are_read_and_missed():
    resources = '<m:texture2d id="4" path="/3D/Textures/t.png" contenttype="image/png"/>'
    resources += '<m:texture2dgroup id="5" texid="4">'
    resources += "".join(f'<m:tex2coord u="{u}" v="{v}"/>' for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)))
    triangles = '<triangle v1="0" v2="1" v3="2" pid="5" p1="0" p2="1" p3="2"/>'
    triangles += '<triangle v1="0" v2="2" v3="3" pid="5" p1="0" p2="2" p3="3"/>'
    resources += "</m:texture2dgroup>"
    assert quarters(load(package(resources, triangles, t__png=QUARTERS))) == [RED, GREEN, BLUE, YELLOW]
    with pytest.raises(ViewmaskError, match=r"t\.png is missing"):
        load(package(resources, triangles))
    assert quarters(load(package(resources, triangles), lenient=True)) == [[255] * 3] * 4


def test_components_are_placed_by_their_transforms():
    more = HOLDS.format('objectid="1" transform="1 0 0 0 1 0 0 0 1 0 0 10"')
    surface = load(package("", PLAIN, '<item objectid="1"/><item objectid="2"/>', more), transform=np.eye(4))
    assert np.unique(surface.vertices[:, 2]).tolist() == [-1, 1, 9, 11]


def test_what_nothing_builds_is_not_drawn():
    with pytest.raises(ViewmaskError, match="no triangles"):
        load(package("", PLAIN, ""))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"rubbish", "no 3MF package"), (package("", PLAIN)[:200], "cut off"),
        (package("", PLAIN, '<item objectid="7"/>'), "object 7 is missing"),
        (package("", '<triangle v1="0" v2="1" v3="9"/>'), "vertices it lacks"),
        (package("<unclosed>", PLAIN), "damaged"),
        (package("", PLAIN, '<item objectid="2"/>', HOLDS.format('objectid="2"')),
         "hold each other"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why(data, reason):
    with pytest.raises(ViewmaskError, match=reason):
        load(data)
