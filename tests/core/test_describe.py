"""describe: what a model says of itself, as text, for a page and on the command line."""

from pathlib import Path
from typing import NamedTuple

import jax
import pytest

import distdyn as dd
from distdyn import catalogue
from distdyn.cli import main
from distdyn.core.describe import describe
from distdyn.errors import ParameterError
from distdyn.zoo import by_name

ROOT = Path(__file__).parents[2]


def test_a_cell_says_equations_parameters_state_and_source():
    said = dd.describe(dd.AdEx)
    assert (said.name, said.summary[:8]) == ("AdEx", "Adaptive")
    assert said.equations[1] == "tau_w w' = a (V - E_L) - w"
    assert said.parameters[0] == ("C_m", "281", "pF", "membrane capacitance")
    assert said.state == (("V", "", "mV", ""), ("w", "", "pA", "adaptation"))
    assert said.source == "Brette & Gerstner (2005), J. Neurophysiol. 94, 3637."
    text = str(said)
    assert "    C_m V' = g_L (E_L - V)" in text
    assert "  E_L      -70.6  mV  resting potential" in text.splitlines()
    assert max(map(len, text.splitlines())) <= 100


def test_an_instance_says_its_own_values():
    said = dd.describe(dd.LIF(tau_m=12.5, E_L=dd.Normal(0, 1)))
    values = {parameter.name: parameter.value for parameter in said.parameters}
    assert values["tau_m"] == "12.5" and values["E_L"].startswith("Normal(")


def test_a_composed_cell_says_what_is_in_it():
    cell = dd.Conductance(INa=dd.INa_HH1952(g=100.0), IL=dd.ILeak())
    said = dd.describe(cell)
    assert ("INa.g", "100", "mS/cm2", "maximal conductance") in said.parameters
    assert [variable.name for variable in said.state] == ["V", "INa.m", "INa.h"]


@pytest.mark.parametrize(
    "what, words",
    [
        (dd.Exponential(tau=3.0), ["g' = -g / tau", "tau  3  ms", "decay time constant"]),
        (dd.COBA, ["I = g (E - V)", "reversal potential"]),
        (dd.Poisson, ["Independent Poisson spike trains", "rate  10  Hz"]),
        (dd.ExpEuler, ["g(t + dt) = exp(K dt) g", "Order 1"]),
        (dd.RK4, ["order 4", "Source: Kutta (1901)"]),
        (by_name("gamma"), ["M_syn    100   mean number of synapses onto a cell"]),
    ],
)
def test_whatever_has_a_docstring_can_be_described(what, words):
    text = str(describe(what))
    for word in words:
        assert word in text


class Own(dd.ODE):
    """A user's own model.

        V' = -a V | *fast*

    Of mine, with a_b.
    """

    a: float = 0.7

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=-self.a * s.V)


def test_a_users_own_model_in_a_notebook():
    shown = dd.describe(Own())._repr_markdown_()
    assert shown.startswith("### Own\n\nA user's own model.\n\n```text\nV' = -a V | *fast*\n```\n")
    assert "| `a` | 0.7 |  |  |" in shown
    assert "Of mine, with a\\_b." in shown and "State: `V`." in shown


@pytest.mark.parametrize("what", [3, "AdEx", None])
def test_what_says_nothing_is_refused(what):
    with pytest.raises(ParameterError, match="Give a model or its class"):
        dd.describe(what)


def test_the_page_of_models_is_up_to_date():
    written = (ROOT / "docs" / "models.md").read_text()
    cure = "run: python -m distdyn describe --markdown > docs/models.md"
    assert written == catalogue.page(), cure


def test_the_command(capsys):
    assert main(["describe", "AdEx"]) == 0
    assert capsys.readouterr().out == f"{dd.describe(dd.AdEx)}\n"
    assert main(["describe", "coba", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("### COBA\n")
    assert main(["describe"]) == 0
    assert "adaptive: ALIF, AdEx, AdQIF, GIF" in capsys.readouterr().out
    assert main(["describe", "Adex"]) == 2
    assert 'no "Adex". Did you mean "AdEx"?' in capsys.readouterr().err


def test_the_command_describes_a_model_of_a_file(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text('import distdyn as dd\nclass Mine(dd.LIF):\n    """My own cell."""\n')
    assert main(["describe", f"{file}:Mine"]) == 0
    assert capsys.readouterr().out.startswith("Mine: My own cell.")


def test_an_integrator_says_what_it_takes():
    """Also what its family has in common, and what is static; a | does not end a table's cell."""
    memory, implicit, _ = dd.describe(dd.CaputoL1(memory=50.0)).parameters
    assert (memory.name, memory.value) == ("memory", "50") and "kept" in memory.doc
    assert (implicit.name, implicit.value) == ("implicit", "False")
    assert [p.name for p in dd.describe(dd.RungeKutta).parameters] == ["a", "b", "c", "lower"]
    assert "order" in [p.name for p in dd.describe(dd.AdEx(order=0.9)).parameters]
    assert "|x''|".replace("|", chr(92) + "|") in dd.describe(dd.Delayed).markdown()
