"""An order: views to make, or a part of some to make anew; and the command that makes the same files."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, get_args

from viewmask.errors import ViewmaskError
from viewmask.model.sampling import DRAWS, FROM_IMAGE, FROM_TEXT, MASK_SCHEDULES, SPEED, Sampling, Speed, at_speed

LONGEST = 500  # characters of a sentence
LIMITS = {"seed": (0, 2**53 - 1), "draws": (1, 16), "steps": (1, 200)}  # a browser's numbers end at 2^53
VIEWS = (4, 8)
_SWITCHES = ("everywhere", "mesh")
_TYPES: dict[str, Any] = {
    "text": str, "picture": str, "speed": str, "steps": int | None, "schedule": str | None,
    "guidance": int | float | None,
}  # fmt: skip


@dataclass(frozen=True)
class Order:
    """What to make, as `viewmask generate` takes it.

    Attributes:
        text: the sentence; with a picture, what it shows.
        picture: the id of a picture that was sent before, or "".
        seed, draws, views, speed: as the command's options.
        steps, schedule, guidance: None takes what the speed has.

    Raises:
        ViewmaskError: a value out of its bounds, or neither sentence nor picture.
    """

    text: str = ""
    picture: str = ""
    seed: int = 0
    draws: int = DRAWS
    views: int = 4
    speed: Speed = SPEED
    steps: int | None = None
    schedule: str | None = None
    guidance: float | None = None

    def __post_init__(self) -> None:
        if not self.text.strip() and not self.picture:
            raise ViewmaskError("say what to show, or give a picture")
        _check(self.text, self.guidance, {name: getattr(self, name) for name in LIMITS})
        if self.views not in VIEWS:
            raise ViewmaskError("4 or 8 views can be made here")
        if self.speed not in get_args(Speed):
            raise ViewmaskError(f"there is no such speed: choose {' or '.join(get_args(Speed))}")
        if self.schedule is not None and self.schedule not in MASK_SCHEDULES:
            raise ViewmaskError(f"there is no such schedule: choose {', '.join(MASK_SCHEDULES)}")

    @classmethod
    def of_record(cls, record: Any) -> Order:
        """The order of a parsed JSON object; what is left out is as usual.

        Raises:
            ViewmaskError: unknown names, values of another type, or as above.
        """
        return cls(**_checked(record, {field.name for field in fields(cls)}))

    @property
    def settings(self) -> Sampling:
        """How it is sampled."""
        chosen = {"steps": self.steps, "schedule": self.schedule, "guidance": self.guidance}
        return at_speed(FROM_IMAGE if self.picture else FROM_TEXT, self.speed, **chosen)

    def words(self, image: str = "", cutout: str = "auto") -> list[str]:
        """The words of the command that makes the same files.

        Args:
            image: the picture's file.
            cutout: what tells its object.
        """
        words = ["viewmask", "generate"]
        if image:
            words += ["--image", image]
            words += ["--cutout", cutout] if cutout != "auto" else []
        if self.text.strip():
            words += ["--text", self.text]
        for name in ("views", "speed", "steps", "schedule", "guidance", "draws"):
            value = getattr(self, name)
            if value != getattr(Order, name) and not (image and name == "draws"):
                words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
        return [*words, "--seed", str(self.seed), "--mesh"]


@dataclass(frozen=True)
class Edit:
    """A region of views that are there, to be made anew as `viewmask edit` does it.

    Attributes:
        text: the whole object in words, as it shall be; without it the views alone tell.
        views: how many there are.
        view: the one that the region is painted on.
        everywhere: its place in the other views is made anew, too.
        mesh: make the mesh of them, too.
        seed, guidance: as the command's options.

    Raises:
        ViewmaskError: a value out of its bounds.
    """

    text: str = ""
    views: int = 4
    view: int = 0
    everywhere: bool = True
    mesh: bool = True
    seed: int = 0
    guidance: float | None = None

    def __post_init__(self) -> None:
        _check(self.text, self.guidance, {"seed": self.seed})
        if not 0 <= self.view < self.views:
            raise ViewmaskError(f"there is no view {self.view}")

    @classmethod
    def of_record(cls, record: Any, views: int) -> Edit:
        """The edit of a parsed JSON object, of so many views.

        Raises:
            ViewmaskError: unknown names, values of another type, or as above.
        """
        return cls(**_checked(record, {field.name for field in fields(cls)} - {"views"}), views=views)

    @property
    def settings(self) -> Sampling:
        """How it is sampled."""
        return at_speed(FROM_TEXT if self.text else FROM_IMAGE, "exact", guidance=self.guidance)

    def words(self, folder: str, region: str, out: str = "") -> list[str]:
        """The words of the command that makes the same files.

        Args:
            folder: of the views.
            region: the mask's file.
            out: the folder to write, if its usual name is another's.
        """
        words = ["viewmask", "edit", folder, "--region", region]
        if self.view or not self.everywhere:
            words += ["--view", str(self.view)] + ["--everywhere"] * self.everywhere
        words += ["--text", self.text] if self.text else []
        words += ["--guidance", f"{self.guidance:g}"] if self.guidance is not None else []
        words += ["--out", out] if out else []
        return [*words, "--seed", str(self.seed), *["--mesh"] * self.mesh]


def _check(text: str, guidance: float | None, numbers: dict[str, int | None]) -> None:
    """What both kinds of orders forbid."""
    if len(text) > LONGEST:
        raise ViewmaskError(f"the sentence is too long: at most {LONGEST} characters")
    if not text.isprintable():
        raise ViewmaskError("the sentence must be one line of plain text")
    for name, value in numbers.items():
        low, high = LIMITS[name]
        if value is not None and not low <= value <= high:
            raise ViewmaskError(f"{name} must lie between {low} and {high}")
    if guidance is not None and not 0 <= guidance <= 20:
        raise ViewmaskError("guidance must lie between 0 and 20")


def _checked(record: Any, names: set[str]) -> dict[str, Any]:
    """A parsed JSON object that holds nothing but these names, and values of their types."""
    if not isinstance(record, dict) or record.keys() - names:
        raise ViewmaskError("this is no order: reload the page")
    for name, value in record.items():
        if isinstance(value, bool) != (name in _SWITCHES) or not isinstance(value, _TYPES.get(name, int)):
            raise ViewmaskError(f"{name} has no sensible value")
    return record
