"""The 3D-FUTURE bench: furniture as its release lays it out; the category stands in for a caption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from eval.benches.bench import Bench, Subject, digest, drawn, rendered_words
from viewmask.errors import ViewmaskError

if TYPE_CHECKING:
    from render.settings import Light
    from render.surface import Surface

MODEL_INFO = "model_info.json"
MESHES = ("normalized_model.obj", "raw_model.obj")  # the first one there is taken
LAYOUT = (
    f"{MODEL_INFO} and <model_id>/normalized_model.obj with its texture, as 3D-FUTURE-model ships them "
    "(tianchi.aliyun.com/specials/promotion/alibaba-3d-future, free for research)"
)


def holds(folder: Path) -> bool:
    """Whether the bench lies in a folder."""
    return (folder / MODEL_INFO).is_file()


def open_future(folder: Path, light: Light) -> Bench:
    """Open the bench over the release's folder.

    Raises:
        ViewmaskError: its list is unreadable, or none of its models is there.
    """
    categories = _categories(folder / MODEL_INFO)
    places = {name: [folder / name / file for file in MESHES] for name in sorted(categories)}
    meshes = {name: next((file for file in files if file.is_file()), None) for name, files in places.items()}
    subjects = [_subject(name, mesh, categories[name], light) for name, mesh in meshes.items() if mesh is not None]
    if not subjects:
        raise ViewmaskError(
            f"{folder} lists {len(categories)} models but holds none: put <model_id>/normalized_model.obj there"
        )
    absent = len(categories) - len(subjects)
    notes = (f"{absent} of the {len(categories)} models that {MODEL_INFO} lists are not there",) if absent else ()
    return Bench("3d-future", f"3D-FUTURE, {len(subjects)} models", rendered_words(light), subjects, notes)


def _categories(path: Path) -> dict[str, str]:
    """Each model's category, in lower case."""
    try:
        records = {str(record["model_id"]): record for record in json.loads(path.read_text())}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ViewmaskError(f"cannot read {path} ({error!r}): fetch it again") from error
    return {
        name: str(record.get("category") or record.get("super-category") or "").lower()
        for name, record in records.items()
    }


def _subject(name: str, mesh: Path, category: str, light: Light) -> Subject:
    def surface() -> Surface:
        from render.surface import Surface

        return Surface.load(mesh)

    files = sorted(file for file in mesh.parent.iterdir() if file.is_file())  # the texture and its MTL too
    return drawn(name, digest(*files), surface, light, category)
