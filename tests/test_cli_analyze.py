"""`distdyn analyze`: questions to a model from the command line, and questions that are wrong."""

import json
import sys

import numpy as np
import pytest

from distdyn.cli import main
from distdyn.run.store import read_arrays

MODEL = """
from typing import NamedTuple
import distdyn as dd


class Pair(dd.ODE):
    c: float = 0.25
    a: float = 0.0

    class State(NamedTuple):
        x: float
        y: float

    def init(self, id, key):
        return self.State(1.0, 0.0)

    def derivative(self, t, s, drive):
        return self.State(self.c + self.a * s.x - s.x**3 * (self.a > -9) - s.x * s.y, -s.y)


def steep(c=1.0):
    return Pair(c=c, a=3.0)
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """An empty directory with a model in a file."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").write_text(MODEL)
    yield
    sys.modules.pop("my_model", None)


def answer(capsys, *words):
    """The JSON of a command, its last line."""
    assert main(["analyze", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_continuation_and_cycles_are_told_drawn_and_kept(capsys, tmp_path):
    found = answer(
        capsys, "FitzHughNagumo", "--continuation", "I_e=0.3:0.36", "--limit-cycles", "--plot",
        "a.png", "--out", "a.h5",
    )  # fmt: skip
    (hopf,) = found["continuation"]["special"]
    assert hopf["kind"] == "H" and hopf["value"] == pytest.approx(0.3312813375, abs=1e-8)
    assert hopf["coefficients"]["l1"] == pytest.approx(0.971971, abs=1e-6)
    folds = [p["value"] for p in found["limit_cycles"]["special"] if p["kind"] == "LPC"]
    assert folds == [pytest.approx(0.324179, abs=1e-4)]
    assert (tmp_path / "a.png").stat().st_size > 1000
    arrays, about = read_arrays(tmp_path / "a.h5")
    assert about["kind"] == "branches" and arrays["0/values"][0] == 0.3
    assert read_arrays(tmp_path / "a.cycles.h5")[1]["kind"] == "limit cycles"


def test_fixed_points_of_a_model_and_of_a_function_in_a_file(capsys):
    box = ("--fixed-points", "x=-3:3", "y=-1:1", "--quiet")
    (point,) = answer(capsys, "my_model.py:Pair", *box, "--set", "c=8")["fixed_points"]
    assert point["state"]["x"] == pytest.approx(2.0) and point["stability"] == "stable node"
    assert sorted(point["eigenvalues"]) == [[pytest.approx(-12.0), 0.0], [-1.0, 0.0]]
    found = answer(capsys, "my_model.py:steep", *box)["fixed_points"]
    x = [point["state"]["x"] for point in found]
    np.testing.assert_allclose(x, np.sort(np.roots([-1.0, 0.0, 3.0, 1.0])), atol=1e-12)


def test_a_plane_is_printed_in_words(capsys):
    assert main(["analyze", "my_model.py:Pair", "--phase-plane", "x=-3:3", "--fixed", "y=0"]) == 0
    main(["analyze", "my_model.py:Pair", "--phase-plane", "x=-3:3", "y=-1:1", "--set", "c=8"])
    assert "x = 2, y = 0: stable node" in capsys.readouterr().out.replace("-0", "0")


def test_curves_of_two_parameters_and_exponents(capsys):
    found = answer(capsys, "my_model.py:steep", "--continuation", "c=-4:4", "a=-1:4")
    (cusp,) = found["continuation"]["special"]
    assert cusp["kind"] == "CP"
    np.testing.assert_allclose(cusp["value"], [0.0, 0.0], atol=1e-8)
    found = answer(capsys, "my_model.py:Pair", "--lyapunov", "50", "--set", "c=8")
    np.testing.assert_allclose(found["lyapunov"]["exponents"], [-1.0, -12.0], rtol=1e-4)


@pytest.mark.parametrize(
    "words, said",
    [
        (["FitzHugNagumo", "--lyapunov", "1"], 'Did you mean "FitzHughNagumo"'),
        (["FitzHughNagumo", "--fixed-points", "V"], "--fixed-points V is not understood"),
        (["FitzHughNagumo", "--fixed-points", "v=0:1"], 'no variable "v"'),
        (["FitzHughNagumo", "--continuation", "J=0:1"], 'no parameter "J"'),
        (["FitzHughNagumo", "--continuation", "I_e=1:0"], "it is reversed"),
        (["FitzHughNagumo", "--lyapunov", "1", "--limit-cycles"], "belongs to --continuation"),
        (["FitzHughNagumo", "--continuation", "I_e=0:1", "--start", "V=1"], "add --limit-cycles"),
        (["FitzHughNagumo", "--lyapunov", "1", "--start", "V"], "V is not understood"),
        (["FitzHughNagumo", "--lyapunov", "1", "--set", "k=1"], 'no argument "k"'),
        (["brunel", "--set", "n=100", "--lyapunov", "1"], "AnalysisError"),
        (["FitzHughNagumo", "--fixed-points", "V=0:1", "--plot", "no/a.png"], "no/a.png"),
    ],
)
def test_wrong_questions_are_said(words, said, capsys):
    assert main(["analyze", *words]) == 2
    assert said in capsys.readouterr().err


def test_one_question_at_a_time(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["analyze", "FitzHughNagumo", "--lyapunov", "1", "--continuation", "I_e=0:1"])
    assert ended.value.code == 2 and "not allowed with" in capsys.readouterr().err
