"""The inventory: what the library promises by name is there, says what it is, and is tested.

A name is tested by values if a test function mentions it and compares numbers. It mentions it in
its own name, in its body or decorators, or in a table of its module (a constant) that these name;
not by way of a fixture. It compares numbers by `approx` or one of numpy's assertions, or asserts a
comparison with a number. Contracts do not count: they say that a model runs, not that it is right.
"""

import ast
import functools
import re
from pathlib import Path

import pytest

import distdyn as dd
from distdyn.zoo import CLASSES, by_name

TESTS = Path(__file__).parents[1]
ROOMS = ("analysis", "core", "models", "run", "validation", "zoo")

CELLS = """
IF LIF QIF ExpIF AdEx AdQIF Izhikevich GIF ALIF LIF_SFA LeakyIntegrator HodgkinHuxley MorrisLecar
WangBuzsaki HindmarshRose FitzHughNagumo PinskyRinzel FractionalFHR FractionalIzhikevich
""".split()
RATES = """
Kuramoto StuartLandau FeedbackFHN ThresholdLinear WilsonCowan QIFMeanField JansenRit WongWang
ReducedWongWang ReducedWongWangEI BalloonWindkessel
""".split()
CHANNELS = """
INa_HH1952 INa_TM1991 INa_Ba2002 IK_HH1952 IK_TM1991 IKDR_Ba2002 IKA1_HM1992 IKA2_HM1992
IKK2A_HM1992 IKK2B_HM1992 IKNI_Ya1989 ICaN_IS2008 ICaT_HM1992 ICaT_HP1992 ICaHT_HM1992 ICaHT_Re1993
ICaL_IS2008 Ih_HM1992 Ih_De1996 IAHP_De1994 ILeak IKLeak Conductance
""".split()
IONS = "CalciumFixed CalciumFirstOrder CalciumDetailed SodiumFixed PotassiumFixed nernst".split()
INTEGRATORS = """
Euler Midpoint Heun Ralston RK2 RK3 Heun3 Ralston3 SSPRK3 RK4 Ralston4 RK38
HeunEuler RKF12 BogackiShampine CashKarp RKF45 DormandPrince
ExpEuler BackwardEuler CrankNicolson Exact
EulerMaruyama Milstein StochasticHeun SRK1W1 SRK2W1 KlPl ExpEulerMaruyama TamedEuler
Delayed CaputoL1 CaputoEuler GrunwaldLetnikov integrate
""".split()
NETWORKS = """
coba cuba brunel microcircuit hpc_benchmark cobahh gamma thalamus decision whole_brain
joglekar cann ei_oscillation
""".split()
COUPLINGS = """
NMDA AMPA GABAa GABAb MgBlock Additive Diffusive GapJunction Graded Sine Divisive
""".split()
PLASTICITY = "STDP PowerLawSTDP TripletSTDP Clopath RewardSTDP Scaling TsodyksMarkram".split()
SIGNALS = "Steps Sampled Section Pulses Ramp Sinusoid Square OU Wiener WhiteNoise trains".split()
MEASURES = """
rates instantaneous_rate population_rate fano_factor counts trains intervals cv cv2 lv lvr
count_correlation cross_correlation tiling_coefficient spike_contrast chi voltage_fluctuation
van_rossum victor_purpura lfp_of_currents lfp_of_spikes lfp_of_rates eeg bold
functional_connectivity connectivity_dynamics matrix_correlation power coherence
""".split()
NAMES = [*CELLS, *RATES, *CHANNELS, *IONS, *INTEGRATORS, *COUPLINGS, *PLASTICITY]

COMPARING = {"approx", "assert_allclose", "assert_array_equal", "assert_array_less", "close"}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_there_and_says_what_it_is(name):
    assert hasattr(dd, name), f"distdyn has no {name}"
    found = dd.describe(getattr(dd, name))
    assert found.name == name and found.summary
    if name in CELLS + RATES + CHANNELS + COUPLINGS:
        is_general = name == "Conductance" or name.endswith("Leak")
        assert is_general or found.source, f"{name} has no source"
        says_how = found.equations or " = " in found.summary or "As `" in found.text
        assert says_how, f"{name} shows no equations"
        for parameter in found.parameters:
            assert parameter.doc or parameter.name == "members", f"{name}.{parameter.name}"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_is_there(name):
    assert name in CLASSES
    assert by_name(name).__doc__


@pytest.mark.parametrize(
    "name", [f"inputs.{x}" for x in SIGNALS] + [f"measure.{x}" for x in MEASURES]
)
def test_the_toolbox_has_it(name):
    room, _, last = name.partition(".")
    tool = getattr(getattr(dd, room), last)
    assert dd.describe(tool).summary
    assert proofs_of(last), f"no test under {', '.join(ROOMS)} compares numbers of {name}"


@pytest.mark.parametrize("name", [*NAMES, *NETWORKS])
def test_it_is_tested_by_values(name):
    assert proofs_of(name), f"no test under {', '.join(ROOMS)} compares numbers of {name}"


def proofs_of(name: str) -> list[str]:
    """The tests that mention the name and compare numbers."""
    return [test for test, words in _tests().items() if name in words]


@functools.cache
def _tests() -> dict[str, set[str]]:
    """Of every test that compares numbers, what it mentions."""
    found = {}
    for room in ROOMS:
        for path in (TESTS / room).glob("test_*.py"):
            if path != Path(__file__):
                tree = ast.parse(path.read_text())
                found |= {f"{path.stem}.{k}": words for k, words in _tests_in(tree).items()}
    return found


def _tests_in(tree: ast.Module) -> dict[str, set[str]]:
    tables = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {
        name: _mentioned(node, tables) | set(re.split(r"_(?=[a-z])", name.removeprefix("test_")))
        for name, node in functions.items()
        if name.startswith("test_") and _compares(node, functions)
    }


def _mentioned(node: ast.AST, tables: dict[str, ast.expr], seen: frozenset = frozenset()) -> set:
    """Names, attributes and strings in a piece of code, and in the tables that it names."""
    words = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute):
            words.add(inner.attr)
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            words.add(inner.value)
        elif isinstance(inner, ast.Name):
            words.add(inner.id)
            if inner.id in tables and inner.id not in seen:
                words |= _mentioned(tables[inner.id], tables, seen | {inner.id})
    return words


def _compares(node: ast.AST, functions: dict[str, ast.FunctionDef], depth: int = 2) -> bool:
    """Whether a function, or one of its module that it calls, compares numbers."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call):
            called = inner.func.attr if isinstance(inner.func, ast.Attribute) else None
            called = inner.func.id if isinstance(inner.func, ast.Name) else called
            if called in COMPARING:
                return True
            if depth and called in functions and _compares(functions[called], {}, depth - 1):
                return True
        elif isinstance(inner, ast.Assert):
            compared = [x for x in ast.walk(inner.test) if isinstance(x, ast.Compare)]
            parts = [part for comparison in compared for part in ast.walk(comparison)]
            if any(isinstance(x, ast.Constant) and type(x.value) is float for x in parts):
                return True
    return False


@pytest.mark.parametrize(
    "source, mentions",
    [
        ("def test_a():\n    assert dd.AdEx", False),
        ("def test_a():\n    assert run(dd.AdEx) is not None", False),
        ("def test_a():\n    assert run(dd.AdEx) < 3.0", True),
        ("def test_AdEx_spikes(times):\n    assert times == approx(3)", True),
        ("T = {'AdEx': 1}\n@parametrize(T)\ndef test_a(x):\n    assert_allclose(x, 3)", True),
        ("T = {'AdEx': 1}\ndef test_a(x):\n    assert_allclose(x, 3)", False),
        ("def run():\n    return dd.AdEx\ndef test_a(run):\n    assert_allclose(run, 3)", False),
        ("def check(x):\n    assert_allclose(x, 3)\ndef test_a():\n    check(dd.AdEx)", True),
    ],
)
def test_the_rule_sees_what_it_should(source, mentions):
    assert any("AdEx" in words for words in _tests_in(ast.parse(source)).values()) == mentions
