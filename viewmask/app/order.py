"""An order: what somebody asks the page for, and the command that makes the same files."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from viewmask.errors import ViewmaskError
from viewmask.model.sampling import DRAWS, MASK_SCHEDULES, Sampling

LONGEST = 500  # characters of a sentence
LIMITS = {"seed": (0, 2**53 - 1), "draws": (1, 16), "steps": (1, 200)}  # a browser's numbers end at 2^53
VIEWS = (4, 8)


@dataclass(frozen=True)
class Order:
    """What to make, as `viewmask generate` takes it.

    Attributes:
        text: the sentence; with a picture, what it shows.
        picture: the id of a picture that was sent before, or "".
        seed, draws, views, steps, schedule: as the command's options.
        guidance: None takes what is best for the weights.

    Raises:
        ViewmaskError: a value out of its bounds, or neither sentence nor picture.
    """

    text: str = ""
    picture: str = ""
    seed: int = 0
    draws: int = DRAWS
    views: int = 4
    steps: int = Sampling.steps
    schedule: str = Sampling.schedule
    guidance: float | None = None

    def __post_init__(self) -> None:
        if not self.text.strip() and not self.picture:
            raise ViewmaskError("say what to show, or give a picture")
        if len(self.text) > LONGEST:
            raise ViewmaskError(f"the sentence is too long: at most {LONGEST} characters")
        if not self.text.isprintable():
            raise ViewmaskError("the sentence must be one line of plain text")
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(self, name) <= high:
                raise ViewmaskError(f"{name} must lie between {low} and {high}")
        if self.views not in VIEWS:
            raise ViewmaskError("4 or 8 views can be made here")
        if self.schedule not in MASK_SCHEDULES:
            raise ViewmaskError(f"there is no such schedule: choose {', '.join(MASK_SCHEDULES)}")
        if self.guidance is not None and not 0 <= self.guidance <= 20:
            raise ViewmaskError("guidance must lie between 0 and 20")

    @classmethod
    def of_record(cls, record: Any) -> Order:
        """The order of a parsed JSON object; what is left out is as usual.

        Raises:
            ViewmaskError: unknown names, values of another type, or as above.
        """
        types = {"text": str, "picture": str, "schedule": str, "guidance": int | float | None}
        if not isinstance(record, dict) or record.keys() - {field.name for field in fields(cls)}:
            raise ViewmaskError("this is no order: reload the page")
        for name, value in record.items():
            if isinstance(value, bool) or not isinstance(value, types.get(name, int)):
                raise ViewmaskError(f"{name} has no sensible value")
        return cls(**record)

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
        for name in ("views", "steps", "schedule", "guidance", "draws"):
            value = getattr(self, name)
            if value != getattr(Order, name) and not (image and name == "draws"):
                words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
        return [*words, "--seed", str(self.seed), "--mesh"]
