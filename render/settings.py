"""Settings: what a picture looks like (`Settings`), and what a worker process may take (`Limits`).

Each knob stands here once. The command line, Python programs, worker processes and nodes of a cluster all read this
list. The module loads numpy and nothing heavier, so that `viewmask --help` can read it, too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

from render.ceiling import MEBIBYTES
from viewmask.errors import ViewmaskError
from viewmask.views.conventions import DISTANCE, ELEVATION, FIELD_OF_VIEW, SIZE

if TYPE_CHECKING:
    from viewmask.views.camera import Camera

Engine = Literal["raycast", "blender"]
Light = Literal["none", "uniform", "studio"]
Pass = Literal["depth", "normal", "points"]
Up = Literal["y", "z"]
ENGINES: tuple[Engine, ...] = get_args(Engine)
LIGHTS: tuple[Light, ...] = get_args(Light)
PASSES: tuple[Pass, ...] = get_args(Pass)
UPS: tuple[Up, ...] = get_args(Up)


@dataclass(frozen=True)
class Settings:
    """How an object is rendered.

    Attributes:
        views: pictures, at even azimuths around the object.
        elevation: degrees above the horizon.
        distance: from the object, whose longest side is 1.
        fov: field of view in degrees.
        size: side of a picture in pixels.
        start: azimuth of view 0 in degrees, or "random" (by seed and id).
        engine: "raycast" (`render.raycast`) or "blender" (`render.blender`).
        light: "none", "uniform" or "studio"; see `render.raycast.render`.
        strength: of all lights, linear; the light's own if None.
        samples: `samples` x `samples` rays a pixel.
        seed: of the studio's lights, of jitter and of random starts.
        jitter: training augmentation, a pure function of seed and id; see `render.job.Variation`.
        up: which axis of the file points up; see `render.surface.Surface.load`.
        spp, denoise: for the blender engine alone; see `render.blender.render`.
        passes: arrays in `passes.npz` beside the pictures; see `render.passes`.
        lenient: whether an object is rendered without the textures and materials that it lacks, with a note of them,
            rather than failing.

    Raises:
        ViewmaskError: an impossible value.
    """

    views: int = 8
    elevation: float = ELEVATION
    distance: float = DISTANCE
    fov: float = FIELD_OF_VIEW
    size: int = SIZE
    start: float | Literal["random"] = 0.0
    engine: Engine = "raycast"
    light: Light = "none"
    strength: float | None = None
    samples: int = 2
    seed: int = 0
    jitter: bool = False
    up: Up = "y"
    spp: int | None = None
    denoise: bool = False
    passes: tuple[Pass, ...] = ()
    lenient: bool = False

    def __post_init__(self) -> None:
        self.cameras(0.0 if self.start == "random" else float(self.start))
        check_light(self.light)
        for name, count in (("samples", self.samples), ("spp", self.spp)):
            if count is not None and count < 1:
                raise ViewmaskError(f"{name} must be at least 1, not {count}")
        if self.engine not in ENGINES:
            raise ViewmaskError(f"engine must be {' or '.join(ENGINES)}, not {self.engine!r}")
        if self.engine == "raycast" and (self.spp or self.denoise):
            raise ViewmaskError("spp and denoise are for the blender engine: use samples here")
        if self.up not in UPS:
            raise ViewmaskError(f"up must be {' or '.join(UPS)}, not {self.up!r}")
        for name in self.passes:
            if name not in PASSES:
                raise ViewmaskError(f"passes are {', '.join(PASSES)}, not {name!r}")

    def cameras(self, start: float) -> list[Camera]:
        """The orbit that begins at azimuth `start`."""
        from viewmask.views.camera import orbit  # numpy: the command line's help does without it

        return orbit(self.views, self.elevation, self.distance, self.fov, self.size, start)

    @property
    def digest(self) -> str:
        """A short hash. A resumed run looks for views of the same settings by it, so a field's name, too, must stay."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Limits:
    """What a worker may take.

    Attributes:
        seconds: for one object.
        jobs: objects before the worker is replaced.
        mebibytes: memory, with its children's. At half of it the worker is replaced after its object; at all of it
            the object fails. Watched on Linux alone; what a file's header claims is held against it everywhere.

    Raises:
        ViewmaskError: a limit that is not positive.
    """

    seconds: float = 600.0
    jobs: int = 500
    mebibytes: int = MEBIBYTES

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.jobs < 1 or self.mebibytes < 1:
            raise ViewmaskError("a worker's limits (seconds, objects, MiB) must be positive")


def check_light(light: str) -> None:
    """Raise ViewmaskError unless `light` is one of LIGHTS."""
    if light not in LIGHTS:
        raise ViewmaskError(f"light must be one of {', '.join(LIGHTS)}, not {light!r}")
