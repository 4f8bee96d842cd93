"""Integrators: their order, their exactness, and which one a model gets."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import distdyn as dd
from distdyn.core import Cell, Flow, Receptor
from distdyn.core.integrators import AbstractRungeKutta, default_method
from distdyn.core.integrators.implicit import eliminate
from distdyn.core.integrators.tableau import order_of
from distdyn.errors import ParameterError, SimulationError
from tests.core.equations import Coupled, Decay, FitzHughNagumo, Modulated, end, trajectory


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


METHODS = [
    # method, its order, N8: y' = -y after ten steps of 0.1, N9: y' = y cos t after twenty
    (dd.Euler(), 1, 0.3486784401, 2.5572488837503946),
    (dd.Midpoint(), 2, 0.3685409848335519, 2.483208074451846),
    (dd.Heun(), 2, 0.3685409848335519, 2.477799560853781),
    (dd.Ralston(), 2, 0.3685409848335519, 2.48141423637942),
    (dd.RK2(beta=1 / 4), 2, 0.3685409848335519, None),
    (dd.RK3(), 3, 0.3678628343472328, 2.482635858069217),
    (dd.Heun3(), 3, 0.3678628343472328, 2.482584489690279),
    (dd.Ralston3(), 3, 0.3678628343472328, None),
    (dd.SSPRK3(), 3, 0.3678628343472328, 2.4823177384421413),
    (dd.RK4(), 4, 0.36787977441249875, 2.4825766709515396),
    (dd.RK38(), 4, 0.36787977441249875, 2.4825781478456155),
    (dd.Ralston4(), 4, 0.36787977441249875, None),
    (dd.HeunEuler(), 2, 0.3685409848335519, 2.477799560853781),
    (dd.RKF12(), 2, None, None),
    (dd.BogackiShampine(), 3, 0.3678628343472328, None),
    (dd.RKF45(), 5, None, None),
    (dd.CashKarp(), 5, None, None),
    (dd.DormandPrince(), 5, None, None),
    (dd.ExpEuler(), 1, 0.36787944117144233, None),
    (dd.BackwardEuler(), 1, 0.38554328942953, None),
    (dd.CrankNicolson(), 2, 0.36757254238287, None),
]
NAMES = [type(method).__name__ for method, *_ in METHODS]
ALL_KINDS = "Ralston4", "DormandPrince", "ExpEuler", "BackwardEuler", "CrankNicolson"
EXPLICIT = [method for method, *_ in METHODS if isinstance(method, AbstractRungeKutta)]
EXACT = 2.482577728015001  # exp(sin 2)


def stability(tableau, z):
    """The factor by which one step multiplies y, where y' = y z / dt."""
    A = np.array([[*row, *[0.0] * (len(tableau.b) - len(row))] for row in tableau.a])
    return 1 + z * np.array(tableau.b) @ np.linalg.solve(np.eye(len(A)) - z * A, np.ones(len(A)))


@pytest.mark.parametrize("method, order, decayed, grown", METHODS, ids=NAMES)
def test_values_and_order(method, order, decayed, grown):
    """The tolerances are ten roundings; orders are those of the errors at N and 2 N steps."""
    if decayed is None:
        decayed = stability(method.tableau, -0.1) ** 10
    assert float(end(Decay(method=method), 10, 0.1).y) == pytest.approx(decayed, abs=1e-14)
    after = lambda n: float(end(Modulated(method=method), n, 2.0 / n).y)  # noqa: E731
    if grown is not None:
        assert after(20) == pytest.approx(grown, abs=1e-13)
    n = 40 if order == 5 else 80  # of order 5, 160 steps are at the rounding
    errors = [abs(after(n) - EXACT) for n in (n, 2 * n)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


@pytest.mark.slow
def test_exact_decay():
    assert float(end(Decay(method=dd.Exact()), 10, 0.1).y) == pytest.approx(np.exp(-1.0), abs=1e-14)


@pytest.mark.parametrize(
    "method, order",
    [
        pytest.param(method, order, id=name, marks=[] if name in ALL_KINDS else pytest.mark.slow)
        for name, (method, order, *_) in zip(NAMES, METHODS, strict=True)
    ],
)
def test_order_for_equations_that_are_coupled_and_nonlinear(method, order):
    """Which asks for more conditions of the coefficients than one equation does."""

    def derivative(t, y):
        V, w = y
        return [V - V**3 / 3 - w + 0.5, (V + 0.7 - 0.8 * w) / 12.5]

    options = {"method": "DOP853", "rtol": 1e-13, "atol": 1e-13}
    expected = solve_ivp(derivative, (0.0, 20.0), [-1.2, -0.6], **options).y[:, -1]
    found = [end(FitzHughNagumo(method=method), n, 20.0 / n) for n in (800, 1600)]
    errors = [np.abs(np.array(x) - expected).max() for x in found]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


# tableaus


@pytest.mark.parametrize("method", EXPLICIT, ids=lambda method: type(method).__name__)
def test_tableau_fulfils_the_conditions_of_its_order(method):
    """Those of Butcher, and of an embedded pair those of the lower order for its second result."""
    (order,) = (order for other, order, *_ in METHODS if other is method)
    assert method.tableau.order == order
    if method.tableau.lower is not None:
        assert order_of(method.tableau, method.tableau.lower) == order - 1


def test_schemes_of_two_stages_are_one_family():
    for beta, method in ((1 / 2, dd.Midpoint()), (2 / 3, dd.Ralston()), (1.0, dd.Heun())):
        assert dd.RK2(beta).tableau == method.tableau
    with pytest.raises(ParameterError, match="RK2: beta = 0"):
        dd.RK2(0)


def test_a_scheme_of_ones_own_is_one_like_others():
    """The scheme of Nystrom, of order 3."""
    own = dd.RungeKutta([[], [2 / 3], [0, 2 / 3]], [1 / 4, 3 / 8, 3 / 8])
    assert own.tableau.c == (0.0, 2 / 3, 2 / 3) and own.tableau.order == 3
    assert own == dd.RungeKutta([[], [2 / 3], [0, 2 / 3]], [1 / 4, 3 / 8, 3 / 8])
    errors = [abs(float(end(Modulated(method=own), n, 2.0 / n).y) - EXACT) for n in (80, 160)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(3.0, abs=0.15)


@pytest.mark.parametrize(
    "coefficients, message",
    [
        ({"a": [[], [0.5, 0.5]], "b": [0, 1]}, r"a\[1\] has 2 entries, but in an explicit scheme"),
        ({"a": [[], []], "b": [0, 1]}, r"a\[1\] has 0 entries, needed are 1"),
        ({"a": [[], [0.5]], "b": [1]}, "b has 1 entries for 2 rows"),
        ({"a": [[], [0.5]], "b": [0, 1], "c": [0, 0.4]}, r"c\[1\] = 0.4, but a\[1\] sums to 0.5"),
        ({"a": [[], [0.5]], "b": [0.5, 1]}, "b sums to 1.5"),
        ({"a": [[], [0.5]], "b": [0, 1], "lower": [1, 1]}, "lower sums to 2"),
        ({"a": [[], [0.5]], "b": [0, np.nan]}, "is not finite"),
        ({"a": [[], ["x"]], "b": [0, 1]}, r"a\[1\] = \['x'\] is not a sequence of numbers"),
    ],
)
def test_what_makes_no_explicit_scheme_is_refused(coefficients, message):
    with pytest.raises(ParameterError, match=message):
        dd.RungeKutta(**coefficients)


# implicit schemes


class Stiff(dd.ODE):
    """V' = -lambda (V - cos t), w' = V - w^3: V follows cos t within 1 / lambda."""

    rate: float = 1e4

    class State(NamedTuple):
        V: jax.Array
        w: jax.Array

    def init(self, id, key):
        return self.State(V=3.0, w=0.5)

    def derivative(self, t, s, drive):
        return self.State(V=-self.rate * (s.V - jnp.cos(t)), w=s.V - s.w**3)


def test_implicit_methods_are_stable_where_explicit_ones_are_not():
    """dt is a thousand time constants; what backward Euler damps, Crank-Nicolson only reverses."""
    found = {m: end(Stiff(method=m), 20, 0.1) for m in (dd.BackwardEuler(), dd.CrankNicolson())}
    V, w = found[dd.BackwardEuler()]
    assert float(V) == pytest.approx(np.cos(2.0), abs=1e-3)
    slow = solve_ivp(lambda t, w: np.cos(t) - w**3, (0.0, 2.0), [0.5], rtol=1e-9).y[0, -1]
    assert float(w) == pytest.approx(slow, abs=0.05)  # of order 1
    ratio = ((1 - 500) / (1 + 500)) ** 20
    V, _ = found[dd.CrankNicolson()]
    assert float(V) - np.cos(2.0) == pytest.approx(2.0 * ratio, rel=0.01)
    assert float(end(Stiff(method=dd.RK4()), 20, 0.1).V) > 1e100


class Folded(dd.ODE):
    """V' = 1 + V^2: the solution ends at t = pi / 2, and so do those of an implicit step."""

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=1.0 + s.V**2)


def test_implicit_step_without_a_solution_gives_nan():
    before, after = (float(end(Folded(method=dd.BackwardEuler()), n, 0.1).V) for n in (9, 30))
    assert 1.2 < before < 2.0 and np.isnan(after)
    with pytest.raises(SimulationError, match="is nan at step"):
        dd.DSRunner(Folded(method=dd.BackwardEuler()), dt=0.1, progress="off").run(10.0)


def test_derivative_of_an_implicit_step_is_that_of_its_solution():
    """By the theorem of implicit functions: of V, which is linear, and through it of w."""

    @jax.jit
    def step(w, rate):
        model = Stiff(rate=rate, method=dd.BackwardEuler())
        state = Stiff.State(V=jnp.asarray(0.2), w=w)
        return model.step(state, dd.Drive(0.0), dd.Tick(0, 0.3, 0.0))[0]

    w, rate = jnp.asarray(0.5), jnp.asarray(2.0)
    z = step(w, rate)
    by_w, by_rate = jax.grad(lambda *x: step(*x).w, (0, 1))(w, rate)
    slope = 1.0 + 0.3 * 3.0 * z.w**2
    assert float(by_w) == pytest.approx(float(1.0 / slope), rel=1e-12)
    dV = -0.3 * (z.V - jnp.cos(0.3)) / (1.0 + 0.3 * 2.0)
    assert float(by_rate) == pytest.approx(float(0.3 * dV / slope), rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_elimination_solves(n, seed):
    """Cells side by side, of any pattern of zeros."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(7, n, n)) * (rng.random((n, n)) < 0.6) + 3.0 * n * np.eye(n)
    right = rng.normal(size=(7, n))
    pattern = dense.any(axis=0)
    matrix = {(i, j): dense[:, i, j] for i in range(n) for j in range(n) if pattern[i, j]}
    found = eliminate(matrix, [right[:, i] for i in range(n)])
    expected = np.linalg.solve(dense, right[..., None])[..., 0]
    np.testing.assert_allclose(np.stack(found, axis=1), expected, rtol=1e-12)


# exact integration


def solution(model, t, state, current=0.0):
    """Of the linear system, by the exponential of the matrix extended with the constant term."""
    matrix = np.array(
        [
            [-1 / model.tau, model.k, current],
            [-model.c, -1 / model.tau_w, model.b],
            [0.0, 0.0, 0.0],
        ]
    )
    return (expm(matrix * t) @ np.array([*state, 1.0]))[:2]


COUPLED = [
    (tau_w, c, dt) for tau_w in (10.0, 10.0 + 1e-9, 3.0) for c in (0.05, 0.0) for dt in (1, 5)
]
QUICK = [(10.0 + 1e-9, 0.0, 1), (3.0, 0.05, 5)]


@pytest.mark.parametrize(
    "tau_w, c, dt",
    [pytest.param(*x, marks=[] if x in QUICK else pytest.mark.slow) for x in COUPLED],
)
def test_exact_for_coupled_linear_equations(tau_w, c, dt):
    """Whatever the step; with c = 0 and equal time constants the matrix has one eigenvector."""
    model = Coupled(tau_w=tau_w, c=c)
    found = trajectory(model, n=round(20 / dt), dt=dt, current=0.7)
    expected = solution(model, 20.0, (1.0, -0.5), current=0.7)
    np.testing.assert_allclose([found.V[-1], found.w[-1]], expected, rtol=1e-12)


@pytest.mark.slow
def test_exact_with_parameters_per_neuron():
    tau, k = jnp.array([2.0, 10.0, 30.0]), jnp.array([0.1, 0.3, -0.3])
    model = Coupled(tau=tau, k=k)
    state = model.State(V=jnp.ones(3), w=jnp.full(3, -0.5))
    found = trajectory(model, n=50, dt=0.1, state=state)
    for cell in range(3):
        one = Coupled(tau=float(tau[cell]), k=float(k[cell]))
        expected = solution(one, 5.0, (1.0, -0.5))
        np.testing.assert_allclose([found.V[-1, cell], found.w[-1, cell]], expected, rtol=1e-12)


@pytest.mark.slow  # networks of such cells are tests of tests/validation
def test_exact_of_a_cell_with_receptors_whose_time_constants_coincide():
    """One alpha synapse, tau_syn = tau_m: V = w e t^2 / (2 tau C) exp(-t / tau)."""
    receptor = Receptor(dd.Alpha(tau=10.0), dd.CUBA())
    cell = Cell.of(dd.LIF(C_m=250.0, tau_m=10.0, E_L=0.0, V_th=50.0), (receptor,))
    assert isinstance(cell.method, dd.Exact)
    state = jax.tree.map(jnp.asarray, cell.init(0, None))
    arrived = receptor.kinetics.arrive(state.receptors[0], 100.0)
    state = state._replace(receptors=(arrived,))
    step = jax.jit(lambda s, k: cell.step(s, dd.Drive(0.0, (0.0,)), dd.Tick(k, 0.1, k * 0.1))[0])
    for k in range(100):
        state = step(state, k)
    expected = 100.0 * np.e / (10.0 * 250.0) * 10.0**2 / 2 * np.exp(-1.0)
    assert float(state.neuron.V) == pytest.approx(expected, rel=1e-11)
    assert float(state.receptors[0].g) == pytest.approx(100.0, rel=1e-12)  # its peak


# held cells


@pytest.mark.parametrize(
    "method, tolerance",
    [
        (dd.Exact(), 1e-13),
        (dd.ExpEuler(), 1e-13),
        (dd.RK4(), 1e-7),
        pytest.param(dd.Euler(), 0.05, marks=pytest.mark.slow),
        pytest.param(dd.BackwardEuler(), 0.05, marks=pytest.mark.slow),
        (dd.CrankNicolson(), 1e-3),
    ],
    ids=["Exact", "ExpEuler", "RK4", "Euler", "BackwardEuler", "CrankNicolson"],
)
def test_held_potential_stays_and_the_rest_advances_with_it(method, tolerance):
    """w' = b - w / tau_w - c V with V = 1: one linear equation; Euler's error is its own."""
    flow, held = Flow(Coupled(tau_w=5.0)), jnp.array([True, False])
    prepared = jax.jit(lambda: method.prepare(flow, 0.1))()
    point = (Coupled.State(V=jnp.ones(2), w=jnp.full(2, -0.5)), ())
    tick = dd.Tick(0, 0.1, 0.0)  # the equations do not ask for the time
    step = jax.jit(lambda point: method.advance(flow, prepared, point, None, held, tick))
    for _ in range(20):
        point = step(point)
    (V, w), _ = point
    assert float(V[0]) == 1.0 != float(V[1])
    target = 5.0 * (0.2 - 0.05)
    expected = target + (-0.5 - target) * np.exp(-2.0 / 5.0)
    assert float(w[0]) == pytest.approx(expected, rel=tolerance)
    assert float(w[0]) != float(w[1])


# which method a model gets


class Clocked(dd.ODE):
    """V' = -V + t."""

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=-s.V + t)


EXPONENTIAL = dd.Exponential(tau=5.0)


@pytest.mark.parametrize(
    "model, receptors, expected",
    [
        (dd.LIF(), (), dd.Exact),
        (dd.LIF(), (Receptor(EXPONENTIAL, dd.CUBA()), Receptor(dd.Alpha(), dd.CUBA())), dd.Exact),
        (dd.LIF(), (Receptor(EXPONENTIAL, dd.COBA(E=0.0)),), dd.ExpEuler),
        (Coupled(), (), dd.Exact),
        (FitzHughNagumo(), (), dd.ExpEuler),
        (Modulated(), (), dd.ExpEuler),
        (Clocked(), (), dd.ExpEuler),
    ],
    ids=["LIF", "LIF-CUBA", "LIF-COBA", "Coupled", "FitzHughNagumo", "Modulated", "Clocked"],
)
def test_default_is_exact_where_the_equations_are_linear(model, receptors, expected):
    assert type(default_method(Flow(model, receptors))) is expected


def test_exact_is_refused_for_equations_that_are_not_linear():
    with pytest.raises(ParameterError, match="of FitzHughNagumo are not linear with constant"):
        dd.DSRunner(FitzHughNagumo(method=dd.Exact()), dt=0.1)


@pytest.mark.parametrize(
    "names", [ALL_KINDS, pytest.param(NAMES, marks=pytest.mark.slow)], ids=["kinds", "all"]
)
def test_every_method_runs_in_a_network_and_gives_what_it_gives_alone(names):
    methods = [method for method, *_ in METHODS if type(method).__name__ in names]

    class All(dd.Network):
        def __init__(self):
            models = [FitzHughNagumo(I=0.8, method=method) for method in methods]
            self.P = [dd.Population(3, model, w=dd.Uniform(-1.0, 0.0)) for model in models]

    paths = [f"P.{k}" for k in range(len(methods))]
    record = [dd.every(0.5, f"{path}.{x}") for path in paths for x in "Vw"]
    runner = dd.DSRunner(All(), dt=0.1, precision="float64", record=record, progress="off")
    start = [(runner[path].V, runner[path].w) for path in paths]
    traces = runner.run(2.0).traces

    @jax.jit
    @jax.vmap
    def alone(V, w):
        model = lambda V, w: FitzHughNagumo.State(jnp.asarray(V), jnp.asarray(w))  # noqa: E731
        equations = FitzHughNagumo(I=0.8)

        def solve(method, V, w):
            f = lambda t, y: equations.derivative(t, y, dd.Drive(0.0))  # noqa: E731
            return dd.integrate(f, model(V, w), np.linspace(0.0, 2.0, 5), dt=0.1, method=method)

        return [solve(method, V[k], w[k]) for k, method in enumerate(methods)]

    expected = alone(*(np.array(x).T for x in zip(*start, strict=True)))
    for path, ys in zip(paths, expected, strict=True):
        for x in "Vw":
            found = traces[f"{path}.{x}"].value.T
            np.testing.assert_allclose(found, getattr(ys, x)[:, 1:], rtol=1e-12)


@pytest.mark.parametrize("method", ["RK4", dd.RK4], ids=["name", "class"])
def test_what_is_no_integrator_is_refused(method):
    with pytest.raises(ParameterError, match=r"no integrator\. Give one: method="):
        dd.DSRunner(Decay(method=method), dt=0.1)
    with pytest.raises(ParameterError, match="iterations = 0 is not possible"):
        dd.BackwardEuler(iterations=0)


def test_method_that_a_model_names_is_used():
    assert Cell.of(dd.LIF(method=dd.RK4())).method == dd.RK4()
    assert isinstance(Cell.of(dd.LIF()).method, dd.Exact)


def test_exponential_euler_integrates_receptors_exactly():
    """The receptor itself is exact, whatever the step: g is the difference of exponentials."""
    receptor = Receptor(dd.DualExponential(tau_rise=1.0, tau_decay=5.0), dd.COBA(E=0.0))
    cell = Cell.of(dd.LIF(), (receptor,))
    state = jax.tree.map(jnp.asarray, cell.init(0, None))
    state = state._replace(receptors=(receptor.kinetics.arrive(state.receptors[0], 1.0),))
    h = float(state.receptors[0].h)
    step = jax.jit(lambda s, k: cell.step(s, dd.Drive(0.0, (0.0,)), dd.Tick(k, 1.0, k * 1.0))[0])
    for k in range(7):
        state = step(state, k)
    difference = np.exp(-7.0 / 5.0) - np.exp(-7.0)
    expected = h / 5.0 * difference / (1.0 - 1.0 / 5.0)
    assert float(state.receptors[0].g) == pytest.approx(expected, rel=1e-13)
