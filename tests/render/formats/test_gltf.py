"""glTF as glTF means it: every kind of file that readers get wrong, drawn and looked at, or refused by name."""

import base64
import io
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from render import passes
from render.beside import Beside
from render.formats import gltf
from render.formats.patch import Reading
from render.raycast import render
from render.scene import Scene
from render.surface import Surface
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera

CASES = Path(__file__).parents[4] / "shared" / "cases" / "meshes"
COMPONENTS = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
SQUARE = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]], np.float32)
FACES = np.array([0, 1, 2, 0, 2, 3], np.uint16)
UV = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
PATCHES = np.array([[RED, GREEN], [BLUE, YELLOW]], np.uint8)
UPRIGHT = [RED, GREEN, BLUE, YELLOW]  # upper left, upper right, lower left, lower right
HALF = 188  # sRGB of half the light


class Glb:
    """A glTF document that is put together piece by piece."""

    def __init__(self):
        self.json = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}]}
        self.chunk = b""

    def add(self, kind, item):
        self.json.setdefault(kind, []).append(item)
        return len(self.json[kind]) - 1

    def view(self, data, **more):
        self.chunk += b"\0" * (-len(self.chunk) % 4)
        start, self.chunk = len(self.chunk), self.chunk + bytes(data)
        return self.add("bufferViews", {"buffer": 0, "byteOffset": start, "byteLength": len(data)} | more)

    def accessor(self, values, **more):
        values = np.asarray(values)
        width = 1 if values.ndim == 1 else values.shape[1]
        kind = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[width]
        return self.add("accessors", {
            "bufferView": self.view(values.tobytes()), "componentType": COMPONENTS[values.dtype.name],
            "count": len(values), "type": kind,
        } | more)  # fmt: skip

    def texture(self, picture=PATCHES, side=16, sampler=None):
        """A texture whose picture has squares of `side` texels of these colours."""
        picture = picture if isinstance(picture, bytes) else png(np.kron(picture, np.ones((side, side, 1), np.uint8)))
        image = self.add("images", {"bufferView": self.view(picture), "mimeType": "image/png"})
        return self.add(
            "textures", {"source": image} | ({} if sampler is None else {"sampler": self.add("samplers", sampler)})
        )

    def material(self, factor=(1, 1, 1, 1), texture=None, **more):
        rough = {"baseColorFactor": list(factor), "metallicFactor": 0}
        if texture is not None:
            rough["baseColorTexture"] = texture if isinstance(texture, dict) else {"index": texture}
        return self.add("materials", {"pbrMetallicRoughness": rough} | more)

    def square(self, positions=SQUARE, material=None, uv=UV, **more):
        """A mesh that is a square; its number."""
        attributes = {"POSITION": self.accessor(positions)}
        if uv is not None:
            attributes["TEXCOORD_0"] = self.accessor(uv)
        primitive = {"attributes": attributes, "indices": self.accessor(FACES)} | more
        if material is not None:
            primitive["material"] = material
        return self.add("meshes", {"primitives": [primitive]})

    def node(self, **node):
        """Another node of the scene."""
        self.json["scenes"][0]["nodes"].append(self.add("nodes", node))

    def require(self, *names):
        self.json["extensionsUsed"] = self.json["extensionsRequired"] = list(names)
        return self

    def bytes(self):
        chunk = self.chunk + b"\0" * (-len(self.chunk) % 4)
        buffers = self.json.get("buffers", [{}])
        self.json["buffers"] = [{"byteLength": len(chunk)}, *buffers[1:]]
        return packed(self.json, chunk)

    def surface(self, **options):
        return Surface.load(self.bytes(), **options)


def packed(document, chunk, version=2):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(chunk), 0x004E4942) + chunk
    return struct.pack("<III", 0x46546C67, version, 12 + len(body)) + body


def png(picture, kind="PNG", **save):
    file = io.BytesIO()
    Image.fromarray(np.asarray(picture)).save(file, kind, **save)
    return file.getvalue()


def textured(**more):
    """A square that wears the four patches; `more` goes to its material."""
    glb = Glb()
    glb.square(material=glb.material(texture=glb.texture(), **more))
    return glb


def drawn(surface, light="none", size=96, samples=2):
    surface = surface.surface() if isinstance(surface, Glb) else surface
    return render(surface, [Camera.on_sphere(0, 0, size=size)], light, samples)[0]


def seen(surface, x, y, **options):
    """The colour [3] at a share of the unit square's width and height, None where it is transparent."""
    picture = drawn(surface, **options)
    return colour_at(picture, x, y)


def colour_at(picture, x, y):
    size = len(picture)
    pixels, _ = Camera.on_sphere(0, 0, size=size).project(np.array([[0.0, x - 0.5, 0.5 - y]]))
    column, row = pixels[0].astype(int).tolist()
    *colour, alpha = picture[row, column].tolist()
    return tuple(colour) if alpha > 127 else None


def corners(surface):
    picture = drawn(surface)
    return [colour_at(picture, x, y) for y in (0.25, 0.75) for x in (0.25, 0.75)]


# -- texture coordinates and pictures --------------------------------------------------------------


def test_a_texture_stands_upright():
    assert corners(textured()) == UPRIGHT


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_normalised_integers_are_shares_of_the_largest(dtype):
    glb = Glb()
    glb.square(material=glb.material(texture=glb.texture()), uv=None)
    whole = (UV * np.iinfo(dtype).max).astype(dtype)
    padded = np.zeros((4, 4 // dtype().itemsize), dtype)
    padded[:, :2] = whole
    view = glb.view(padded.tobytes(), byteStride=padded.strides[0])
    number = glb.add("accessors", {
        "bufferView": view, "componentType": COMPONENTS[np.dtype(dtype).name], "count": 4, "type": "VEC2",
        "normalized": True,
    })  # fmt: skip
    glb.json["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_0"] = number
    assert corners(glb) == UPRIGHT


def test_quantised_positions_and_normals_are_read():
    glb = Glb()
    glb.square((SQUARE * 2 * 32767).astype(np.int16))
    attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
    glb.json["accessors"][attributes["POSITION"]]["normalized"] = True
    attributes["NORMAL"] = glb.accessor(np.tile(np.array([0, 0, -127], np.int8), (4, 1)), normalized=True)
    surface = glb.require("KHR_mesh_quantization").surface()
    assert np.ptp(surface.vertices, axis=0) == pytest.approx([0, 1, 1], abs=1e-4)
    assert surface.file_normals == pytest.approx(np.tile([-1.0, 0, 0], (2, 3, 1)), abs=1e-4)


def test_a_texture_takes_the_coordinates_that_it_names():
    glb = Glb()
    texture = {"index": glb.texture(), "texCoord": 1}
    glb.square(material=glb.material(texture=texture), uv=np.zeros((4, 2), np.float32))
    glb.json["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_1"] = glb.accessor(UV)
    assert corners(glb) == UPRIGHT


def test_a_texture_without_its_coordinates_is_left_out_and_noted():
    glb = Glb()
    glb.square(material=glb.material((0, 0, 1, 1), {"index": glb.texture(), "texCoord": 3}))
    surface = glb.surface()
    assert seen(surface, 0.5, 0.5) == BLUE
    assert surface.notes == ("a texture is left out where a mesh lacks its texture coordinates",)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ({"offset": [0.5, 0]}, [GREEN, RED, YELLOW, BLUE]),
        ({"scale": [0.5, 0.5], "offset": [0, 0.5]}, [BLUE] * 4),
        ({"scale": [1, -1], "offset": [0, 1]}, [BLUE, YELLOW, RED, GREEN]),
        # The picture turns clockwise: what was its lower left comes to the upper left.
        ({"rotation": np.pi / 2, "offset": [0, 1]}, [BLUE, RED, YELLOW, GREEN]),
        ({"texCoord": 0, "rotation": np.pi, "offset": [1, 1]}, UPRIGHT[::-1]),
    ],
)
def test_texture_coordinates_are_scaled_turned_and_moved(transform, expected):
    glb = Glb()
    texture = {"index": glb.texture(), "texCoord": 0, "extensions": {"KHR_texture_transform": transform}}
    glb.square(material=glb.material(texture=texture))
    assert corners(glb.require("KHR_texture_transform")) == expected


@pytest.mark.parametrize(
    ("wrap", "expected"),
    [(10497, UPRIGHT), (33071, [BLUE] * 4), (33648, [YELLOW, BLUE, GREEN, RED])],
)
def test_textures_go_on_as_their_sampler_says(wrap, expected):
    glb = Glb()
    texture = glb.texture(sampler={"wrapS": wrap, "wrapT": wrap})
    # Below and left of the picture: repeated as it is, its corner, or mirrored both ways.
    glb.square(material=glb.material(texture=texture), uv=UV + np.array([-1, 1], np.float32))
    assert corners(glb) == expected


def test_a_sampler_may_wrap_one_way_along_and_another_across():
    glb = Glb()
    texture = glb.texture(sampler={"wrapS": 33071, "wrapT": 10497})
    glb.square(material=glb.material(texture=texture), uv=UV + np.array([-1, 1], np.float32))
    assert corners(glb) == [RED, RED, BLUE, BLUE]


def test_texels_stay_sharp_where_the_sampler_says_so():
    for sampler, expected in (({"magFilter": 9728}, {RED, GREEN}), ({"magFilter": 9729}, None)):
        glb = Glb()
        glb.square(material=glb.material(texture=glb.texture(PATCHES[:1], 1, sampler)))
        row = drawn(glb, samples=1)[48]
        colours = {tuple(colour) for colour in row[row[:, 3] > 0][:, :3].tolist()}
        assert colours == expected if expected else len(colours) > 4


def test_16_bit_grey_is_scaled():
    glb = Glb()
    grey = np.kron(np.array([[65535, 30069], [10023, 0]], np.uint16), np.ones((8, 8), np.uint16))
    glb.square(material=glb.material(texture=glb.texture(png(grey))))
    assert corners(glb) == [(code,) * 3 for code in (255, 117, 39, 0)]


def test_webp_is_read_and_a_plain_picture_is_taken_first():
    for plain in (False, True):
        glb = Glb()
        texture = glb.texture(png(np.kron(PATCHES[::-1], np.ones((16, 16, 1), np.uint8)), "WEBP", lossless=True))
        webp = {"extensions": {"EXT_texture_webp": {"source": glb.json["textures"][texture].pop("source")}}}
        glb.json["textures"][texture] |= webp
        if plain:
            other = glb.texture()
            glb.json["textures"][texture]["source"] = glb.json["textures"][other]["source"]
        glb.square(material=glb.material(texture=texture))
        assert corners(glb.require("EXT_texture_webp")) == (UPRIGHT if plain else [BLUE, YELLOW, RED, GREEN])


def test_many_large_pictures_are_shrunk_and_that_is_noted(monkeypatch):
    monkeypatch.setattr(gltf, "TEXELS", 300)
    surface = textured().surface()
    assert surface.textures[0].pixels.shape == (16, 16, 4)
    assert surface.notes == ("its pictures are shrunk by 2: together they have 0 megapixels",)
    assert corners(surface) == UPRIGHT
    monkeypatch.setattr(gltf, "TEXELS", 32 * 32)
    assert textured().surface().textures[0].pixels.shape == (32, 32, 4)


def test_textures_that_share_a_picture_share_its_memory():
    glb = Glb()
    first = glb.texture(sampler={"wrapS": 33071})
    second = glb.add("textures", {"source": glb.json["textures"][first]["source"]})
    glb.square(material=glb.material(texture=first))
    glb.node(mesh=glb.square(material=glb.material(texture=second)))
    textures = glb.surface().textures
    assert len(textures) == 2
    assert textures[0].pixels is textures[1].pixels
    assert textures[0].pixels.dtype == np.uint8
    assert [texture.wrap[0] for texture in textures] == ["clamp", "repeat"]


# -- transparency ----------------------------------------------------------------------------------

CUT = np.array([[(*RED, 255), (*GREEN, 0)], [(*BLUE, 255), (*YELLOW, 0)]], np.uint8)


@pytest.mark.parametrize("mode", ["MASK", "BLEND"])
def test_what_a_texture_leaves_clear_is_seen_through(mode):
    glb = Glb()
    glb.square(material=glb.material(texture=glb.texture(CUT), alphaMode=mode))
    assert corners(glb) == [RED, None, BLUE, None]
    glb.json["materials"][0]["alphaMode"] = "OPAQUE"
    assert corners(glb) == UPRIGHT


def test_a_cutoff_is_met_from_its_value_on():
    for alpha, cutoff, whole in (
        (0.5, None, True),
        (0.49, None, False),
        (0.3, 0.25, True),
        (0.3, 0.31, False),
        (0.1, 0, True),
    ):
        glb = Glb()
        more = {} if cutoff is None else {"alphaCutoff": cutoff}
        glb.square(material=glb.material((1, 0, 0, alpha), alphaMode="MASK", **more))
        glb.node(mesh=glb.square(SQUARE - np.array([0, 0, 0.2], np.float32), glb.material((0, 1, 0, 1))))
        assert seen(glb, 0.5, 0.5) == (RED if whole else GREEN)


def test_what_blends_lets_its_share_through_in_depth_order_and_into_alpha():
    glb = Glb()
    glb.square(SQUARE - np.array([0, 0, 0.2], np.float32), glb.material((0, 1, 0, 0.5), alphaMode="BLEND"))
    glb.node(mesh=glb.square(material=glb.material((1, 0, 0, 0.5), alphaMode="BLEND")))
    # Front to back: half red, half of the other half green; three quarters are stopped.
    *colour, alpha = drawn(glb)[48, 48].tolist()
    expected = [round(255 * (1.055 * share ** (1 / 2.4) - 0.055)) for share in (2 / 3, 1 / 3)]
    assert colour == pytest.approx([*expected, 0], abs=1)
    assert alpha == pytest.approx(0.75 * 255, abs=1)


def test_factor_vertex_colour_and_texture_multiply_to_alpha():
    glb = Glb()
    picture = np.full((1, 1, 4), (255, 255, 255, 204), np.uint8)  # 0.8
    glb.square(material=glb.material((1, 1, 1, 0.5), glb.texture(picture), alphaMode="BLEND"))
    colours = glb.accessor(np.full((4, 4), (1, 1, 1, 0.5), np.float32))
    glb.json["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"] = colours
    assert drawn(glb)[48, 48, 3] == pytest.approx(0.2 * 255, abs=1)


def test_an_invisible_floor_neither_hides_nor_counts_for_the_box():
    picture = np.array([[(9, 9, 9, 0), (9, 9, 9, 255)]], np.uint8)
    for invisible in ({"factor": (0, 0, 0, 0)}, {"texture": True, "uv": UV * np.array([0.4, 1], np.float32)}):
        glb = textured()
        texture = glb.texture(picture) if "texture" in invisible else None
        floor = glb.material(invisible.get("factor", (1, 1, 1, 1)), texture, alphaMode="BLEND")
        glb.node(mesh=glb.square(SQUARE * 10 + np.array([0, 0, 1], np.float32), floor, invisible.get("uv", UV)))
        surface = glb.surface()
        assert corners(surface) == UPRIGHT
        assert len(surface.vertices) == 4
        assert surface.opacity is None


def test_a_mesh_that_is_invisible_all_over_is_refused():
    glb = Glb()
    glb.square(material=glb.material((1, 1, 1, 0), alphaMode="BLEND"))
    with pytest.raises(ViewmaskError, match="all its triangles are transparent"):
        glb.surface()


def test_blending_that_stops_everything_is_solid():
    assert textured(alphaMode="BLEND").surface().opacity is None
    assert textured(alphaMode="MASK").surface().opacity is None


def test_shadows_know_of_holes_and_panes():
    # A wall, and something between it and the lights.
    def brightness(factor, mode):
        glb = Glb()
        glb.square(material=glb.material())
        curtain = glb.material(factor, alphaMode=mode)
        glb.node(mesh=glb.square(SQUARE * 3 + np.array([0, 0, 0.1], np.float32), curtain))
        surface = Surface.load(glb.bytes(), transform=np.eye(4))
        place, up = np.array([[0, 0, 0.001]], np.float32), np.array([[0, 0, 1]], np.float32)
        return float(Scene.of(surface).stopped(place, up)[0])

    assert brightness((1, 1, 1, 1), "OPAQUE") == 1
    assert brightness((1, 1, 1, 0.1), "MASK") == 0
    assert brightness((1, 1, 1, 0.25), "BLEND") == pytest.approx(0.25)


@pytest.mark.parametrize("light", ["uniform", "studio"])
def test_behind_a_hole_lies_what_would_be_seen_without_the_holed_pane(light):
    def glb(pane):
        glb = textured()
        picture = np.array([[(*RED, 255), (*RED, 0), (*RED, 0), (*RED, 0)]], np.uint8)
        material = glb.material(texture=glb.texture(picture), alphaMode="MASK")
        if pane:
            glb.node(mesh=glb.square(SQUARE + np.array([0, 0, 1e-3], np.float32), material))
        return drawn(
            Surface.load(glb.bytes(), transform=np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])),
            light,
        )

    holed, plain = glb(True), glb(False)
    right = np.s_[30:66, 56:64]
    assert holed[right] == pytest.approx(plain[right].astype(float), abs=6)


def test_depth_and_normals_are_those_of_what_stops_half_of_the_light():
    for alpha, depth in ((0.4, 1.6), (0.6, 1.5)):
        glb = Glb()
        glb.square(SQUARE - np.array([0, 0, 0.1], np.float32))
        glb.node(mesh=glb.square(material=glb.material((1, 1, 1, alpha), alphaMode="BLEND")))
        surface = Surface.load(
            glb.bytes(), transform=np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
        )
        arrays = passes.render(surface, [Camera.on_sphere(0, 0, size=32)])
        assert arrays["depth"][0, 16, 16] == pytest.approx(depth, abs=1e-4)
        assert arrays["normal"][0, 16, 16].tolist() == [1, 0, 0]


# -- colours ---------------------------------------------------------------------------------------


def test_emission_is_added_to_the_lit_colour():
    glb = Glb()
    glb.square(material=glb.material((0, 0, 0, 1), emissiveTexture={"index": glb.texture()}, emissiveFactor=[1, 1, 1]))
    assert corners(glb) == UPRIGHT
    glb = Glb()
    glb.square(material=glb.material((0.25, 0, 0, 1), emissiveFactor=[0.25, 0, 0.5]))
    assert seen(glb, 0.5, 0.5) == pytest.approx((HALF, 0, HALF), abs=1)
    strong = Glb()
    more = {"extensions": {"KHR_materials_emissive_strength": {"emissiveStrength": 4}}}
    strong.square(material=strong.material((0, 0, 0, 1), emissiveFactor=[0.125, 0, 0], **more))
    assert seen(strong, 0.5, 0.5) == pytest.approx((HALF, 0, 0), abs=1)


def test_emission_has_texture_coordinates_of_its_own():
    glb = Glb()
    emission = {"index": glb.texture(), "texCoord": 1}
    glb.square(material=glb.material((0, 0, 0, 1), glb.texture(), emissiveTexture=emission, emissiveFactor=[1, 1, 1]),
               uv=np.zeros((4, 2), np.float32))  # fmt: skip
    glb.json["meshes"][0]["primitives"][0]["attributes"]["TEXCOORD_1"] = glb.accessor(UV)
    assert corners(glb) == UPRIGHT


@pytest.mark.parametrize("light", ["none", "uniform", "studio"])
def test_the_light_s_strength_leaves_emission_alone(light):
    glb = Glb()
    glb.square(material=glb.material((0, 0, 0, 1), emissiveFactor=[0.5, 0.5, 0.5]))
    surface, camera = glb.surface(), [Camera.on_sphere(0, 0, size=16)]
    pictures = [render(surface, camera, light, strength=strength)[0] for strength in (0.2, 1.0)]
    assert np.array_equal(*pictures)
    assert pictures[0][8, 8, 0] > 100


def test_unlit_materials_look_alike_in_every_light():
    glb = Glb()
    glb.square(material=glb.material((0.5, 0.5, 0.5, 1), glb.texture(), extensions={"KHR_materials_unlit": {}}))
    assert corners(glb)[0] == pytest.approx((HALF, 0, 0), abs=1)
    surface = glb.surface()
    assert np.array_equal(drawn(surface), drawn(surface, "studio"))


def test_specular_glossiness_has_its_diffuse_colour_for_the_base_colour():
    glb = Glb()
    diffuse = {"diffuseFactor": [1, 0.5, 1, 1], "diffuseTexture": {"index": glb.texture()}}
    glb.square(material=glb.material((0, 0, 0, 1), extensions={"KHR_materials_pbrSpecularGlossiness": diffuse}))
    assert corners(glb) == [RED, pytest.approx((0, HALF, 0), abs=1), BLUE, pytest.approx((255, HALF, 0), abs=1)]


@pytest.mark.parametrize(("dtype", "whole"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_vertex_colours_are_linear_whatever_their_type(dtype, whole):
    glb = Glb()
    glb.square()
    colours = np.round(np.tile([0.5, 0, 1, 1], (4, 1)) * whole, 3 if whole == 1 else 0).astype(dtype)
    attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["COLOR_0"] = glb.accessor(colours, normalized=whole != 1)
    assert seen(glb, 0.5, 0.5) == pytest.approx((HALF, 0, 255), abs=1)


# -- shapes ----------------------------------------------------------------------------------------


def test_sparse_accessors_replace_values():
    glb = Glb()
    strip = SQUARE.copy()
    strip[2:, 1] = -0.4
    glb.square(strip)
    which, values = np.array([2, 3], np.uint8), SQUARE[2:]
    glb.json["accessors"][0]["sparse"] = {
        "count": 2, "indices": {"bufferView": glb.view(which.tobytes()), "componentType": 5121},
        "values": {"bufferView": glb.view(values.tobytes())},
    }  # fmt: skip
    assert np.ptp(glb.surface().vertices, axis=0) == pytest.approx([0, 1, 1])
    del glb.json["accessors"][0]["bufferView"]  # zeros below
    surface = glb.surface(transform=np.eye(4))
    assert sorted(map(tuple, surface.vertices.tolist())) == sorted(
        [(0, 0, 0)] * 2 + [tuple(v) for v in values.tolist()]
    )


def test_a_sparse_accessor_that_replaces_what_it_lacks_is_refused():
    glb = Glb()
    glb.square()
    glb.json["accessors"][0]["sparse"] = {
        "count": 1, "indices": {"bufferView": glb.view(b"\x09\0\0\0"), "componentType": 5121},
        "values": {"bufferView": glb.view(SQUARE[:1].tobytes())},
    }  # fmt: skip
    with pytest.raises(ViewmaskError, match="replaces values that it lacks"):
        glb.surface()


@pytest.mark.parametrize("place", ["mesh", "node", "both", "nowhere"])
def test_morph_targets_have_the_weights_of_the_node_or_else_of_the_mesh(place):
    glb = Glb()
    strip = SQUARE.copy()
    strip[2:, 1] = -0.25
    mesh = glb.square(strip)
    target = {"POSITION": glb.accessor(2 * (SQUARE - strip))}
    glb.json["meshes"][mesh]["primitives"][0]["targets"] = [target]
    if place in ("mesh", "both"):
        glb.json["meshes"][mesh]["weights"] = [9.0 if place == "both" else 0.5]
    if place in ("node", "both"):
        glb.json["nodes"][0]["weights"] = [0.5]
    height = np.ptp(glb.surface(transform=np.eye(4)).vertices[:, 1])
    assert height == pytest.approx(0.25 if place == "nowhere" else 1)


@pytest.mark.parametrize(
    ("mode", "order"), [(4, [0, 1, 2, 0, 2, 3]), (5, [0, 1, 3, 2]), (6, [0, 1, 2, 3]), (5, [1, 2, 0, 3])]
)
def test_lists_strips_and_fans_turn_the_same_side_to_the_front(mode, order):
    glb = Glb()
    glb.square(mode=mode, indices=glb.accessor(np.array(order, np.uint8)))
    surface = glb.surface()
    assert surface.face_normals == pytest.approx(np.tile([1.0, 0, 0], (2, 1)))
    assert colour_at(drawn(surface), 0.3, 0.3) == colour_at(drawn(surface), 0.7, 0.7) == (255, 255, 255)


def test_without_indices_corners_come_in_order():
    glb = Glb()
    mesh = glb.square(
        SQUARE[[0, 1, 2, 0, 2, 3]], uv=UV[[0, 1, 2, 0, 2, 3]], material=glb.material(texture=glb.texture())
    )
    del glb.json["meshes"][mesh]["primitives"][0]["indices"]
    assert corners(glb) == UPRIGHT


def test_lines_and_points_are_left_out_and_noted():
    glb = textured()
    primitives = glb.json["meshes"][0]["primitives"]
    primitives.append(primitives[0] | {"mode": 1})
    surface = glb.surface()
    assert len(surface.faces) == 2
    assert surface.notes == ("points and lines are left out",)
    del primitives[0]
    with pytest.raises(ViewmaskError, match="has no triangles"):
        glb.surface()


def test_a_node_stands_where_all_its_ancestors_put_it():
    glb = textured()
    turn = [0, 0, np.sqrt(0.5), np.sqrt(0.5)]  # a quarter about z, counter-clockwise from the front
    glb.json["nodes"] = [
        {"children": [1], "rotation": turn}, {"children": [2], "scale": [2, 1, 1]},
        {"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1]},
    ]  # fmt: skip
    surface = glb.surface(transform=np.eye(4))
    assert (surface.vertices.min(0).tolist(), surface.vertices.max(0).tolist()) == (
        pytest.approx([-0.5, 1, 0], abs=1e-6), pytest.approx([0.5, 3, 0], abs=1e-6),
    )  # fmt: skip


def test_a_mirrored_node_turns_its_triangles_over_with_all_that_is_at_their_corners():
    glb = textured()
    glb.json["meshes"][0]["primitives"][0]["attributes"]["NORMAL"] = glb.accessor(
        np.tile(np.float32([0, 0, 1]), (4, 1))
    )
    glb.json["nodes"][0]["scale"] = [-1, 1, 1]
    surface = glb.surface()
    assert surface.face_normals == pytest.approx(np.tile([1.0, 0, 0], (2, 1)))
    assert surface.file_normals == pytest.approx(np.tile([1.0, 0, 0], (2, 3, 1)))
    assert corners(surface) == [GREEN, RED, YELLOW, BLUE]


def test_only_the_scene_is_drawn_and_others_are_noted():
    glb = textured()
    glb.add("nodes", {"mesh": 0, "translation": [5, 0, 0]})
    glb.json["scenes"].append({"nodes": [1]})
    assert glb.surface().notes == ("of 2 scenes only number 0 is drawn",)
    assert len(glb.surface().faces) == 2
    del glb.json["scenes"], glb.json["scene"]  # then all there is
    assert (len(glb.surface().faces), glb.surface().notes) == (4, ())


def test_hidden_nodes_are_not_drawn():
    glb = textured()
    glb.node(mesh=0, translation=[0, 0, 1], extensions={"KHR_node_visibility": {"visible": False}})
    glb.node(mesh=0, translation=[0, 0, -1], extensions={"KHR_node_visibility": {"visible": True}})
    assert len(glb.require("KHR_node_visibility").surface().faces) == 4


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"children": [0]}, "has no triangles"),
        ({"scale": [1, float("nan"), 1]}, "node 0 has a transform that is not finite"),
        ({"children": [7]}, "refers to number 7 of its 1 nodes"),
        ({"mesh": 3}, "refers to number 3 of its 1 meshes"),
        ({"matrix": [1, 2]}, "is damaged"),
    ],
)
def test_nodes_that_are_wrong_are_refused(node, message):
    glb = textured()
    glb.json["nodes"][0] |= node
    if node == {"children": [0]}:
        glb.json |= {"scenes": [{"nodes": []}]}
    with pytest.raises(ViewmaskError, match=message):
        glb.surface()


def test_nodes_that_are_their_own_ancestors_and_nodes_of_two_parents_are_refused():
    glb = textured()
    glb.json["nodes"] = [{"mesh": 0, "children": [1]}, {"children": [0]}]
    with pytest.raises(ViewmaskError, match="own ancestors"):
        glb.surface()
    glb.json["nodes"] = [{"children": [2]}, {"children": [2]}, {"mesh": 0}]
    with pytest.raises(ViewmaskError, match="node 2 has two parents"):
        glb.surface()


def test_instances_are_copies_moved_turned_and_scaled():
    glb = textured()
    where = np.array([[-2, 0, 0], [2, 0, 0]], np.float32)
    turns = np.array([[0, 0, 0, 127], [0, 0, 127, 0]], np.int8)  # none, and half about z
    sizes = np.array([[1, 1, 1], [2, 2, 2]], np.float32)
    attributes = {
        "TRANSLATION": glb.accessor(where), "ROTATION": glb.accessor(turns, normalized=True),
        "SCALE": glb.accessor(sizes),
    }  # fmt: skip
    glb.json["nodes"][0]["extensions"] = {"EXT_mesh_gpu_instancing": {"attributes": attributes}}
    surface = glb.require("EXT_mesh_gpu_instancing").surface(transform=np.eye(4))
    low = np.array([part.min(0) for part in surface.vertices.reshape(2, 4, 3)])
    high = np.array([part.max(0) for part in surface.vertices.reshape(2, 4, 3)])
    assert low == pytest.approx(np.array([[-2.5, -0.5, 0], [1, -1, 0]]), abs=1e-6)
    assert high == pytest.approx(np.array([[-1.5, 0.5, 0], [3, 1, 0]]), abs=1e-6)
    assert surface.vertices[4] == pytest.approx([3, 1, 0], abs=1e-6)  # its lower left corner, turned


def test_far_coordinates_cost_no_precision():
    at_home, far = textured(), textured()
    far.json["nodes"][0]["translation"] = [1e7, -3e6, 2e8]
    assert np.abs(drawn(at_home).astype(int) - drawn(far)).max() <= 1
    surface = far.surface()
    back = np.linalg.inv(surface.file_to_world)
    assert back[:3, 3] == pytest.approx([1e7, -3e6, 2e8])
    assert surface.vertices.dtype == np.float32


# -- skins -----------------------------------------------------------------------------------------


def skinned(joints, weights, nodes, inverse=None, positions=SQUARE):
    """A textured square that follows the joints 1, 2 ... (nodes of the document)."""
    glb = textured()
    attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["POSITION"] = glb.accessor(np.asarray(positions, np.float32))
    attributes["JOINTS_0"] = glb.accessor(np.asarray(joints, np.uint8))
    attributes["WEIGHTS_0"] = glb.accessor(np.asarray(weights, np.float32))
    glb.json["nodes"] = [{"mesh": 0, "skin": 0}, *nodes]
    skin = {"joints": list(range(1, 1 + len(nodes)))}
    if inverse is not None:
        matrices = np.asarray(inverse, np.float32).transpose(0, 2, 1).reshape(-1, 16)
        skin["inverseBindMatrices"] = glb.accessor(matrices)
    glb.add("skins", skin)
    return glb


FIRST = [[0, 0, 0, 0]] * 4
ALL = [[1, 0, 0, 0]] * 4
LYING = SQUARE[:, [0, 2, 1]] * np.array([1, 1, -1])  # seen from above, upright for who looks from the front


def test_a_joint_turns_a_lying_square_upright_and_the_mesh_s_own_node_does_not_count():
    glb = skinned(FIRST, ALL, [{"rotation": [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]}], positions=LYING)
    glb.json["nodes"][0] |= {"translation": [3, 4, 5], "scale": [7, 1, 1]}
    assert corners(glb) == UPRIGHT


def test_a_joint_below_others_goes_where_they_go_outside_of_the_scene_too():
    nodes = [{"translation": [1, 0, 0]}, {"scale": [0.01, 0.01, 0.01], "children": [1], "translation": [0, 2, 0]}]
    glb = skinned(FIRST, ALL, nodes)
    low, high = glb.surface(transform=np.eye(4)).box
    assert (low, high) == (pytest.approx([0.005, 1.995, 0]), pytest.approx([0.015, 2.005, 0]))


def test_inverse_bind_matrices_come_first():
    inverse = np.eye(4)
    inverse[:3, 3] = [-1, 0, 0]
    glb = skinned(FIRST, ALL, [{"translation": [1, 0, 0], "scale": [2, 2, 2]}], [inverse])
    low, high = glb.surface(transform=np.eye(4)).box
    assert (low, high) == (pytest.approx([-2, -1, 0]), pytest.approx([0, 1, 0]))


def test_vertices_lie_between_where_their_joints_take_them_by_weight():
    nodes = [{}, {"translation": [0, 4, 0]}]
    weights = [[3, 1, 0, 0], [3, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]]  # to be divided by their sum; the last has none
    surface = skinned([[0, 1, 0, 0]] * 4, weights, nodes).surface(transform=np.eye(4))
    assert (surface.vertices - SQUARE)[:, 1] == pytest.approx([1, 1, 4, 0])


def test_a_second_set_of_joints_counts_as_the_first():
    glb = skinned(FIRST, [[0.5, 0, 0, 0]] * 4, [{}, {"translation": [0, 4, 0]}])
    attributes = glb.json["meshes"][0]["primitives"][0]["attributes"]
    attributes["JOINTS_1"] = glb.accessor(np.full((4, 4), 1, np.uint16))
    attributes["WEIGHTS_1"] = glb.accessor(np.tile(np.array([128, 0, 0, 0], np.uint8), (4, 1)), normalized=True)
    vertices = glb.surface(transform=np.eye(4)).vertices
    assert (vertices - SQUARE)[:, 1] == pytest.approx([2, 2, 2, 2], abs=0.01)


def test_a_joint_that_mirrors_keeps_normals_on_their_side():
    glb = skinned(FIRST, ALL, [{"scale": [-1, 1, 1]}])
    glb.json["meshes"][0]["primitives"][0]["attributes"]["NORMAL"] = glb.accessor(
        np.tile(np.float32([0, 0.6, 0.8]), (4, 1))
    )
    surface = glb.surface(transform=np.eye(4))
    assert surface.file_normals == pytest.approx(np.tile([0, 0.6, 0.8], (2, 3, 1)), abs=1e-6)
    assert surface.face_normals == pytest.approx(np.tile([0, 0, 1.0], (2, 1)))


def test_normals_turn_with_the_joints():
    glb = skinned(FIRST, ALL, [{"rotation": [np.sqrt(0.5), 0, 0, np.sqrt(0.5)], "scale": [1, 9, 1]}], positions=LYING)
    normals = np.tile(np.array([0.6, 0.8, 0], np.float32), (4, 1))
    glb.json["meshes"][0]["primitives"][0]["attributes"]["NORMAL"] = glb.accessor(normals)
    expected = np.array([0.6, 0, 0.8 / 9])
    surface = glb.surface(transform=np.eye(4))
    assert surface.file_normals == pytest.approx(np.tile(expected / np.linalg.norm(expected), (2, 3, 1)), abs=1e-5)


def test_joints_that_a_skin_lacks_are_refused():
    with pytest.raises(ViewmaskError, match="follows joints that its skin lacks"):
        skinned([[5, 0, 0, 0]] * 4, ALL, [{}]).surface()
    with pytest.raises(ViewmaskError, match="fewer inverse bind matrices"):
        skinned(FIRST, ALL, [{}, {}], [np.eye(4)]).surface()


# -- extensions and versions -----------------------------------------------------------------------


def test_an_unknown_extension_is_refused_if_it_is_required_and_else_noted():
    with pytest.raises(ViewmaskError, match="it needs ACME_bricks, which is not read"):
        textured().require("ACME_bricks", "KHR_materials_unlit").surface()
    glb = textured()
    glb.json["extensionsUsed"] = ["ACME_bricks", "KHR_materials_clearcoat", "KHR_lights_punctual"]
    assert glb.surface().notes == ("the extension ACME_bricks is left out",)
    glb.json["extensionsUsed"] = ["KHR_materials_transmission"]
    assert glb.surface().notes == ("glass (KHR_materials_transmission) is drawn solid",)


@pytest.mark.parametrize(
    ("asset", "wanted"),
    [({"version": "2.0"}, None), ({"version": "2.1"}, None), ({"version": "2.1", "minVersion": "2.1"}, "glTF 2.1"),
     ({"version": "3.0"}, "glTF 3.0"), ({"version": "1.0"}, "glTF 1.0")],
)  # fmt: skip
def test_other_versions_are_refused(asset, wanted):
    glb = textured()
    glb.json["asset"] = asset
    if wanted is None:
        assert corners(glb) == UPRIGHT
    else:
        with pytest.raises(ViewmaskError, match=f"it is {wanted}, and only 2.0 is read"):
            glb.surface()


def test_other_versions_of_glb_are_refused():
    with pytest.raises(ViewmaskError, match="it is GLB version 1, and only 2 is read"):
        Surface.load(packed({}, b"", version=1))


def test_ktx2_is_refused_by_name_unless_another_picture_is_there():
    glb = textured()
    ktx = glb.add("images", {"bufferView": glb.view(b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(40)), "mimeType": "image/ktx2"})
    glb.json["textures"][0]["extensions"] = {"KHR_texture_basisu": {"source": ktx}}
    glb.json["extensionsUsed"] = ["KHR_texture_basisu"]
    assert corners(glb) == UPRIGHT
    assert glb.surface().notes == ()
    del glb.json["textures"][0]["source"]
    with pytest.raises(ViewmaskError, match=r"KTX2 \(KHR_texture_basisu\), which is not read"):
        glb.surface()


def compressed_by_draco(glb, quantised=False):
    """Put the first primitive's attributes through Draco."""
    draco = pytest.importorskip("DracoPy")
    data = draco.encode(SQUARE, FACES.reshape(-1, 3).astype(np.uint32), tex_coord=UV.astype(np.float64),
                        quantization_bits=16, preserve_order=True)  # fmt: skip
    known = draco.decode(data)
    numbers = {"POSITION": known.get_attribute_by_type(draco.AttributeType.POSITION)["unique_id"],
               "TEXCOORD_0": known.get_attribute_by_type(draco.AttributeType.TEX_COORD)["unique_id"]}  # fmt: skip
    primitive = glb.json["meshes"][0]["primitives"][0]
    primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": glb.view(data), "attributes": numbers}}
    for number in [*primitive["attributes"].values(), primitive["indices"]]:
        del glb.json["accessors"][number]["bufferView"]
    return glb.require("KHR_draco_mesh_compression")


def test_draco_is_read():
    assert corners(compressed_by_draco(textured())) == UPRIGHT


def test_draco_that_is_damaged_is_refused():
    glb = compressed_by_draco(textured())
    view = glb.json["meshes"][0]["primitives"][0]["extensions"]["KHR_draco_mesh_compression"]["bufferView"]
    glb.json["bufferViews"][view]["byteLength"] = 20
    with pytest.raises(ViewmaskError, match=r"compressed by Draco .* is damaged"):
        glb.surface()


def test_without_dracopy_the_error_says_what_to_install(monkeypatch):
    glb = compressed_by_draco(textured())
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(ViewmaskError, match=r"needs Draco \(KHR_draco_mesh_compression\): .*\[gltf\]"):
        glb.surface()
    plain = textured()
    primitive = plain.json["meshes"][0]["primitives"][0]
    primitive["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {}}}
    assert corners(plain) == UPRIGHT  # what is there uncompressed, too, is taken


def compressed_by_meshopt(glb):
    """Put the buffer views of positions, texture coordinates and indices through meshopt."""
    meshopt = pytest.importorskip("meshopt")
    primitive = glb.json["meshes"][0]["primitives"][0]
    glb.json["buffers"] = [{}, {"byteLength": 4096, "extensions": {"EXT_meshopt_compression": {"fallback": True}}}]
    for number, values, mode in (
        (primitive["attributes"]["POSITION"], SQUARE, "ATTRIBUTES"),
        (primitive["attributes"]["TEXCOORD_0"], UV, "ATTRIBUTES"),
        (primitive["indices"], FACES.astype(np.uint32), "TRIANGLES"),
    ):
        data = meshopt.encode_gltf_buffer(values, mode)
        packed_view = glb.json["bufferViews"][glb.view(data)]
        stride = 2 if mode == "TRIANGLES" else values.strides[0]
        about = {**packed_view, "byteStride": stride, "count": len(values), "mode": mode}
        view = glb.json["bufferViews"][glb.json["accessors"][number]["bufferView"]]
        view |= {"buffer": 1, "byteOffset": 0, "byteLength": stride * len(values)}
        view["extensions"] = {"EXT_meshopt_compression": about}
    return glb.require("EXT_meshopt_compression")


def test_meshopt_is_read():
    assert corners(compressed_by_meshopt(textured())) == UPRIGHT


def test_meshopt_that_is_damaged_is_refused():
    glb = compressed_by_meshopt(textured())
    for view in glb.json["bufferViews"]:
        if "extensions" in view:
            view["extensions"]["EXT_meshopt_compression"]["byteOffset"] = 0
    with pytest.raises(ViewmaskError, match="compressed by meshopt is damaged"):
        glb.surface()


def test_without_meshopt_the_error_says_what_to_install(monkeypatch):
    glb = compressed_by_meshopt(textured())
    monkeypatch.setitem(sys.modules, "meshopt", None)
    with pytest.raises(ViewmaskError, match=r"needs meshopt: .*\[gltf\]"):
        glb.surface()


# -- what is missing or damaged --------------------------------------------------------------------


def test_a_gltf_finds_its_buffers_and_pictures_beside_it_or_in_itself(tmp_path):
    glb = textured()
    glb.bytes()
    picture = glb.json["bufferViews"][glb.json["images"][0].pop("bufferView")]
    data = glb.chunk[picture["byteOffset"] : picture["byteOffset"] + picture["byteLength"]]
    (tmp_path / "my picture.png").write_bytes(data)
    (tmp_path / "a.bin").write_bytes(glb.chunk)
    glb.json["images"][0]["uri"] = "my%20picture.png"
    glb.json["buffers"][0] |= {"uri": "a.bin"}
    (tmp_path / "a.gltf").write_text(json.dumps(glb.json))
    assert corners(Surface.load(tmp_path / "a.gltf")) == UPRIGHT
    beside = {"my picture.png": data, "a.bin": glb.chunk}
    text = json.dumps(glb.json).encode()
    assert corners(Surface.load(text, file_type="gltf", beside=beside)) == UPRIGHT
    glb.json["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(glb.chunk).decode()
    glb.json["images"][0]["uri"] = "data:image/png;base64," + base64.b64encode(data).decode()
    assert corners(Surface.load(json.dumps(glb.json).encode(), file_type="gltf")) == UPRIGHT


def test_a_picture_that_is_missing_or_broken_is_a_failure_or_a_note():
    for image in ({"uri": "gone.png"}, {"bufferView": 1}):  # and one that holds numbers
        glb = textured(name="m")
        glb.json["images"][0] = image
        reason = "gone.png is missing" if "uri" in image else "cannot read the picture"
        with pytest.raises(ViewmaskError, match=reason):
            glb.surface()
        surface = glb.surface(lenient=True)
        assert len(surface.notes) == 1
        assert reason in surface.notes[0]
        assert corners(surface) == [(255, 255, 255)] * 4


def test_a_buffer_that_is_missing_fails_even_where_notes_would_do():
    glb = textured()
    document = glb.json | {"buffers": [{"byteLength": 99, "uri": "gone.bin"}]}
    for lenient in (False, True):
        with pytest.raises(ViewmaskError, match=r"gone\.bin is missing"):
            Surface.load(json.dumps(document).encode(), file_type="gltf", lenient=lenient)
    with pytest.raises(ViewmaskError, match="its buffer 0 is nowhere"):
        Surface.load(json.dumps(glb.json | {"buffers": [{"byteLength": 99}]}).encode(), file_type="gltf")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused(share):
    data = textured().bytes()
    with pytest.raises(ViewmaskError, match="cut off"):
        Surface.load(data[: int(share * len(data))])


def test_an_accessor_that_reaches_beyond_its_buffer_is_refused():
    glb = textured()
    glb.json["accessors"][0]["count"] = 5
    with pytest.raises(ViewmaskError, match="reaches beyond its buffer"):
        glb.surface()
    glb = textured()
    glb.json["bufferViews"][glb.json["accessors"][0]["bufferView"]]["byteLength"] = 99999
    with pytest.raises(ViewmaskError, match="cut off or damaged"):
        glb.surface()


def test_zeros_that_nobody_wrote_are_refused_before_they_are_made():
    glb = textured()
    number = glb.add("accessors", {"componentType": 5126, "count": 2**30, "type": "VEC3"})
    glb.json["meshes"][0]["primitives"][0]["attributes"]["POSITION"] = number
    with pytest.raises(ViewmaskError, match="claims 12,288 MiB"):
        glb.surface()


def test_a_crowd_of_instances_is_refused_before_it_is_made():
    glb = textured()
    glb.json["nodes"] = [{"mesh": 0}] * 20
    glb.json["scenes"] = [{"nodes": list(range(20))}]
    number = glb.add("accessors", {"componentType": 5126, "count": 2**20, "type": "VEC3"})
    for node in range(20):
        extension = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": number}}}
        glb.json["nodes"][node] = {"mesh": 0, "extensions": extension}
    with pytest.raises(ViewmaskError, match=r"triangles claims .* MiB"):
        glb.surface()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"{", "its JSON is damaged"), (b"[]", "its JSON is not an object"), (b"\xff", "its JSON is damaged"),
        (b'{"nodes": 3}', "its nodes are not a list"), (b'{"nodes": [3]}', "its nodes are not a list"),
        (b"{}", "has no triangles"), (b'{"nodes": [{"mesh": 0}], "meshes": [{}]}', "it lacks 'primitives'"),
        (b'{"nodes": [{"mesh": 0}], "meshes": [{"primitives": [{"attributes": {}}]}]}', "it lacks 'POSITION'"),
        (b'{"nodes": [{"mesh": true}], "meshes": []}', "refers to number True of its 0 meshes"),
        (b'{"nodes": [{"mesh": 0}], "meshes": [{"primitives": 5}]}', "is damaged"),
        (b"[" * 100_000, "its JSON is damaged"),
    ],
)  # fmt: skip
def test_json_that_is_no_gltf_is_refused_with_the_reason(document, message):
    with pytest.raises(ViewmaskError, match=message):
        Surface.load(document, file_type="gltf")
    with pytest.raises(ViewmaskError, match=message):
        Surface.load(packed(document, b""))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_damage_is_drawn_or_refused(data):
    whole = bytearray(skinned(FIRST, ALL, [{}]).bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    reading = Reading("it", lenient=True)
    try:
        patches = gltf.read(bytes(whole), reading, Beside.of_mapping(None))
    except ViewmaskError:
        return
    assert all(patch.faces.max(initial=0) < max(len(patch.vertices), 1) for patch in patches)


def test_trimesh_s_files_look_as_trimesh_means_them():
    box = trimesh.creation.box((1, 2, 3))
    box.visual.face_colors = [[255, 0, 0, 255]] * 12
    scene = trimesh.Scene([box, trimesh.creation.icosphere(1).apply_translation((3, 0, 0))])
    surface = Surface.load(scene.export(file_type="glb"), transform=np.eye(4))
    ours = Surface.of_scene(scene, np.eye(4))
    vertices = [np.unique(which.vertices.round(5), axis=0) for which in (surface, ours)]
    assert vertices[0] == pytest.approx(vertices[1], abs=1e-5)
    assert len(surface.faces) == len(ours.faces)


# -- the cases that went wrong once ----------------------------------------------------------------


def cases():
    file = CASES / "expected.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    return [pytest.param(name, case["samples"], id=name) for name, case in known.items() if ".gl" in name] or [
        pytest.param("", [], marks=pytest.mark.skip(reason="the folder of cases is absent"))
    ]


@pytest.mark.parametrize(("name", "samples"), cases())
def test_cases_that_went_wrong_once(name, samples):
    file = CASES.parent / name
    if samples == [["error"]]:
        with pytest.raises(ViewmaskError):
            Surface.load(file)
        return
    picture = drawn(Surface.load(file), size=256)
    for (x, y), expected in samples:
        colour = colour_at(picture, x, y)
        assert (colour is None) == (expected is None)
        assert colour is None or np.abs(np.subtract(colour, expected)).max() <= 12
