"""What a camera is: a pinhole with a pose, one maker for orbits, and the conventions of others.

World: +Z up, the object in a unit box at the origin, its front on +X (azimuth 0). Camera position =
distance x (cos el cos az, cos el sin az, sin el); azimuth grows counter-clockwise seen from above.
A pose is an OpenGL camera-to-world matrix (x right, y up, looking along -z), as in nerfstudio.
Pixel centres lie at +0.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.views.conventions import DISTANCE, ELEVATION, FIELD_OF_VIEW, SIZE

Array = NDArray[np.float64]

_OPENGL_TO_OPENCV = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera.

    Attributes:
        width, height: picture size in pixels.
        fl_x, fl_y: focal lengths in pixels.
        cx, cy: principal point in pixels.
        camera_to_world: float64 [4, 4], OpenGL axes.
    """

    width: int
    height: int
    fl_x: float
    fl_y: float
    cx: float
    cy: float
    camera_to_world: Array = field(repr=False)

    def __post_init__(self) -> None:
        pose = np.asarray(self.camera_to_world, dtype=np.float64)
        if pose.shape == (3, 4):
            pose = np.vstack([pose, [0.0, 0.0, 0.0, 1.0]])
        if pose.shape != (4, 4) or not np.isfinite(pose).all():
            raise ViewmaskError("a camera pose must be a 4 x 4 matrix of finite numbers")
        if abs(np.linalg.det(pose[:3, :3])) < 1e-9:  # `transforms` brings rotations to unit length
            raise ViewmaskError("a camera pose must be invertible: its rotation is singular")
        if self.width <= 0 or self.height <= 0 or not self.fl_x > 0 or not self.fl_y > 0:
            raise ViewmaskError("a camera needs a positive picture size and focal length")
        if not all(math.isfinite(number) for number in (self.fl_x, self.fl_y, self.cx, self.cy)):
            raise ViewmaskError("a camera's focal length and principal point must be finite numbers")
        object.__setattr__(self, "camera_to_world", pose)

    # -- where it stands ------------------------------------------------------------------------

    @property
    def position(self) -> Array:
        """World position, [3]."""
        return self.camera_to_world[:3, 3]

    @property
    def distance(self) -> float:
        """Distance from the world's origin."""
        return float(np.linalg.norm(self.position))

    @property
    def elevation(self) -> float:
        """Degrees above the horizon, in [-90, 90]."""
        return math.degrees(math.asin(float(np.clip(self.position[2] / max(self.distance, 1e-12), -1, 1))))

    @property
    def azimuth(self) -> float:
        """Degrees counter-clockwise from +X, in [0, 360)."""
        degrees = math.degrees(math.atan2(self.position[1], self.position[0])) % 360.0
        return 0.0 if round(degrees, 9) == 360.0 else degrees

    @property
    def field_of_view(self) -> float:
        """Vertical field of view in degrees."""
        return math.degrees(2 * math.atan(self.height / (2 * self.fl_y)))

    # -- geometry -------------------------------------------------------------------------------

    def rays(self, samples: int = 1) -> tuple[Array, Array]:
        """World rays through a regular grid of `samples` x `samples` points in every pixel.

        Returns:
            origins [height * samples, width * samples, 3] and unit directions of the same shape.
        """
        steps_x = (np.arange(self.width * samples) + 0.5) / samples
        steps_y = (np.arange(self.height * samples) + 0.5) / samples
        x, y = np.meshgrid((steps_x - self.cx) / self.fl_x, (steps_y - self.cy) / self.fl_y)
        local = np.stack([x, -y, -np.ones_like(x)], axis=-1)
        directions = local @ self.camera_to_world[:3, :3].T
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return np.broadcast_to(self.position, directions.shape), directions

    def project(self, points: Array) -> tuple[Array, Array]:
        """Project world points.

        Args:
            points: [..., 3].

        Returns:
            pixels [..., 2] (x right, y down) and depth [...] along the viewing axis (positive in front).
        """
        local = (np.asarray(points) - self.position) @ np.linalg.inv(self.camera_to_world[:3, :3]).T
        depth = -local[..., 2]
        safe = np.where(np.abs(depth) < 1e-9, 1e-9, depth)
        x = self.cx + self.fl_x * local[..., 0] / safe
        y = self.cy - self.fl_y * local[..., 1] / safe
        return np.stack([x, y], axis=-1), depth

    def resized(self, width: int, height: int) -> Camera:
        """The same camera for a picture of another size."""
        sx, sy = width / self.width, height / self.height
        return Camera(width, height, self.fl_x * sx, self.fl_y * sy, self.cx * sx, self.cy * sy, self.camera_to_world)

    # -- the conventions of others --------------------------------------------------------------

    def to_opencv(self) -> tuple[Array, Array]:
        """Intrinsics K [3, 3] and world-to-camera [3, 4] in OpenCV axes (SyncDreamer's files)."""
        rotation = _OPENGL_TO_OPENCV @ np.linalg.inv(self.camera_to_world[:3, :3])
        return self.intrinsics, np.hstack([rotation, (-rotation @ self.position)[:, None]])

    @classmethod
    def from_opencv(cls, k: Array, world_to_camera: Array, width: int, height: int) -> Camera:
        """From intrinsics [3, 3] and an OpenCV world-to-camera [3, 4] or [4, 4]."""
        matrix = np.asarray(world_to_camera, dtype=np.float64)[:3]
        pose = np.eye(4)
        pose[:3, :3] = np.linalg.inv(matrix[:, :3]) @ _OPENGL_TO_OPENCV
        pose[:3, 3] = -np.linalg.inv(matrix[:, :3]) @ matrix[:, 3]
        k = np.asarray(k, dtype=np.float64)
        return cls(width, height, float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]), pose)

    def to_zero123(self, reference: Camera) -> Array:
        """Zero123's relative pose [d polar, sin d azimuth, cos d azimuth, d radius] from `reference`.

        Angles in radians; polar is measured from +Z (cvlab-columbia/zero123, ldm/data/simple.py).
        """
        polar = math.radians(reference.elevation - self.elevation)
        azimuth = math.radians(self.azimuth - reference.azimuth)
        return np.array([polar, math.sin(azimuth), math.cos(azimuth), self.distance - reference.distance])

    @classmethod
    def from_zero123(cls, pose: Array, reference: Camera) -> Camera:
        """The camera that `to_zero123` describes, with the reference's intrinsics."""
        polar, sine, cosine, radius = (float(value) for value in pose)
        moved = cls.on_sphere(
            reference.azimuth + math.degrees(math.atan2(sine, cosine)),
            reference.elevation - math.degrees(polar),
            reference.distance + radius,
        )
        return cls(
            reference.width, reference.height, reference.fl_x, reference.fl_y, reference.cx, reference.cy,
            moved.camera_to_world,
        )  # fmt: skip

    @property
    def intrinsics(self) -> Array:
        """K, [3, 3]."""
        return np.array([[self.fl_x, 0, self.cx], [0, self.fl_y, self.cy], [0, 0, 1]])

    # -- makers ---------------------------------------------------------------------------------

    @classmethod
    def on_sphere(
        cls,
        azimuth: float,
        elevation: float = ELEVATION,
        distance: float = DISTANCE,
        fov: float = FIELD_OF_VIEW,
        size: int = SIZE,
    ) -> Camera:
        """A camera on a sphere that looks at the origin, +Z up. Angles in degrees.

        Raises:
            ViewmaskError: a value that no camera can have.
        """
        if not (math.isfinite(azimuth) and -90 < elevation < 90):
            raise ViewmaskError(f"elevation must lie between -90 and 90 degrees, not {elevation:g}")
        if not (math.isfinite(distance) and distance > 0):
            raise ViewmaskError(f"distance must be positive, not {distance:g}")
        if not 0 < fov < 180:
            raise ViewmaskError(f"the field of view must lie between 0 and 180 degrees, not {fov:g}")
        if size <= 0:
            raise ViewmaskError(f"the picture size must be positive, not {size}")
        az, el = math.radians(azimuth), math.radians(elevation)
        backward = np.array([math.cos(el) * math.cos(az), math.cos(el) * math.sin(az), math.sin(el)])
        right = np.array([-math.sin(az), math.cos(az), 0.0])
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(backward, right), backward], axis=1)
        pose[:3, 3] = distance * backward
        focal = size / 2 / math.tan(math.radians(fov) / 2)
        return cls(size, size, focal, focal, size / 2, size / 2, pose)

    def to_frame(self) -> dict[str, Any]:
        """This camera as one frame of nerfstudio's transforms.json."""
        return {
            "fl_x": self.fl_x, "fl_y": self.fl_y, "cx": self.cx, "cy": self.cy, "w": self.width, "h": self.height,
            "transform_matrix": self.camera_to_world.tolist(),
            "elevation": round(self.elevation, 6), "azimuth": round(self.azimuth, 6),
            "distance": round(self.distance, 6),
        }  # fmt: skip


def orbit(
    views: int = 8,
    elevation: float = ELEVATION,
    distance: float = DISTANCE,
    fov: float = FIELD_OF_VIEW,
    size: int = SIZE,
    start: float = 0.0,
) -> list[Camera]:
    """`views` cameras evenly around the object, counter-clockwise from azimuth `start` (degrees).

    Raises:
        ViewmaskError: no views asked for, or a value that no camera can have.
    """
    if views < 1:
        raise ViewmaskError(f"an orbit needs at least one view, not {views}")
    return [Camera.on_sphere(start + 360.0 * i / views, elevation, distance, fov, size) for i in range(views)]
