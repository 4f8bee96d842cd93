"""Analysis over ranks and devices: who does what changes nothing, and what fails, fails on all."""

import json

import pytest

pytestmark = pytest.mark.mpi

ANSWERS = """
import hashlib, json, sys, tempfile, time
from pathlib import Path
import numpy as np
import distdyn as dd
from distdyn.analysis.field import VectorField
from distdyn.parallel.launch import world
from distdyn.run.store import read_arrays
from tests.analysis.families import analyzer, morris_lecar
from tests.analysis.systems import large_wells, wells, wong_wang

devices, place = int(sys.argv[1]), Path(tempfile.mkdtemp())

def digest(answer):
    answer.save(place / "a.h5")
    arrays, attributes = read_arrays(place / "a.h5")
    text = [(name, str(a.dtype), a.shape, a.tobytes().hex()) for name, a in sorted(arrays.items())]
    return hashlib.sha256(repr((text, str(sorted(attributes.items())))).encode()).hexdigest()

def turned(s, p):                                  # Bogdanov-Takens
    return {"x": s["y"], "y": p["a"] + p["b"] * s["x"] + s["x"] ** 2 - s["x"] * s["y"]}

U = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0][:2]
keeps = VectorField(lambda s, p: {"x": U.T @ (U @ s["x"]) - s["x"]}, {"x": np.zeros(20)}, {})
fhn, ml = dd.DSAnalyzer(dd.FitzHughNagumo()), analyzer(morris_lecar, {"V": -60, "w": 0}, I=0, V3=2)
points, large = dd.DSAnalyzer(wells(12)[0]), dd.DSAnalyzer(large_wells(320, 1)[0])
few = {"devices": devices}
choice = dd.DSAnalyzer(wong_wang(20.0)).slice(("S1", "S2"))
curves = analyzer(turned, {"x": -1.0, "y": 0.0}, a=-1.0, b=-0.5)
states = np.random.default_rng(1).normal(size=(30, 20))
asked = {
    "fixed": lambda: points.fixed_points({"x": (-2.0, 2.0)}, n_starts=1100, **few),
    "moved": lambda: fhn.fixed_points({"V": (-3, 3), "w": (-3, 3)}, parameters={"I_e": 0.5}),
    "large": lambda: large.fixed_points({"x": (-2.0, 2.0)}, n_starts=24, **few),
    "slow": lambda: dd.DSAnalyzer(keeps).slow_points(states, **few),
    "plane": lambda: choice.phase_plane(box={"S1": (0.0, 1.0), "S2": (0.0, 1.0)}, **few),
    "fhn": lambda: fhn.continuation("I_e", (0.0, 2.0)),
    "ml": lambda: ml.continuation("I", (0.0, 250.0)),
    "curves": lambda: curves.continuation2(("a", (-2.0, 2.0)), ("b", (-2.0, 2.0))),
    "cycles": lambda: fhn.limit_cycles("I_e", (0.3, 0.36)),
    "exponents": lambda: fhn.lyapunov_spectrum(20.0),
}
if len(sys.argv) > 2:
    asked = {name: asked[name] for name in sys.argv[2].split(",")}
found = {}
for name, question in asked.items():
    began = time.perf_counter()
    found[name] = digest(question())
    if world().rank == 0:
        print(f"{name} {time.perf_counter() - began:.2f} s", file=sys.stderr)
sys.stdout.write(json.dumps(found) + "\\n")
assert ("mpi4py.MPI" in sys.modules) == (world().size > 1)
"""


def answers(ranks, n, devices, *names):
    # A launcher that binds ranks to cores changes how many threads LAPACK adds large sums with.
    env = {"JAX_NUM_CPU_DEVICES": str(devices), "OPENBLAS_NUM_THREADS": "1"}
    ended = ranks(n, ANSWERS, str(devices), *names, env=env, limit=300.0)
    print(ended.err)
    return [json.loads(line) for line in ended.out.splitlines()]


def test_ranks_and_devices_change_nothing(ranks):
    (alone,) = answers(ranks, None, 1)
    assert len(set(alone.values())) == len(alone) == 10
    assert answers(ranks, 2, 2) == [alone, alone]


@pytest.mark.slow
def test_more_ranks_and_devices_change_nothing(ranks):
    (alone,) = answers(ranks, None, 1)
    assert answers(ranks, 3, 1) == [alone] * 3
    searched = {name: alone[name] for name in ("fixed", "large", "slow", "plane")}
    assert answers(ranks, None, 4, ",".join(searched)) == [searched]


DIFFERENT = """
import sys
import distdyn as dd
from distdyn.parallel.launch import world
rank = world().rank
one, other = (dd.DSAnalyzer(dd.FitzHughNagumo(a=a)) for a in (0.7, 0.7 + 0.1 * rank))
for question in (
    lambda: other.continuation("I_e", (0.0, 1.0)),
    lambda: one.continuation("I_e", (0.0, 1.0 + rank)),
    lambda: one.lyapunov_spectrum(10.0) if rank else one.continuation("I_e", (0.0, 1.0)),
):
    try:
        question()
    except dd.DistDynError as error:
        sys.stdout.write(f"{type(error).__name__}: {error}\\n")
"""


def test_different_questions_are_an_error_on_all_ranks(ranks):
    lines = sorted(ranks(2, DIFFERENT).out.splitlines())
    assert len(lines) == 6
    for name in ("arguments", "parameters of the model", "question"):
        text = f'AgreementError: the ranks of this job differ in "{name}"'
        assert sum(line.startswith(text) for line in lines) == 2


FAILING = """
import sys
import numpy as np
import jax.numpy as jnp
import distdyn as dd
from distdyn.analysis.field import VectorField
from distdyn.parallel.launch import world

traced = [0]
def F(s, p):
    traced[0] += 1
    if world().rank == 1 and traced[0] > int(sys.argv[1]):
        raise ValueError("the field of rank 1 is broken")
    x = s["x"]
    return {"x": p.get("a", 0.1) - x**2, "y": -s["y"]}

an = dd.DSAnalyzer(VectorField(F, {"x": np.array(1.0), "y": np.array(0.0)}, {"a": np.array(0.1)}))
try:
    if sys.argv[2] == "points":
        an.fixed_points({"x": (-2.0, 2.0), "y": (-2.0, 2.0)})
    else:
        an.continuation("a", (-1.0, 1.0))
except ValueError as error:
    sys.stdout.write(f"{error}\\n")
    raise
"""


@pytest.mark.parametrize("after, question", [(0, "points"), (1, "branches")])
def test_a_field_that_fails_on_one_rank_ends_all(after, question, ranks):
    ended = ranks(2, FAILING, str(after), question, ok=False, limit=100.0)
    assert ended.code == 1 and ended.out == 2 * "the field of rank 1 is broken\n"
    assert ended.err.count("Traceback") == 1, "who saw it first tells it"


def test_the_command_is_answered_once(ranks):
    words = ["-m", "distdyn", "analyze", "FitzHughNagumo", "--lyapunov", "5", "--quiet", "--json"]
    (line,) = ranks(2, words).out.splitlines()
    found = json.loads(line)
    assert found["ranks"] == 2 and len(found["lyapunov"]["exponents"]) == 2
