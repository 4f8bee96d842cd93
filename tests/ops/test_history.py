"""Delay lines: against a list of values, analytic signals, and what a loop and a mesh ask for."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jax.test_util import check_grads

from distdyn.errors import DelayError, ParameterError, TimeError
from distdyn.ops.history import History

HOWS = "linear", "cubic", "nearest", "previous"
every_how = pytest.mark.parametrize("how", HOWS)
SMOOTH = pytest.mark.parametrize("how", ["linear", "cubic"])
DT = 0.1


@pytest.fixture(params=[True, False], ids=["x64", "x32"])
def strict(request):
    with (
        jax.enable_x64(request.param),
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
    ):
        yield request.param


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


class Unrolled:
    """The definition: all values in a list, the newest last; weights written out."""

    def __init__(self, initial, longest, dt):
        self.steps, self.dt = round(longest / dt), dt
        self.past = [initial] * (self.steps + 1)

    def push(self, value):
        self.past.append(value)

    def ago(self, k):
        return self.past[len(self.past) - 1 - k]

    def at(self, delay, how):
        u = delay / self.dt
        u = round(u) if abs(u - round(u)) < 1e-6 else u
        if how in ("nearest", "previous"):
            return self.ago(round(u) if how == "nearest" else int(np.ceil(u)))
        points = 2 if how == "linear" else 4
        first = int(np.clip(np.floor(u) - (points // 2 - 1), 0, self.steps + 1 - points))
        nodes = range(first, first + points)
        total = 0.0
        for i in nodes:
            weight = np.prod([(u - j) / (i - j) for j in nodes if j != i])
            total = total + weight * self.ago(i)
        return total


def pushed(values, initial, longest=0.7):
    history, unrolled = History.filled(initial, longest, DT), Unrolled(initial, longest, DT)
    for value in values:
        history = history.push(value)
        unrolled.push(value)
    return history, unrolled


DELAYS = 0.0, 0.04, 0.1, 0.17, 0.3, 0.33, 0.5, 0.66, 0.7


@every_how
@pytest.mark.parametrize("n_pushes", [0, 3, 8, 21])
def test_reads_are_those_of_a_list(strict, seed, how, n_pushes):
    rng = np.random.default_rng(seed)
    dtype = np.float64 if strict else np.float32
    # Weights in float32 of traced delays: u = 7 to 6e-8 of itself, times slopes of size 2.
    tolerance = 1e-13 if strict else 5e-6
    values = jnp.asarray(rng.normal(size=(n_pushes, 3)).astype(dtype))
    history, unrolled = pushed(values, jnp.asarray(rng.normal(size=3).astype(dtype)))
    traced = jax.jit(lambda delay: history.at(delay, how))
    for delay in DELAYS:
        expected = unrolled.at(delay, how)
        for read in (history.at(delay, how), traced(delay)):
            assert read.dtype == dtype and read.shape == (3,)
            np.testing.assert_allclose(read, expected, rtol=tolerance, atol=tolerance)
    each = np.array([[0.3, 0.04, 0.66], [0.0, 0.7, 0.33]])
    expected = [[unrolled.at(each[i, j], how)[j] for j in range(3)] for i in range(2)]
    for read in (history.at(each, how), traced(each)):
        assert read.dtype == dtype and read.shape == (2, 3)
        np.testing.assert_allclose(read, expected, rtol=tolerance, atol=tolerance)


def test_delay_0_is_the_newest_and_the_longest_the_oldest(strict):
    history, _ = pushed([float(k) for k in range(20)], jnp.zeros(()))
    for how in HOWS:
        assert history.at(0, how) == 19.0
        assert history.at(history.longest, how) == 12.0
        assert history.at(np.float32(0.3), how) == 16.0  # 0.3 in float32 is on the grid too


@every_how
def test_numbers_on_the_grid_read_nothing_else(strict, how):
    history, _ = pushed([jnp.full(2, jnp.inf), jnp.ones(2), jnp.full(2, jnp.nan)], jnp.zeros(2))
    assert history.at(0.1, how).tolist() == [1.0, 1.0]


@every_how
def test_values_of_every_shape_are_broadcast_with_delays(strict, how):
    scalar = History.filled(lambda t: -t, 0.7, DT)
    np.testing.assert_allclose(scalar.at(np.array([0.2, 0.5]), how), [0.2, 0.5], rtol=1e-5)
    image = History.filled(lambda t: -t * jnp.array([[1.0, 2.0]]), 0.7, DT)
    delays = np.array([[0.1], [0.3], [0.6]])
    np.testing.assert_allclose(image.at(delays, how), delays * [1.0, 2.0], rtol=1e-5)
    column = image.at(np.array([[[0.2]], [[0.4]]]), how)
    np.testing.assert_allclose(column, [[[0.2, 0.4]], [[0.4, 0.8]]], rtol=1e-5)
    assert image.at(np.zeros((0, 1)), how).shape == (0, 2)


def test_the_past_is_a_value_or_a_function_of_time(strict):
    constant = History.filled(jnp.array([1.0, 2.0]), 0.5, DT)
    assert constant.values.shape == (6, 2) and constant.longest == pytest.approx(0.5)
    assert constant.at(0.23).tolist() == [1.0, 2.0]
    history = History.filled(lambda t: jnp.stack([t, jnp.cos(t)]), 0.5, DT)
    np.testing.assert_allclose(history.at(0.4), [-0.4, np.cos(0.4)], rtol=1e-6)
    np.testing.assert_allclose(history.push(jnp.ones(2)).at(0.4), [-0.3, np.cos(0.3)], rtol=1e-6)
    assert History.filled(0.5, 0.0, DT).push(0.25).at(0.0) == 0.25
    assert History.filled(0.5, 0.25, DT).values.shape == (4,)  # rounded up
    assert History.filled(0.5, 3, 1).at(3) == 0.5  # in steps
    kept = History.filled(jnp.zeros(2, jnp.bfloat16), 0.5, DT).push(jnp.ones(2, jnp.bfloat16))
    assert kept.at(0.05).dtype == kept.at(jnp.float32(0.05)).dtype == jnp.bfloat16


def worst_errors(how, delay_of):
    """Errors of reads of a sine at steps of 0.2, 0.1, 0.05, 0.025."""
    errors = []
    for dt in (0.2, 0.1, 0.05, 0.025):
        history = History.filled(lambda t: jnp.sin(t), 4.0, dt)
        delays = delay_of(dt)
        errors.append(np.abs(history.at(delays, how) - np.sin(-delays)).max())
    return np.array(errors)


@pytest.mark.parametrize("how, order, constant", [("linear", 2, 1 / 8), ("cubic", 4, 1 / 24)])
def test_errors_are_of_the_order_that_is_promised(x64, how, order, constant):
    # Within the history, and in the last step at either end, where cubic looks to one side.
    for delay_of in (
        lambda dt: np.linspace(1.0, 3.0, 401),
        lambda dt: np.linspace(0.0, dt, 41),
        lambda dt: np.linspace(4.0 - dt, 4.0, 41),
    ):
        errors = worst_errors(how, delay_of)
        assert (errors <= constant * np.array([0.2, 0.1, 0.05, 0.025]) ** order).all()
    errors = worst_errors(how, lambda dt: np.linspace(1.0, 3.0, 401))
    measured = np.log2(errors[:-1] / errors[1:])
    assert measured == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("how, bound", [("nearest", 0.5), ("previous", 1.0)])
def test_errors_of_whole_steps_are_below_their_bounds(x64, how, bound):
    errors = worst_errors(how, lambda dt: np.linspace(1.0, 3.0, 401))
    assert (errors <= bound * np.array([0.2, 0.1, 0.05, 0.025]) * (1 + 1e-12)).all()


@SMOOTH
def test_derivatives_by_delay_values_and_pushes_are_finite_differences(x64, seed, how):
    rng = np.random.default_rng(seed)
    initial, values = rng.normal(size=3), rng.normal(size=(4, 3))

    def read(initial, values, delays):
        history = History.filled(initial, 0.7, DT)
        for value in values:
            history = history.push(value)
        return jnp.sin(history.at(delays, how)) * history.at(0.25, how)

    check_grads(read, (initial, values, np.array([0.04, 0.37, 0.65])), 2, rtol=1e-5)


@SMOOTH
def test_derivative_by_delay_is_minus_that_of_the_signal(x64, how):
    history = History.filled(jnp.sin, 4.0, 0.05)
    delays = jnp.linspace(0.013, 3.96, 50)
    slopes = jax.vmap(jax.grad(lambda delay: history.at(delay, how)))(delays)
    error = 0.05 / 2 if how == "linear" else 0.05**3 / 4  # dt / 2 x'';  dt^3 / 4 x'''' at an end
    np.testing.assert_allclose(slopes, -np.cos(-delays), atol=error * 1.001)
    at_a_step = jax.grad(history.at)(0.5)
    assert at_a_step == pytest.approx((np.sin(-0.55) - np.sin(-0.5)) / 0.05)  # the older side


@SMOOTH
def test_cotangents_of_a_scan_are_those_of_a_list(strict, seed, how):
    """x' = x + dt (sin x(t - d) + I): by the ring in a scan, and by a list."""
    rng = np.random.default_rng(seed)
    drive = rng.normal(size=(12, 2)).astype(np.float64 if strict else np.float32)
    delays = np.array([0.23, 0.6])

    def by_ring(drive):
        def step(history, now):
            x = history.at(0.0) + DT * (jnp.sin(history.at(delays, how)) + now)
            return history.push(x), x

        return jax.lax.scan(step, History.filled(jnp.ones(2, drive.dtype), 0.7, DT), drive)[1]

    def by_list(drive):
        unrolled, xs = Unrolled(jnp.ones(2, drive.dtype), 0.7, DT), []
        for now in drive:
            late = jnp.stack([unrolled.at(d, how)[j] for j, d in enumerate(delays)])
            xs.append(unrolled.ago(0) + DT * (jnp.sin(late) + now))
            unrolled.push(xs[-1])
        return jnp.stack(xs)

    tolerance = {"rtol": 1e-12, "atol": 1e-13} if strict else {"rtol": 1e-4, "atol": 1e-5}
    ring, back = jax.vjp(jax.jit(by_ring), drive)
    expected, expected_back = jax.vjp(jax.jit(by_list), drive)
    np.testing.assert_allclose(ring, expected, **tolerance)
    cotangent = jnp.asarray(rng.normal(size=ring.shape).astype(drive.dtype))
    np.testing.assert_allclose(back(cotangent)[0], expected_back(cotangent)[0], **tolerance)


def test_cotangents_of_a_read_are_shifted_by_the_delay(x64):
    def delayed(xs):
        def step(history, x):
            history = history.push(x)
            return history, history.at(0.3)

        return jax.lax.scan(step, History.filled(0.0, 0.7, DT), xs)[1]

    xs, cotangent = jnp.arange(1.0, 13.0), jnp.arange(20.0, 32.0)
    ys, back = jax.vjp(delayed, xs)
    assert ys.tolist() == [0, 0, 0, *range(1, 10)]
    assert back(cotangent)[0].tolist() == [*range(23, 32), 0, 0, 0]


@every_how
def test_a_delay_outside_is_an_error_if_it_is_known_and_nan_if_not(strict, how):
    history = History.filled(jnp.ones(2), 0.7, DT)
    for delay in (-0.01, 0.75, np.nan, np.inf, np.array([0.1, 0.71])):
        with pytest.raises(DelayError, match=r"is not within the history, which is 0\.7 ms long"):
            history.at(delay, how)
    delays = jnp.array([-0.01, 0.75, jnp.nan, jnp.inf, -jnp.inf, 1e30])
    reads = jax.jit(jax.vmap(lambda delay: history.at(delay, how)))(delays)
    assert reads.shape == (6, 2) and np.isnan(reads).all()
    each = history.at(jnp.array([0.1, 0.75]), how)
    assert each[0] == 1.0 and np.isnan(each[1])
    # What is NaN in one place leaves the derivatives of the others alone.
    slope = jax.grad(lambda values: History(values, history.newest, DT).at(each, how)[0])
    assert np.isfinite(slope(history.values)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_step_of_a_long_history_can_be_read_by_traced_delays(x64, dtype):
    n = 3000
    history = History.filled(lambda t: jnp.round(-t / DT).astype(dtype), n * DT, DT)
    delays = jnp.asarray((np.arange(n + 1) * DT).astype(dtype))
    for how in HOWS:
        read = jax.jit(jax.vmap(lambda delay, how=how: history.at(delay, how)))(delays)
        # u in float32 is right to 1.2e-7 of itself, and to as much again for dt in float32.
        np.testing.assert_allclose(
            read, np.arange(n + 1), rtol=4e-7 if dtype == np.float32 else 1e-12
        )
        if how in ("nearest", "previous"):
            np.testing.assert_array_equal(read, np.arange(n + 1))


def test_the_ring_outlives_any_counter(strict):
    history = History.filled(jnp.zeros(()), 0.2, DT)
    for k in range(7):
        history = history.push(float(k))
        assert 0 <= int(history.newest) < 3 and history.newest.dtype == jnp.int32


@every_how
def test_mapped_and_sharded_are_the_same(x64, seed, how):
    rng = np.random.default_rng(seed)
    values, delays = rng.normal(size=(4, 12, 3)), rng.uniform(0, 0.7, (4, 3))

    def run(values, delays):
        def step(history, value):
            history = history.push(value)
            return history, (history.at(delays, how), history.at(0.25, how))

        return jax.lax.scan(step, History.filled(values[0], 0.7, DT), values)[1]

    expected = jax.tree.map(lambda *xs: np.stack(xs), *map(jax.jit(run), values, delays))
    mapped = jax.vmap(run)
    mesh = Mesh(np.array(jax.devices()[:2]), ("part",))
    part = P("part")
    sharded = jax.shard_map(
        mapped, mesh=mesh, in_specs=(part, part), out_specs=part, check_vma=True
    )
    for other in (mapped, sharded):
        for got, wanted in zip(jax.jit(other)(values, delays), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-13, atol=1e-14)

    def loss(run, values, delays):
        return sum(jnp.square(x).sum() for x in run(values, delays))

    slopes = [
        jax.jit(jax.grad(loss, (1, 2)), static_argnums=0)(f, values, delays)
        for f in (mapped, sharded)
    ]
    for one, other in zip(*slopes, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)


def test_a_stack_of_histories_is_mapped(x64):
    stack = jax.vmap(lambda x: History.filled(x, 0.3, DT))(jnp.arange(3.0))
    pushed = jax.vmap(lambda history, x: history.push(x))(stack, jnp.arange(10.0, 13.0))
    assert jax.vmap(lambda history: history.at(0.05))(pushed).tolist() == [5.0, 6.0, 7.0]


def test_a_donated_ring_stays_where_it_is(x64):
    history = jax.tree.map(jnp.array, History.filled(jnp.zeros(1000), 1.0, DT))
    place = history.values.unsafe_buffer_pointer()
    push = jax.jit(lambda history, x: history.push(x), donate_argnums=0)
    for _ in range(3):
        history = push(history, jnp.ones(1000))
    assert history.values.unsafe_buffer_pointer() == place


def test_a_loop_does_not_copy_the_ring(x64):
    delays = np.linspace(0.0, 10.0, 1000)

    def run(history, drive):
        def step(history, now):
            x = history.at(0.0) + DT * (history.at(delays) + now)
            return history.push(x), None

        return jax.lax.scan(step, history, drive)[0]

    history = History.filled(jnp.zeros(1000), 10.0, DT)
    run = jax.jit(run, donate_argnums=0)
    compiled = run.lower(history, jnp.ones((50, 1000))).compile().as_text()
    body = re.split(r"\n\n", compiled)
    copies = [part for part in body if re.search(r"= f64\[101,1000\]\S* copy\(", part)]
    assert not any("ENTRY" not in part for part in copies), copies


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda h: History.filled(0.0, -1.0, DT), DelayError, r"longest = -1\.0 ms is not a time"),
        (lambda h: History.filled(0.0, np.inf, DT), DelayError, "longest = inf ms"),
        (lambda h: History.filled(0.0, 1e12, DT), DelayError, "less than 2.31 steps"),
        (lambda h: History.filled(0.0, "long", DT), DelayError, 'longest = "long"'),
        (lambda h: History.filled(0.0, [1.0], DT), DelayError, "longest = "),
        (lambda h: History.filled(0.0, 1.0, 0.0), TimeError, r"dt = 0\.0 ms"),
        (lambda h: History.filled(np.arange(3), 1.0, DT), ParameterError, "initial is of type int"),
        (lambda h: History.filled(lambda t: 1, 1.0, DT), ParameterError, r"initial\(t\) is of"),
        (lambda h: h.push(jnp.ones(3)), ParameterError, r"value has shape \(3,\)"),
        (lambda h: h.push(1.0), ParameterError, r"value has shape \(\)"),
        (lambda h: h.push(jnp.ones(2, jnp.bfloat16)), ParameterError, "type bfloat16, but"),
        (lambda h: h.at(0.1, "spline"), ParameterError, 'how = "spline" .* Use one of "linear"'),
        (lambda h: h.at(0.1, "cubic"), ParameterError, r"the history holds 3. Use longest >= 0\.3"),
        (lambda h: h.at(np.zeros(3)), ParameterError, r"delay has shape \(3,\)"),
        (lambda h: h.at(jnp.zeros(3)), ParameterError, r"delay has shape \(3,\)"),
        (lambda h: h.at("1 ms"), DelayError, 'delay = "1 ms" is not a real number'),
        (lambda h: h.at(0.3), DelayError, r"delay 0\.3 ms is not within the history"),
    ],
)
def test_what_does_not_fit_is_named(strict, call, error, message):
    with pytest.raises(error, match=message):
        call(History.filled(jnp.zeros(2), 0.2, DT))
