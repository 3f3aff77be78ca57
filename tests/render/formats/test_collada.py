"""COLLADA: up axes, nodes, polygons with notches, textures and their absence."""

import numpy as np
import pytest
import trimesh

from render.surface import Surface
from tests.render.formats.test_obj import BLUE, GREEN, QUARTERS, RED, YELLOW, quarters
from viewmask.errors import ViewmaskError

PLAIN = "<diffuse><color>1 0 0 1</color></diffuse>"
WORN = '<diffuse><texture texture="s" texcoord="UVSET0"/></diffuse>'
PARAMS = (
    '<newparam sid="f"><surface type="2D"><init_from>img</init_from></surface></newparam>'
    '<newparam sid="s"><sampler2D><source>f</source></sampler2D></newparam>'
)


def dae(places=(-1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 1, 0), up="Y_UP", effect=PLAIN, params="", matrix="", counts="4",
        index="0 0 1 1 2 2 3 3", image="t.png"):  # fmt: skip
    floats = " ".join(map(str, places))
    matrix = f"<matrix>{matrix}</matrix>" if matrix else ""
    return f"""<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><created>2020-01-01T00:00:00</created><modified>2020-01-01T00:00:00</modified><up_axis>{up}</up_axis></asset>
<library_images><image id="img"><init_from>{image}</init_from></image></library_images>
<library_effects><effect id="e"><profile_COMMON>{params}<technique sid="c"><lambert>{effect}</lambert></technique>
</profile_COMMON></effect></library_effects>
<library_materials><material id="m"><instance_effect url="#e"/></material></library_materials>
<library_geometries><geometry id="g"><mesh>
<source id="p"><float_array id="pa" count="{len(places)}">{floats}</float_array><technique_common>
<accessor source="#pa" count="{len(places) // 3}" stride="3">
<param name="X" type="float"/><param name="Y" type="float"/><param name="Z" type="float"/></accessor>
</technique_common></source>
<source id="t"><float_array id="ta" count="8">0 0 1 0 1 1 0 1</float_array><technique_common>
<accessor source="#ta" count="4" stride="2"><param name="S" type="float"/><param name="T" type="float"/></accessor>
</technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
<polylist count="{len(counts.split())}" material="sym"><input semantic="VERTEX" source="#v" offset="0"/>
<input semantic="TEXCOORD" source="#t" offset="1" set="0"/><vcount>{counts}</vcount><p>{index}</p></polylist>
</mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="sc"><node id="n">{matrix}<instance_geometry url="#g"><bind_material>
<technique_common><instance_material symbol="sym" target="#m"><bind_vertex_input semantic="UVSET0"
input_semantic="TEXCOORD" input_set="0"/></instance_material></technique_common></bind_material></instance_geometry>
</node></visual_scene></library_visual_scenes><scene><instance_visual_scene url="#sc"/></scene></COLLADA>"""


def load(text, lenient=False, **beside):
    files = {name.replace("__", "."): content for name, content in beside.items()}
    return Surface.load(text.encode(), file_type="dae", beside=files, lenient=lenient)


def test_a_colour():
    surface = load(dae())
    assert quarters(surface) == [RED] * 4
    assert surface.notes == ()


def test_a_texture_and_its_absence():
    text = dae(effect=WORN, params=PARAMS)
    assert quarters(load(text, t__png=QUARTERS)) == [RED, GREEN, BLUE, YELLOW]
    with pytest.raises(ViewmaskError, match=r"texture t\.png is missing"):
        load(text)
    assert "t.png is missing" in load(text, lenient=True).notes[0]
    assert quarters(load(dae(effect=WORN, params=PARAMS, image="file:///C:/x/T.PNG"), t__png=QUARTERS))[0] == RED


def test_the_file_says_which_axis_is_up():
    tall = (0, 0, 0, 1, 0, 0, 1, 0, 3, 0, 0, 3)
    assert np.ptp(load(dae(tall, up="Z_UP")).vertices, axis=0) == pytest.approx([0, 1 / 3, 1])
    assert np.ptp(load(dae(tall, up="Y_UP")).vertices, axis=0) == pytest.approx([1, 1 / 3, 0])
    # Z_UP has its front at -Y, which comes to azimuth 0: what is right there stays right.
    surface = load(dae((0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 3), up="Z_UP"))
    assert surface.vertices[surface.vertices[:, 2].argmax(), 1] < 0


def test_to_world_holds_the_turn():
    surface = load(dae((0, 0, 0, 1, 0, 0, 1, 0, 3, 0, 0, 3), up="Z_UP"))
    corners = np.array([[0, 0, 0, 1], [1, 0, 0, 1], [1, 0, 3, 1], [0, 0, 3, 1]]) @ surface.file_to_world.T
    assert corners[:, :3] == pytest.approx(surface.vertices, abs=1e-6)


def test_nodes_move_their_geometry():
    surface = Surface.load(dae(matrix="1 0 0 5 0 2 0 0 0 0 1 0 0 0 0 1").encode(), file_type="dae", transform=np.eye(4))
    assert surface.vertices.min(0).tolist() == [4, -2, 0]
    assert surface.vertices.max(0).tolist() == [6, 2, 0]


def test_a_notch_stays_open():
    text = dae((-1, 1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, 0, -0.9, 0), counts="5", index="0 0 1 1 2 2 3 3 4 0")
    corners = load(text).vertices[load(text).faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx((4 - 1.9) / 4)


def test_transparency_is_alpha_and_nothing_at_all_is_solid():
    half = (
        PLAIN
        + '<transparent opaque="A_ONE"><color>1 1 1 0.5</color></transparent>'
        + "<transparency><float>1</float></transparency>"
    )
    assert load(dae(effect=half)).opacity.alpha.max() == pytest.approx(0.5)
    none = half.replace("0.5<", "0<")
    surface = load(dae(effect=none))
    assert surface.opacity is None
    assert "invisible" in surface.notes[0]


def test_what_trimesh_writes_comes_back():
    box = trimesh.creation.box((1, 2, 3))
    surface = Surface.load(box.export(file_type="dae"), file_type="dae")
    assert np.sort(np.ptp(surface.vertices, axis=0)) == pytest.approx([1 / 3, 2 / 3, 1])


@pytest.mark.parametrize("data", ["", "<COLLADA", dae()[:900], dae(index="0 0 1 1 2 2 9 3")])
def test_what_cannot_be_read_is_refused(data):
    with pytest.raises(ViewmaskError, match=r"as a mesh|a part is damaged"):
        load(data)


def test_decimal_commas_of_3ds_max():
    text = dae(effect="<diffuse><color>1,000000 0,000000 0,000000 1,000000</color></diffuse>")
    assert quarters(load(text)) == [RED] * 4
