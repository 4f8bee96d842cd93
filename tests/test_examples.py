"""The examples: each runs as it is, small in seconds, draws its picture, says what it reached."""

import re
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from matplotlib.image import imread

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))

Bounds = list[tuple[float, float]]


class Reached(NamedTuple):
    said: str  # what it prints, a group for each figure
    quick: Bounds  # of these figures: that it learns at all
    full: Bounds  # what the page says, or a little less


REACHED = {
    "bifurcations": Reached(
        r"class 1 fires from ([\d.]+) \(SNIC\).*; class 2 fires from ([\d.]+) \(LPC\)",
        [(39.95, 39.97), (88.28, 88.30)],
        [(39.95, 39.97), (88.28, 88.30)],
    ),
    "bursting": Reached(
        r"rest ends at z = ([\d.]+) \(LP\), firing at z = ([\d.]+) \(HOM\).* (\d+)% of",
        [(1.8148, 1.8149), (2.085, 2.086), (50, 70)],
        [(1.8148, 1.8149), (2.0855, 2.0857), (58, 60)],
    ),
    "classifier": Reached(r"([\d.]+)% of 1000 new points right", [(60, 100)], [(95, 100)]),
    "conductances": Reached(
        r"H.INa.g ([\d.]+) \(120\), H.IK.g ([\d.]+) \(36\), H.IL.g ([\d.]+) \(0.3\)",
        [(100, 140), (30, 42), (0.2, 0.4)],
        [(118, 122), (35.5, 36.5), (0.295, 0.305)],
    ),
    "flip_flop": Reached(
        r"(\d+) stable points, at (\d+) of \d+ corners, within ([\d.]+); (\d+) saddles",
        [(4, 4), (4, 4), (0, 0.1), (1, 5)],
        [(8, 8), (8, 8), (0, 0.1), (12, 19)],
    ),
    "decision": Reached(
        r"(\d) stable states without .*, (\d) with one; .* at ([\d.]+) Hz; .* of ([\d.]+) %",
        [(3, 3), (2, 2), (10.67, 10.68), (68.46, 68.48)],
        [(3, 3), (2, 2), (10.67, 10.68), (68.46, 68.48)],
    ),
    "force": Reached(
        r"mean error ([\d.]+)% .* learns, ([\d.]+)% in [\d.]+ s alone",
        [(0, 6), (0, 200)],
        [(0, 1), (0, 3)],
    ),
    "forecast": Reached(
        r"error ([\d.]+)% over one Lyapunov time .*, below 40 % for ([\d.]+)",
        [(0, 1), (2, 4)],
        [(0, 0.5), (3, 12)],
    ),
    "hodgkin_huxley": Reached(
        r"stable up to ([\d.]+), cycles are there from ([\d.]+); of two .* (\d) ends in firing",
        [(9.7796, 9.7797), (6.259, 6.269), (1, 1)],
        [(9.7796, 9.7797), (6.259, 6.269), (1, 1)],
    ),
    "memory": Reached(r"([\d.]+)% of \d+ new trials right", [(60, 100)], [(90, 100)]),
    "ring": Reached(
        r"one ring of (\d+) points; the largest eigenvalue is (\S+), .* within (\S+);",
        [(48, 48), (0, 1e-13), (0, 1e-6)],
        [(48, 48), (0, 1e-13), (0, 1e-6)],
    ),
}


def figures(name: str, out: Path, capsys, monkeypatch, *arguments: str) -> list[float]:
    """What an example prints; its picture is looked at."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments, "--out", str(out)])
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    found = re.search(REACHED[name].said, said)
    assert found, said
    picture = imread(out)  # float[y, x, colour]
    assert picture.shape[0] >= 300 and picture.shape[1] >= 800
    assert 0.5 < picture.mean() < 1 and picture.min() < 0.2  # lines on white
    return [float(figure) for figure in found.groups()]


def assert_within(found: list[float], bounds: Bounds) -> None:
    assert all(low <= x <= high for x, (low, high) in zip(found, bounds, strict=True)), found


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_quickly(name, tmp_path, capsys, monkeypatch):
    found = figures(name, tmp_path / "picture.png", capsys, monkeypatch, "--quick")
    assert_within(found, REACHED[name].quick)


@pytest.mark.slow  # the longest takes five minutes
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_reaches_what_the_page_says(name, tmp_path, capsys, monkeypatch):
    found = figures(name, tmp_path / "picture.png", capsys, monkeypatch)
    assert_within(found, REACHED[name].full)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_shown_with_its_picture(name):
    page = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    assert f"examples/{name}.py" in page and f"({name}.png)" in page
    assert (ROOT / "docs" / f"{name}.png").stat().st_size < 120_000
