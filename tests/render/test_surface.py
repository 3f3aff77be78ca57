"""Surfaces: colours in one space, textures the right way up, every format the same way round, broken files refused."""

import io
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from render.raycast import render
from render.surface import Opacity, Paint, Surface, _fraction, interpolate, to_linear, to_srgb
from render.texture import Texture
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit


def front(surface, size=32, light="none"):
    """The view from azimuth 0, level with the object."""
    return render(surface, [Camera.on_sphere(0, 0, size=size)], light)[0]


def middle(picture):
    height, width = picture.shape[:2]
    return picture[height // 2, width // 2 + 2].tolist()


# -- colour ---------------------------------------------------------------------------------------


def test_srgb_survives_the_way_to_linear_light_and_back():
    codes = np.arange(256)
    assert (to_srgb(to_linear(codes)) == codes).all()


@pytest.mark.parametrize(("code", "linear"), [(0, 0.0), (10, 0.003035), (128, 0.215861), (188, 0.502886), (255, 1.0)])
def test_linear_light_has_the_standard_s_golden_values(code, linear):
    assert to_linear([code])[0] == pytest.approx(linear, abs=1e-6)


def test_a_material_s_factor_is_linear(make_glb):
    assert middle(front(Surface.load(make_glb(factor=(0.5, 0.25, 1.0))))) == pytest.approx([188, 137, 255, 255], abs=1)


def test_a_factor_of_one_255th_is_nearly_black(make_glb):
    assert max(middle(front(Surface.load(make_glb(factor=(1 / 255, 0, 0)))))[:3]) == 13


def test_vertex_colours_of_gltf_are_linear(make_glb):
    glb = make_glb(colours=[(0.5, 0.25, 1.0, 1.0)] * 4)
    assert middle(front(Surface.load(glb))) == pytest.approx([188, 137, 255, 255], abs=1)


def test_vertex_colours_multiply_the_material_s(make_glb):
    glb = make_glb(colours=[(0.5, 1.0, 1.0, 1.0)] * 4, factor=(1.0, 0.5, 1.0))
    assert middle(front(Surface.load(glb))) == pytest.approx([188, 188, 255, 255], abs=1)


def test_vertex_colours_of_ply_are_srgb():
    square = trimesh.Trimesh([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], [[0, 1, 2], [0, 2, 3]])
    square.visual.vertex_colors = [[100, 150, 200, 255]] * 4
    surface = Surface.load(square.export(file_type="ply"), file_type="ply")
    assert middle(front(surface)) == [100, 150, 200, 255]


def test_vertex_colours_are_blended_between_corners(make_glb):
    glb = make_glb(colours=[(0, 0, 0, 1), (1, 1, 1, 1), (1, 1, 1, 1), (0, 0, 0, 1)])
    row = front(Surface.load(glb), size=64)[32]
    inside = to_linear(row[row[:, 3] == 255][:, 0])
    assert (np.diff(inside) > 0).all()
    assert inside[len(inside) // 2] == pytest.approx(0.5, abs=0.03)


def test_an_mtl_s_kd_is_srgb(tmp_path):
    (tmp_path / "a.mtl").write_text("newmtl m\nKd 0.5 0.25 1\n")
    corners = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\n"
    (tmp_path / "a.obj").write_text(f"mtllib a.mtl\n{corners}usemtl m\nf 1 2 3\nf 1 3 4\n")
    assert middle(front(Surface.load(tmp_path / "a.obj"))) == pytest.approx([128, 64, 255, 255], abs=1)


def test_nothing_said_is_white_and_never_transparent():
    ball = trimesh.creation.icosphere(2)
    picture = front(Surface.load(ball.export(file_type="stl"), file_type="stl"))
    assert middle(picture)[3] == 255
    assert (picture[picture[..., 3] == 255][:, :3] == 255).all()


# -- texture --------------------------------------------------------------------------------------

PATCHES = [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]]
QUARTERS = np.repeat(np.repeat(np.array(PATCHES, np.uint8), 8, 0), 8, 1)


def quarters(picture):
    height, width = picture.shape[:2]
    rows, columns = (int(height * 0.4), int(height * 0.6)), (int(width * 0.4), int(width * 0.6))
    return [[picture[row, column, :3].tolist() for column in columns] for row in rows]


def test_a_texture_stands_upright_and_is_not_mirrored_seen_from_the_front(make_glb, square_uv):
    assert quarters(front(Surface.load(make_glb(uv=square_uv, picture=QUARTERS)))) == PATCHES


def test_a_texture_wraps_around(make_glb, square_uv):
    turned = quarters(front(Surface.load(make_glb(uv=square_uv + np.array([-3.5, 2]), picture=QUARTERS))))
    assert turned == [row[::-1] for row in PATCHES]


def test_an_obj_s_texture_stands_upright(tmp_path):
    Image.fromarray(QUARTERS).save(tmp_path / "a.png")
    (tmp_path / "a.mtl").write_text("newmtl m\nKd 0.5 0.5 0.5\nmap_Kd a.png\n")
    corners = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
    (tmp_path / "a.obj").write_text(f"mtllib a.mtl\n{corners}usemtl m\nf 1/1 2/2 3/3\nf 1/1 3/3 4/4\n")
    assert quarters(front(Surface.load(tmp_path / "a.obj"))) == PATCHES


def test_a_factor_tints_a_texture_in_linear_light(make_glb, square_uv):
    grey = np.full((4, 4, 3), 188, np.uint8)  # 0.5 in linear light
    picture = front(Surface.load(make_glb(uv=square_uv, picture=grey, factor=(0.5, 1, 1))))
    assert middle(picture) == pytest.approx([137, 188, 188, 255], abs=1)


def test_bilinear_look_up_meets_texel_centres_and_their_middles():
    texture = Texture.of(np.zeros((2, 2, 3), np.uint8))
    texture.pixels[0, 1] = 255  # upper right
    places = np.array([[0.75, 0.75], [0.25, 0.75], [0.5, 0.75], [0.5, 0.5], [1.0, 0.75], [-0.25, 1.75]], np.float32)
    assert texture.colour(places)[:, 0] == pytest.approx([1, 0, 0.5, 0.25, 0.5, 1])


# -- place ----------------------------------------------------------------------------------------


def block(extents=(2.0, 4.0, 1.0), at=(3.0, -2.0, 5.0)):
    box = trimesh.creation.box(extents)
    box.apply_translation(at)
    return box


def test_the_longest_side_becomes_1_and_the_centre_the_origin():
    surface = Surface.load(block().export(file_type="glb"))
    assert np.ptp(surface.vertices, axis=0) == pytest.approx([0.25, 0.5, 1.0])  # file z, x, y
    assert surface.vertices.min(0) + surface.vertices.max(0) == pytest.approx([0, 0, 0], abs=1e-6)


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
def test_every_format_lies_alike(kind):
    data = block().export(file_type=kind)
    data = data if isinstance(data, bytes) else data.encode()
    assert np.ptp(Surface.load(data, file_type=kind).vertices, axis=0) == pytest.approx([0.25, 0.5, 1.0])
    assert np.ptp(Surface.load(data, up="z", file_type=kind).vertices, axis=0) == pytest.approx([0.5, 1.0, 0.25])


def test_the_file_s_front_faces_azimuth_0_and_its_up_is_up(make_glb):
    nose = Surface.load(make_glb([(0, 0, 0), (0, 0, 3), (0, 1, 0)], [(0, 1, 2)]))
    assert nose.vertices[1] - nose.vertices[0] == pytest.approx([1, 0, 0])
    assert nose.vertices[2] - nose.vertices[0] == pytest.approx([0, 0, 1 / 3])


def test_a_node_s_transform_is_applied(make_glb):
    glb = make_glb(node={"scale": [1, 3, 1], "translation": [5, 5, 5]})
    assert np.ptp(Surface.load(glb).vertices, axis=0) == pytest.approx([0, 1 / 3, 1])


def test_a_given_transform_is_taken_as_it_is():
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    surface = Surface.load(block((1, 1, 1), (0.5, 0, 0)).export(file_type="glb"), transform=matrix)
    assert surface.vertices.min(0) == pytest.approx([0, -1, -1])
    assert surface.file_to_world == pytest.approx(matrix)


def test_file_to_world_says_what_was_done():
    box = block()
    surface = Surface.load(box.export(file_type="glb"))
    placed = trimesh.transform_points(box.vertices, surface.file_to_world)
    assert sorted(map(tuple, placed.round(4))) == sorted(map(tuple, surface.vertices.astype(float).round(4)))


def test_normals_stay_upright_when_the_surface_is_stretched():
    ball = trimesh.creation.icosphere(3)
    scene = trimesh.Scene(trimesh.Trimesh(ball.vertices, ball.faces, vertex_normals=ball.vertices, process=False))
    surface = Surface.of_scene(scene).transformed(np.diag([1.0, 1.0, 4.0, 1.0]))
    gradient = surface.vertices[surface.faces] / np.array([1, 1, 16])  # of the ellipsoid x^2 + y^2 + z^2 / 16
    expected = gradient / np.linalg.norm(gradient, axis=-1, keepdims=True)
    assert surface.file_normals == pytest.approx(expected, abs=1e-5)


def test_normals_are_smooth_on_a_ball_and_sharp_on_a_box():
    ball = Surface.of_scene(trimesh.Scene(trimesh.creation.icosphere(3)))
    outwards = ball.vertices[ball.faces] / np.linalg.norm(ball.vertices[ball.faces], axis=-1, keepdims=True)
    assert (ball.corner_normals * outwards).sum(-1).min() > 0.999
    box = Surface.of_scene(trimesh.Scene(trimesh.creation.box()))
    assert box.corner_normals == pytest.approx(np.repeat(box.face_normals[:, None], 3, axis=1), abs=1e-6)


@pytest.mark.parametrize(("sides", "smooth"), [(12, True), (8, False)])  # 30 and 45 degrees between neighbours
def test_edges_are_smooth_below_40_degrees_and_sharp_above(sides, smooth):
    drum = trimesh.creation.cylinder(0.5, 1, sections=sides)
    surface = Surface.of_scene(trimesh.Scene(drum), transform=np.eye(4))
    wall = np.abs(surface.face_normals[:, 2]) < 0.5
    cosine = (surface.corner_normals[wall] * surface.face_normals[wall][:, None]).sum(-1)
    assert np.abs(surface.corner_normals[wall][..., 2]).max() < 1e-5  # the rim stays sharp
    assert (cosine.min() < 0.99) == smooth
    assert np.linalg.norm(surface.corner_normals, axis=-1) == pytest.approx(np.ones((len(drum.faces), 3)), abs=1e-5)


def test_normals_are_smooth_across_a_seam_of_the_texture():
    ball = trimesh.creation.icosphere(2, 0.5)
    apart = trimesh.Trimesh(ball.triangles.reshape(-1, 3), np.arange(3 * len(ball.faces)).reshape(-1, 3), process=False)
    whole, torn = (Surface.of_scene(trimesh.Scene(mesh), transform=np.eye(4)) for mesh in (ball, apart))
    assert torn.corner_normals == pytest.approx(whole.corner_normals, abs=1e-4)


def test_a_file_s_normals_win_over_computed_ones():
    flat = trimesh.creation.icosphere(1)
    slanted = np.tile(np.array([0.6, 0, 0.8]), (len(flat.vertices), 1))
    mesh = trimesh.Trimesh(flat.vertices, flat.faces, vertex_normals=slanted, process=False)
    surface = Surface.of_scene(trimesh.Scene(mesh), transform=np.eye(4))
    assert surface.corner_normals == pytest.approx(np.tile(slanted[0], (len(flat.faces), 3, 1)), abs=1e-5)


def test_the_window_holds_all_that_is_seen_and_little_more():
    surface = Surface.of_scene(trimesh.Scene(trimesh.creation.icosphere(2, 0.2)), transform=np.eye(4))
    camera = Camera(80, 60, 70, 70, 30, 35, Camera.on_sphere(20, 10, 1.5).camera_to_world)
    left, top, right, bottom = surface.window(camera)
    (picture,) = render(surface, [camera])
    rows, columns = np.nonzero(picture[..., 3])
    assert left <= columns.min() <= left + 2
    assert right - 3 <= columns.max() < right
    assert top <= rows.min() <= top + 2
    assert bottom - 3 <= rows.max() < bottom
    assert surface.window(Camera.on_sphere(0, 0, 0.1, size=16)) == (0, 0, 16, 16)  # the camera is inside
    near = Camera(40, 30, 300, 300, 20, 15, Camera.on_sphere(0, 0, 1.5).camera_to_world)
    assert surface.window(near) == (0, 0, 40, 30)  # it fills the picture


def test_parts_are_joined_with_their_own_faces_colours_and_textures(make_glb, square_uv):
    red, blue = (np.full((2, 2, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    first, second = (Surface.load(make_glb(uv=square_uv, picture=picture)) for picture in (red, blue))
    plain = Surface.load(make_glb(factor=(0.5, 0.25, 1.0)))
    whole = Surface.joined([plain, first, second, first])
    assert len(whole.textures) == 2
    assert whole.texture.tolist() == [-1, -1, 0, 0, 1, 1, 0, 0]
    assert whole.faces.tolist() == [(face + 4 * part).tolist() for part in range(4) for face in plain.faces]
    middle = np.full(8, 1 / 3, np.float32)
    colours = whole.albedo(np.arange(8, dtype=np.int32), middle, middle)
    assert colours[::2] == pytest.approx(np.array([[0.5, 0.25, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0]]), abs=0.003)


def test_a_small_surface_that_is_inside_out_is_turned_and_another_stays():
    ball = trimesh.creation.icosphere(1, 0.1)
    right = Surface.of_scene(trimesh.Scene(ball), transform=np.eye(4))
    ball.invert()
    wrong = Surface.of_scene(trimesh.Scene(ball), transform=np.eye(4))
    assert right.outward() is right
    for surface in (right, wrong.outward()):
        assert ((surface.face_normals * surface.vertices[surface.faces].mean(1)).sum(-1) > 0).all()


def test_the_box_is_that_of_vertices_in_use():
    mesh = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 2, 0], [9, 9, 9]], [[0, 1, 2]], process=False)
    low, high = Surface.of_scene(trimesh.Scene(mesh), transform=np.eye(4)).box
    assert (low.tolist(), high.tolist()) == ([0, 0, 0], [1, 2, 0])


# -- broken files ---------------------------------------------------------------------------------


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ViewmaskError, match=r"no mesh file at .*gone\.glb"):
        Surface.load(tmp_path / "gone.glb")


@pytest.mark.parametrize(
    ("positions", "reason"),
    [
        ([(0, 0, 0), (1, 0, float("nan")), (0, 1, 0)], "not finite"),
        ([(0, 0, 0), (1, 0, float("inf")), (0, 1, 0)], "not finite"),
        ([(2, 2, 2)] * 3, "no extent"),
    ],
)
def test_a_mesh_that_nothing_can_be_seen_of_is_refused(make_glb, positions, reason):
    with pytest.raises(ViewmaskError, match=reason):
        Surface.load(make_glb(positions, [(0, 1, 2)]))


@pytest.mark.parametrize("data", [b"", b"glTF", b"no mesh at all", b"glTF\2\0\0\0\xff\xff\xff\xff" + b"\0" * 40])
@pytest.mark.parametrize("kind", ["glb", "ply", "obj", "stl"])
def test_rubbish_is_refused_in_one_line(data, kind):
    with pytest.raises(ViewmaskError) as caught:
        Surface.load(data, file_type=kind)
    assert "\n" not in str(caught.value)


def test_a_truncated_glb_is_refused(make_glb):
    with pytest.raises(ViewmaskError):
        Surface.load(make_glb()[:-60])


def test_a_format_that_nothing_reads_is_refused(tmp_path):
    (tmp_path / "a.blend").write_bytes(b"BLENDER")
    with pytest.raises(ViewmaskError, match="is no mesh that is read here .*convert it to GLB"):
        Surface.load(tmp_path / "a.blend")


coordinate = st.one_of(
    st.floats(-2, 2), st.sampled_from([0.0, float("nan"), float("inf"), 1e-30, 1e30, -1e300, 1e-320])
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(coordinate, coordinate, coordinate), min_size=0, max_size=8),
    st.lists(st.tuples(*[st.integers(-1, 9)] * 3), min_size=0, max_size=8),
)
def test_any_soup_of_triangles_is_either_drawn_or_refused(vertices, faces):
    mesh = trimesh.Trimesh(process=False)
    mesh.vertices = np.array(vertices, np.float64).reshape(-1, 3)
    mesh._data["faces"] = np.array(faces, np.int64).reshape(-1, 3)
    scene = trimesh.Scene()
    scene.geometry["soup"] = mesh
    scene.graph.update(frame_to="soup", frame_from=scene.graph.base_frame, matrix=np.eye(4), geometry="soup")
    try:
        surface = Surface.of_scene(scene)
    except ViewmaskError:
        return
    for light in ("none", "uniform", "studio"):
        for picture in render(surface, orbit(2, size=12), light, samples=1):
            assert (picture[picture[..., 3] == 0] == 0).all()


def test_a_written_and_read_file_is_the_same_picture(make_glb, square_uv, tmp_path):
    data = make_glb(uv=square_uv, picture=QUARTERS)
    (tmp_path / "a.glb").write_bytes(data)
    assert (front(Surface.load(tmp_path / "a.glb")) == front(Surface.load(data))).all()


# -- by hand --------------------------------------------------------------------------------------


def surface_of(vertices, faces, **options):
    mesh = trimesh.Trimesh(vertices, faces, process=False, **options)
    return Surface.of_scene(trimesh.Scene(mesh), transform=np.eye(4))


def test_light_beyond_what_a_byte_holds_is_clipped():
    assert to_srgb([-1, 0, 1e-6, 0.5, 1, 1.4, 2, 9]).tolist() == [0, 0, 0, 188, 255, 255, 255, 255]


def test_a_single_triangle_has_its_own_normal_and_a_window():
    surface = surface_of([[0, 0, 0], [0, 0.5, 0], [0, 0, 0.25]], [[0, 1, 2]])
    assert surface.corner_normals.tolist() == [[[1, 0, 0]] * 3]
    camera = Camera(40, 30, 20, 20, 20, 15, Camera.on_sphere(0, 0, 1).camera_to_world)
    assert surface.window(camera) == (19, 9, 31, 16)  # it lies from (20, 15) to (30, 10)
    assert surface.window(Camera(40, 30, 20, 20, 19.5, 15.5, camera.camera_to_world)) == (18, 9, 31, 17)
    assert surface.window(Camera(25, 12, 20, 20, -5, 4, camera.camera_to_world)) == (0, 0, 6, 5)
    beside = surface_of([[1, 0, 0], [0, 0.5, 0], [0, 0, 0.25]], [[0, 1, 2]])
    assert beside.window(camera) == (0, 0, 40, 30)


def test_smooth_normals_are_weighed_by_area():
    # Two faces that meet along the y axis, one thrice as large, 20 degrees to either side of level.
    rise = np.tan(np.radians(15))
    surface = surface_of([[0, 0, 0], [0, 1, 0], [-1, 0, -rise], [3, 0, -3 * rise]], [[0, 1, 2], [1, 0, 3]])
    left, right = surface.face_normals
    assert (left[0] < 0) != (right[0] < 0)
    shared = left * 1 + right * 3
    shared /= np.linalg.norm(shared)
    assert surface.corner_normals[0] == pytest.approx(np.array([shared, shared, left]), abs=1e-6)
    assert surface.corner_normals[1] == pytest.approx(np.array([shared, shared, right]), abs=1e-6)


def test_faces_that_touch_in_a_corner_alone_stay_apart():
    surface = surface_of([[0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0.2], [0, -1, 0.2]], [[0, 1, 2], [0, 3, 4]])
    assert surface.corner_normals == pytest.approx(np.repeat(surface.face_normals[:, None], 3, axis=1), abs=1e-6)


@pytest.mark.parametrize("linear", [True, False])
def test_colours_of_faces_and_of_vertices(linear):
    square = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]]
    codes = np.array([[255, 0, 51, 255], [128, 188, 10, 9]], np.uint8)
    spread = (codes[:, :3] / 255 if linear else to_linear(codes[:, :3])).astype(np.float32)
    faces = trimesh.Trimesh(*square, face_colors=codes, process=False)
    surface = Surface.of_scene(trimesh.Scene(faces), transform=np.eye(4), linear=linear)
    assert surface.colours == pytest.approx(np.repeat(spread[:, None], 3, axis=1))
    plain = Surface.of_scene(trimesh.Scene(faces), transform=np.eye(4))
    assert np.array_equal(plain.colours, surface.colours) != linear  # sRGB unless told
    vertices = trimesh.Trimesh(*square, vertex_colors=codes[[0, 1, 1, 0]], process=False)
    surface = Surface.of_scene(trimesh.Scene(vertices), transform=np.eye(4), linear=linear)
    assert surface.colours == pytest.approx(spread[[0, 1, 1, 0]][square[1]])
    third = np.full(2, 1 / 3, np.float32)
    expected = spread[[0, 1, 1, 0]][square[1]].mean(axis=1)
    assert surface.albedo(np.arange(2, dtype=np.int32), third, third) == pytest.approx(expected, abs=1e-6)


def test_fractions_of_whole_numbers_and_of_what_is_no_number():
    assert _fraction(np.array([0, 51, 255], np.uint8)) == pytest.approx([0, 0.2, 1])
    assert _fraction(np.array([0, 13107, 65535], np.uint16)) == pytest.approx([0, 0.2, 1])
    assert _fraction([np.nan, np.inf, 0.25]).tolist() == [0, 1, 0.25]
    assert _fraction(np.array([7], np.uint8)).dtype == np.float32


def test_values_between_corners():
    corners = np.array([[[1.0, 0], [0, 1], [2, 4]], [[0, 0], [8, 0], [0, 8]]], np.float32)
    u, v = np.array([0.5, 0.25], np.float32), np.array([0.25, 0.5], np.float32)
    values = interpolate(corners, np.array([0, 1], np.int32), u, v)
    assert values.tolist() == [[0.25 * 1 + 0.25 * 2, 0.5 + 0.25 * 4], [2, 4]]


def test_a_broken_file_is_named_and_bytes_are_the_mesh(tmp_path):
    flat = trimesh.Trimesh([[1, 1, 1]] * 3, [[0, 1, 2]], process=False).export(file_type="ply")
    (tmp_path / "point.ply").write_bytes(flat)
    with pytest.raises(ViewmaskError, match=r"point\.ply has no extent"):
        Surface.load(tmp_path / "point.ply")
    with pytest.raises(ViewmaskError, match="the mesh has no extent"):
        Surface.load(flat, file_type="ply")
    (tmp_path / "rubbish.glb").write_bytes(b"glTF")
    with pytest.raises(ViewmaskError, match=r"cannot read .*rubbish\.glb as a mesh: ."):
        Surface.load(tmp_path / "rubbish.glb")


def test_a_picture_that_parts_share_is_kept_once():
    square = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]]
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, np.nan]])
    picture = Image.fromarray(np.full((2, 2, 4), (200, 100, 0, 9), np.uint8))  # alpha is left out
    scene = trimesh.Scene()
    for place in range(2):
        visual = trimesh.visual.TextureVisuals(uv, image=picture)
        mesh = trimesh.Trimesh(*square, visual=visual, process=False)
        scene.add_geometry(mesh, transform=trimesh.transformations.translation_matrix([0, 0, place]))
    short = trimesh.Trimesh(*square, visual=trimesh.visual.TextureVisuals(uv[:0], image=picture), process=False)
    scene.add_geometry(short)
    surface = Surface.of_scene(scene, transform=np.eye(4))
    assert len(surface.textures) == 1
    assert surface.textures[0].pixels[0, 0].tolist() == [200, 100, 0, 255]
    assert surface.texture.tolist() == [0, 0, 0, 0, -1, -1]
    assert np.isfinite(surface.uv).all()
    assert surface.uv[1, 2].tolist() == [0, 0]
    assert surface.uv[0].tolist() == [[0, 0], [1, 0], [1, 1]]
    assert sorted(set(surface.vertices[:, 2])) == [0, 1]
    assert (surface.colours == 1).all()
    assert [array.dtype for array in (surface.faces, surface.texture)] == [np.int32] * 2
    assert [array.dtype for array in (surface.vertices, surface.colours, surface.uv, surface.face_normals,
                                      surface.corner_normals)] == [np.float32] * 5  # fmt: skip


def test_a_plain_material_s_colour_is_srgb_and_gives_way_to_its_picture():
    square = [[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 1, 2]]
    uv = np.array([[0, 0], [1, 0], [1, 1]])
    picture = Image.new("RGB", (2, 2), (9, 9, 9))
    for image, expected in ((None, to_linear([51, 128, 255])), (picture, np.ones(3))):
        material = trimesh.visual.material.SimpleMaterial(image=image, diffuse=[51, 128, 255, 255])
        mesh = trimesh.Trimesh(*square, visual=trimesh.visual.TextureVisuals(uv, material=material), process=False)
        surface = Surface.of_scene(trimesh.Scene(mesh), transform=np.eye(4))
        assert surface.colours[0] == pytest.approx(np.tile(expected, (3, 1)))
        assert len(surface.textures) == (image is not None)


def test_a_sheared_surface_keeps_its_normals_upright_and_its_way_back():
    normals = np.tile([0.0, 0, 1], (3, 1))
    surface = surface_of([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], vertex_normals=normals)
    shear = np.array([[1.0, 0, 0, 5], [0, 1, 0, 6], [1, 0, 1, 7], [0, 0, 0, 1]])  # z grows with x
    moved = surface.transformed(shear)
    assert moved.vertices.tolist() == [[5, 6, 7], [6, 6, 8], [5, 7, 7]]
    assert moved.file_normals[0, 0] == pytest.approx(np.array([-1, 0, 1]) / np.sqrt(2))
    assert moved.file_normals[0, 0] == pytest.approx(moved.face_normals[0])
    twice = moved.transformed(np.diag([2.0, 2, 2, 1]))
    assert twice.file_to_world == pytest.approx(np.diag([2.0, 2, 2, 1]) @ shear)


def test_turning_a_surface_over_turns_all_that_lies_at_its_corners():
    corners = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1.0]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])  # inside out
    colours = np.arange(36, dtype=np.float32).reshape(4, 3, 3)
    inward = Surface((corners + 1).astype(np.float32), faces.astype(np.int32), colours, colours[..., :2],
                     np.full(4, -1, np.int32), [], -colours)  # fmt: skip
    outward = inward.outward()
    assert np.array_equal(outward.faces, faces[:, ::-1])
    assert np.array_equal(outward.colours, colours[:, ::-1])
    assert np.array_equal(outward.uv, colours[:, ::-1, :2])
    assert np.array_equal(outward.file_normals, -colours[:, ::-1])
    assert outward.outward() is outward


def test_a_gltf_s_colours_are_linear_as_a_glb_s_are(make_glb, tmp_path):
    glb = make_glb(colours=[(0.5, 0.25, 1.0, 1.0)] * 4)
    scene = trimesh.load_scene(io.BytesIO(glb), file_type="glb", process=False)
    for name, data in trimesh.exchange.gltf.export_gltf(scene).items():
        (tmp_path / name).write_bytes(data)
    (file,) = tmp_path.glob("*.gltf")
    assert Surface.load(file).colours == pytest.approx(Surface.load(glb).colours, abs=0.01)


def test_files_beside_a_mesh_in_bytes_are_read():
    obj = b"mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n"
    surface = Surface.load(obj, file_type="obj", beside={"a.mtl": b"newmtl m\nKd 0.5 0.25 1\n"})
    assert surface.colours[0, 0] == pytest.approx(to_linear([128, 64, 255]))


def test_of_several_materials_the_first_counts():
    square = [[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 1, 2]]
    several = trimesh.visual.material.MultiMaterial(
        materials=[trimesh.visual.material.SimpleMaterial(diffuse=[51, 128, 255, 255]),
                   trimesh.visual.material.SimpleMaterial(diffuse=[9, 9, 9, 255])]
    )  # fmt: skip
    visual = trimesh.visual.TextureVisuals(np.zeros((3, 2)), material=several)
    surface = Surface.of_scene(trimesh.Scene(trimesh.Trimesh(*square, visual=visual, process=False)), np.eye(4))
    assert surface.colours[0, 0] == pytest.approx(to_linear([51, 128, 255]))


def test_colours_out_of_range_are_clipped():
    visual = trimesh.visual.TextureVisuals(np.zeros((3, 2)))
    visual.vertex_attributes["color"] = np.array([[-0.4, 0.5, 1.7, 1]] * 3)
    square = [[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 1, 2]]
    surface = Surface.of_scene(trimesh.Scene(trimesh.Trimesh(*square, visual=visual, process=False)), np.eye(4))
    grey = to_linear([0, 128, 255]) / to_linear([255])
    assert surface.colours[0, 0] / surface.colours[0, 0, 2] == pytest.approx(grey)


def test_a_part_keeps_its_transparency_and_its_emission_among_others_and_turned_over(make_glb):
    plain = Surface.load(make_glb(factor=(0.5, 0.25, 1.0)))
    alpha = np.arange(6, dtype=np.float32).reshape(2, 3) / 8
    glow = Paint(np.arange(18, dtype=np.float32).reshape(2, 3, 3), plain.uv, plain.texture)
    odd = replace(plain, opacity=Opacity(alpha, np.full(2, 0.5, np.float32)), emission=glow, notes=("a", "b"))
    whole = Surface.joined([plain, odd, replace(odd, notes=("b", "c"))])
    assert whole.notes == ("a", "b", "c")
    assert np.array_equal(whole.opacity.alpha, np.concatenate([np.ones((2, 3)), alpha, alpha]))
    assert whole.opacity.cutoff.tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5]
    assert np.array_equal(whole.emission.colours[2:4], glow.colours)
    assert not whole.emission.colours[:2].any()
    over = replace(odd, vertices=odd.vertices + np.array([9, 0, 0]), faces=odd.faces[:, ::-1]).outward()
    assert np.array_equal(over.faces, odd.faces)
    assert np.array_equal(over.opacity.alpha, alpha[:, ::-1])
    assert np.array_equal(over.emission.colours, glow.colours[:, ::-1])


def test_vertices_that_only_invisible_triangles_use_go_with_them(make_glb):
    plain = Surface.load(make_glb())
    alpha = np.ones((2, 3), np.float32)
    alpha[1] = 0
    seen = replace(plain, opacity=Opacity(alpha, np.full(2, -1, np.float32))).visible()
    assert (len(seen.faces), len(seen.vertices), seen.opacity) == (1, 3, None)
    assert np.array_equal(seen.vertices[seen.faces[0]], plain.vertices[plain.faces[0]])
    assert plain.visible() is plain


def test_unlit_colour_is_base_colour_and_emission_and_at_most_white(make_glb):
    plain = Surface.load(make_glb(factor=(0.5, 0.25, 1.0)))
    face, third = np.zeros(1, np.int32), np.full(1, 1 / 3, np.float32)
    assert plain.emitted(face, third, third) is None
    bright = replace(plain, emission=Paint(np.full((2, 3, 3), 0.25, np.float32), plain.uv, plain.texture))
    assert bright.bare(face, third, third) == pytest.approx(np.array([[0.75, 0.5, 1]]), abs=1e-3)
    assert bright.albedo(face, third, third) == pytest.approx(np.array([[0.5, 0.25, 1]]), abs=1e-3)
