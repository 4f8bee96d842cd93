"""The compiled cell kernel: what it computes, lane by lane, against jax.numpy and NumPy."""

import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import distdyn as dd
from distdyn.network.network import graph
from distdyn.ops import ffi, fuse, lanes
from distdyn.ops.lanes import exponentials
from distdyn.ops.team import Team
from distdyn.ops.update import Operand, Signature, update, update_reference
from distdyn.parallel.assemble import Setting
from distdyn.parallel.shard import Shard

LENGTHS = 1, 3, 7, 16, 1000, 10007
FLOATS = "float32", "float64"


@pytest.fixture(autouse=True)
def wide_integers():
    with jax.enable_x64(True):
        yield


def run_kernel(function, signature, bounds, operands, state, rings, step=0, cursor=0, members=1):
    """One step: new state, rings, list of events and how many of them there are."""
    n = int(bounds[-1])
    name = fuse.compile_cell(function, signature)
    events = jnp.full(cursor + n, -1, jnp.int32) if signature.spikes else None

    def one_step(team, state, rings, events):
        return update(
            name,
            signature,
            team,
            jnp.asarray(bounds, jnp.int64),
            jnp.int64(step),
            jnp.int64(cursor),
            [jnp.asarray(x) for x in operands],
            state,
            rings,
            events,
        )

    with Team(members) as team:
        arrays = [jnp.array(x) for x in state], [jnp.array(x) for x in rings]
        return jax.tree.map(np.asarray, jax.jit(one_step)(team.operand, *arrays, events))


def values_of(function, *arrays, dtype=None):
    """An elementwise function through the compiled kernel."""
    n = len(arrays[0])
    out = dtype or str(jax.eval_shape(function, *map(jnp.asarray, arrays)).dtype)
    signature = Signature(tuple(Operand("cell", str(x.dtype)) for x in arrays), (out,), (), False)
    state = [np.zeros(n, out)]
    new, *_ = run_kernel(
        lambda o, s, a: ([function(*o)], False), signature, (0, n), arrays, state, ()
    )
    return new[0]


# --- every primitive -----------------------------------------------------------------------------

SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.5, -2.5, 1.5, np.inf, -np.inf, np.nan, 1e-30, -1e-30, 3e38]
)
UNARY = {
    "neg": lax.neg,
    "abs": lax.abs,
    "sign": lax.sign,
    "square": lax.square,
    "sqrt": lax.sqrt,
    "floor": lax.floor,
    "ceil": lax.ceil,
    "is_finite": lax.is_finite,
    "round": functools.partial(lax.round, rounding_method=lax.RoundingMethod.TO_NEAREST_EVEN),
    "round away": lax.round,
    "integer_pow": lambda x: lax.integer_pow(x, 3),
    "integer_pow -2": lambda x: lax.integer_pow(x, -2),
    "integer_pow 0": lambda x: lax.integer_pow(x, 0),
    "clamp": lambda x: lax.clamp(jnp.asarray(-0.75, x.dtype), x, jnp.asarray(1.25, x.dtype)),
    "bitcast_convert_type": lambda x: lax.bitcast_convert_type(
        x, jnp.int32 if x.dtype == jnp.float32 else jnp.int64
    ),
    "stop_gradient": lax.stop_gradient,
}
BINARY = {
    name: getattr(lax, name)
    for name in ("add", "sub", "mul", "div", "max", "min", "eq", "ne", "lt", "le", "gt", "ge")
} | {"select_n": lambda x, y: lax.select_n(x < y, x, y)}
BITS = {
    "and": lax.bitwise_and,
    "or": lax.bitwise_or,
    "xor": lax.bitwise_xor,
    "not": lambda x, y: lax.bitwise_not(x),
    "shift_left": lax.shift_left,
    "shift_right_logical": lax.shift_right_logical,
    "shift_right_arithmetic": lax.shift_right_arithmetic,
}
LIBRARY = {  # within so many ulp of NumPy or SciPy in twice the precision
    "exp": (lax.exp, np.exp, 3),
    "expm1": (lax.expm1, np.expm1, 3),
    "exprel": (dd.exprel, lambda x: np.where(x == 0, 1, np.expm1(x) / np.where(x == 0, 1, x)), 3),
    "tanh": (lax.tanh, np.tanh, 3),
    "logistic": (lax.logistic, lambda x: 1 / (1 + np.exp(-x)), 3),
    "exp2": (lax.exp2, np.exp2, 3),
    "rsqrt": (lax.rsqrt, lambda x: 1 / np.sqrt(x), 3),
    "cbrt": (lax.cbrt, np.cbrt, 3),
    "log": (lax.log, np.log, 3),
    "log1p": (lax.log1p, np.log1p, 3),
    **{
        name: (getattr(lax, name), getattr(np, name), 4)
        for name in ("sin", "cos", "tan", "sinh", "cosh")
    },
    **{
        name: (getattr(lax, name), getattr(np, "arc" + name[1:]), 4)
        for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")
    },
}
ELSEWHERE = {"rem", "pow", "atan2", "erf", "erfc", "lgamma", "convert_element_type", "cond"}
FUSED = {"add_any", "multiply_add", "multiply_subtract", "subtract_product"}


def test_every_primitive_is_tested():
    ours = {"distdyn_exprel": "exprel"}
    names = {ours.get(name, name) for name in lanes.EMITTERS}
    assert names <= {*UNARY, *BINARY, *BITS, *LIBRARY, *ELSEWHERE, *FUSED}


def same(found, expected):
    """Equal to the bit, except that any NaN is like another."""
    np.testing.assert_array_equal(found, expected)
    if found.dtype.kind == "f":
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(found)[known], np.signbit(expected)[known])


def samples(dtype, n=1003, scale=4.0, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate([SPECIAL, rng.normal(0, scale, n)]).astype(dtype)


def test_nothing_is_computed_twice_or_in_vain():
    """A derivative by `jvp` evaluates its function once for each direction."""

    def function(x, y):
        f = lambda v: jnp.exp(-v) * y + jnp.exp(-v)  # noqa: E731
        value, slope = jax.jvp(f, (x,), (jnp.ones_like(x),))
        _ = jnp.tanh(y)
        return f(x) + value, jax.jvp(f, (x,), (jnp.ones_like(x),))[1] + slope

    program = lanes.flatten(jax.make_jaxpr(function)(1.0, 2.0))
    primitives = [instruction.primitive for instruction in program.instructions]
    assert primitives.count("exp") == 1 and "tanh" not in primitives
    x, y = np.float64([0.3, -1.0]), np.float64([2.0, 5.0])
    for k in (0, 1):
        expected = jax.jit(function)(x, y)[k]
        np.testing.assert_allclose(values_of(lambda *v, k=k: function(*v)[k], x, y), expected)


def test_constants_that_look_alike_are_not_one():
    """0 and -0 are equal, and so are 1 and True."""
    program = lanes.flatten(jax.make_jaxpr(lambda x: (x * 0.0, x * -0.0))(1.0))
    assert len(program.instructions) == 2


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, dtype):
    x = samples(dtype)
    same(values_of(UNARY[name], x), np.asarray(UNARY[name](jnp.asarray(x))))


@pytest.mark.parametrize("dtype", [*FLOATS, "int32", "uint32", "int64"])
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, dtype):
    if name == "div" and "int" in dtype:
        with pytest.raises(lanes.Unsupported, match="div of"):
            values_of(BINARY[name], np.ones(3, dtype), np.ones(3, dtype))
        return
    if "int" in dtype:
        rng = np.random.default_rng(1)
        x, y = (rng.integers(0, 1 << 64, 1003, np.uint64).astype(dtype) for _ in range(2))
        x[::7] = y[::7]
    else:
        x, y = np.meshgrid(SPECIAL, SPECIAL)
        x = np.concatenate([x.ravel(), samples(dtype, 30)]).astype(dtype)
        y = np.concatenate([y.ravel(), samples(dtype, 30, seed=2)]).astype(dtype)
    with np.errstate(all="ignore"):
        same(
            values_of(BINARY[name], x, y), np.asarray(BINARY[name](jnp.asarray(x), jnp.asarray(y)))
        )


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64", "bool"])
@pytest.mark.parametrize("name", BITS)
def test_bits(name, dtype):
    if dtype == "bool" and "shift" in name:
        return
    rng = np.random.default_rng(3)
    x = rng.integers(0, 1 << 64, 1003, np.uint64).astype(dtype)
    y = (rng.integers(0, 70, 1003) if "shift" in name else rng.integers(0, 2, 1003)).astype(dtype)
    same(values_of(BITS[name], x, y), np.asarray(BITS[name](jnp.asarray(x), jnp.asarray(y))))


@pytest.mark.parametrize("source", [*FLOATS, "int8", "int32", "uint32", "int64", "uint64", "bool"])
@pytest.mark.parametrize("target", [*FLOATS, "int8", "int32", "uint32", "int64", "uint64", "bool"])
def test_conversion(source, target):
    rng = np.random.default_rng(4)
    if source in FLOATS:
        x = np.concatenate([SPECIAL, rng.normal(0, 40, 1003)]).astype(source)
        if target not in FLOATS:  # what is beyond the range saturates
            x = np.concatenate([x, np.array([3e9, -3e9, 1e19, -1e19, 2e20]).astype(source)])
    else:
        x = rng.integers(0, 1 << 64, 1003, np.uint64).astype(source)
    found = values_of(lambda x: x.astype(target), x)
    same(found, np.asarray(jnp.asarray(x).astype(target)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", LIBRARY)
def test_accuracy(name, dtype):
    function, exact, ulps = LIBRARY[name]
    rng = np.random.default_rng(5)
    widest = 700.0 if dtype == "float64" else 87.0
    reach = widest if name in ("exp", "expm1", "exprel", "logistic", "sinh", "cosh") else 30.0
    x = np.concatenate([rng.uniform(-reach, reach, 4001), rng.normal(0, 1e-3, 1001)])
    x = np.concatenate([x, rng.uniform(-1, 1, 2001)]).astype(dtype)
    wide = np.longdouble if dtype == "float64" else np.float64
    with np.errstate(all="ignore"):
        expected = exact(x.astype(wide))
    found = values_of(function, x)
    known = np.isfinite(expected) & (np.abs(expected) > np.finfo(dtype).tiny)
    assert known.sum() > 1000
    error = np.abs(found[known] - expected[known]) / np.spacing(
        np.abs(expected[known]).astype(dtype)
    )
    assert error.max() <= ulps


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["exp", "expm1", "exprel", "tanh", "logistic"])
def test_special_values(name, dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, 1e-40, -1e-40, 100.0, -100.0])
    x = np.tile(x, 3).astype(dtype)
    with np.errstate(all="ignore"):
        expected = LIBRARY[name][1](x)
    found = values_of(LIBRARY[name][0], x)
    limits = np.finfo(dtype)  # below the tiniest normal number XLA flushes to zero
    np.testing.assert_allclose(found, expected, rtol=4 * limits.eps, atol=limits.tiny)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name, near",
    [("expm1", exponentials.SMALL), ("tanh", exponentials.SMALL), ("exprel", exponentials.NEAR)],
)
def test_the_value_of_a_small_argument_does_not_depend_on_the_other_lanes(name, near, dtype):
    edge = np.nextafter(np.array([near, -near], dtype), np.array([2, -2], dtype))
    rng = np.random.default_rng(9)
    small = np.concatenate([rng.uniform(-near, near, 500), rng.normal(0, 1e-6, 490)]).astype(dtype)
    small = np.concatenate([small, np.array([0.0, -0.0, 1e-40, -1e-40], dtype)])
    among_large = np.stack([small, np.full_like(small, 5.0)], 1).ravel()
    function = LIBRARY[name][0]
    bits = f"u{np.dtype(dtype).itemsize}"
    alone = values_of(function, small).view(bits)
    np.testing.assert_array_equal(alone, values_of(function, among_large)[::2].view(bits))
    values = values_of(function, np.repeat(edge, 16))
    np.testing.assert_allclose(values, LIBRARY[name][1](np.repeat(edge, 16)), rtol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", sorted(ELSEWHERE - {"convert_element_type", "cond"}))
def test_other_functions(name, dtype):
    x = np.random.default_rng(6).uniform(0.1, 5.0, 1003).astype(dtype)
    y = np.random.default_rng(7).uniform(-2.0, 3.0, 1003).astype(dtype)
    function = getattr(lax, name)
    arrays = (x,) if name in ("erf", "erfc", "lgamma") else (x, y)
    expected = np.asarray(function(*map(jnp.asarray, arrays)))
    rtol = 5e-6 if dtype == "float32" else 5e-14
    np.testing.assert_allclose(values_of(function, *arrays), expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_each_lane_takes_its_own_branch(share):
    x = np.random.default_rng(8).uniform(0.0, 1.0, 1003).astype(np.float32)
    double = 2 * x

    def function(x, double):
        constant = double + 1  # the branches share it
        return lax.cond(
            x < share,
            lambda x: lax.cond(x < 0.5 * share, lax.neg, lax.exp, x),
            lambda _: constant,
            x,
        )

    lower = np.where(x < np.float32(0.5 * share), -x, values_of(lax.exp, x))
    same(
        values_of(function, x, double, dtype="float32"),
        np.where(x < np.float32(share), lower, double + 1),
    )


def test_what_has_no_vector_code_is_told():
    with pytest.raises(lanes.Unsupported, match="digamma"):
        values_of(lax.digamma, np.ones(3, np.float32))
    with pytest.raises(lanes.Unsupported):
        values_of(lambda x: jnp.sum(jnp.stack([x, x])), np.ones(3, np.float32), dtype="float32")
    branches = lax.neg, lax.abs, lax.sign
    with pytest.raises(lanes.Unsupported, match="more than two"):
        values_of(
            lambda k, x: lax.switch(k, branches, x),
            np.ones(3, np.int32),
            np.ones(3),
            dtype="float64",
        )


# --- sums of products, and quotients -------------------------------------------------------------

SUMS = {
    "x y + z": lambda x, y, z: x * y + z,
    "z + x y": lambda x, y, z: z + x * y,
    "x y - z": lambda x, y, z: x * y - z,
    "z - x y": lambda x, y, z: z - x * y,
    "derivative": lambda x, y, z: jax.jvp(lambda u, v: u * v, (x, 1.0 * z), (y, 1.0 + 0 * z))[1],
}


@pytest.mark.skipif(not ffi.fuses(), reason="this processor rounds products")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SUMS)
def test_a_product_that_is_only_added_is_not_rounded(name, dtype):
    x, y, z = (samples(dtype, 1003, seed=k)[len(SPECIAL) :] for k in range(3))
    sign = 1 if "-" in name else -1
    z[::2] = sign * x[::2] * y[::2]  # what is left is the rounding of the product
    found = values_of(SUMS[name], x, y, z)
    exact = np.vectorize(Fraction, otypes=[object])
    a, b, c = map(exact, (x.astype(float), y.astype(float), z.astype(float)))
    sums = {
        "x y + z": a * b + c,
        "z + x y": a * b + c,
        "x y - z": a * b - c,
        "z - x y": c - a * b,
        "derivative": b * c + a,
    }
    expected = sums[name].astype(float).astype(dtype)
    np.testing.assert_array_max_ulp(found, expected, 1 if dtype == "float32" else 0)


def primitives(function, *arguments):
    program = lanes.fused(lanes.flatten(jax.make_jaxpr(function)(*arguments)))
    return [instruction.primitive for instruction in program.instructions]


def test_which_products_become_part_of_a_sum():
    assert primitives(lambda x, y: x * y + x * x, 1.0, 2.0) == ["mul", "multiply_add"]
    assert primitives(lambda x, y: x + y * y - x * y, 1.0, 2.0) == [
        "multiply_add",
        "subtract_product",
    ]
    twice = primitives(lambda x, y: (x * y + x, x * y - y), 1.0, 2.0)
    assert twice == ["mul", "add", "sub"]
    assert primitives(lambda x, y: (x * y, x * y + y), 1.0, 2.0) == ["mul", "add"]
    assert primitives(lambda x, y: x * y + y, 1, 2) == ["mul", "add"]  # of integers


def quotients(function, x, divisor, per):
    """function(x, divisor) of each cell, the divisor being one per call, segment or cell."""
    dtype = str(x.dtype)
    signature = Signature((Operand("cell", dtype), Operand(per, dtype)), (dtype,), (), False)
    given = {
        "call": np.array(divisor, dtype),
        "segment": np.full(2, divisor, dtype),
        "cell": np.full(len(x), divisor, dtype),
    }
    new, *_ = run_kernel(
        lambda o, s, a: ([function(*o)], False),
        signature, (0, len(x) // 3, len(x)), [x, given[per]], [np.zeros_like(x)], (),
    )  # fmt: skip
    return new[0]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("per", ["call", "segment", "constant"])
@pytest.mark.parametrize("divisor", [3.0, -10.0, 0.1, 0.0, np.inf, np.nan])
def test_a_quotient_by_what_many_cells_share_is_a_product_with_its_reciprocal(per, divisor, dtype):
    x = samples(dtype)
    if per == "constant":
        found = quotients(lambda x, _: x / np.array(divisor, dtype), x, 1.0, "call")
    else:
        found = quotients(lambda x, y: x / y, x, divisor, per)
    with np.errstate(all="ignore"):
        one = np.ones((), dtype)
        np.testing.assert_array_equal(found, x * (one / np.array(divisor, dtype)))
        np.testing.assert_allclose(
            found, x / np.array(divisor, dtype), rtol=2 * np.finfo(dtype).eps
        )


@pytest.mark.parametrize("dtype", FLOATS)
def test_quotients_of_a_cells_own_numbers_are_exact(dtype):
    x = samples(dtype)
    x = x[x < 3e38]  # a quotient by more is subnormal, and flushed to zero
    with np.errstate(all="ignore"):
        same(quotients(lambda x, y: x / y, x, 3.0, "cell"), x / np.array(3.0, dtype))
        same(quotients(lambda x, y: y / x, x, 3.0, "segment"), np.array(3.0, dtype) / x)


# --- cells ---------------------------------------------------------------------------------------


class Cells(dd.Network):
    """Two populations of a model, every kind of input."""

    def __init__(self, n, synapse, output, poisson, V_th=-50.0):
        cell = dd.LIF(
            C_m=250.0, tau_m=10.0, E_L=-65.0, V_th=V_th, V_reset=-65.0, t_ref=2.0, I_e=390.0
        )
        first = max(1, n // 3)
        self.A = dd.Population(first, cell, V=dd.Normal(-56.0, 5.0))
        self.B = dd.Population(n - first, cell, V=dd.Normal(-56.0, 5.0)) if n > first else self.A
        of = dict(weight=3.0, delay=0.3)
        both = (self.A, self.B) if n > first else self.A
        self.syn = dd.Projection(self.A, both, dd.FixedOutdegree(1), synapse, output, **of)
        if poisson:
            self.drive = dd.PoissonInput(both, 3000.0, synapse, output, weight=2.0)


KINDS = {
    "CUBA": (dd.Exponential(tau=2.0), None, False),
    "COBA": (dd.Exponential(tau=2.0), dd.COBA(E=0.0), False),
    "Alpha": (dd.Alpha(tau=2.0), None, False),
    "DualExponential": (dd.DualExponential(tau_rise=1.0, tau_decay=4.0), dd.COBA(E=0.0), False),
    "Delta": (dd.Delta(), None, False),
    "Poisson": (dd.Exponential(tau=2.0), None, True),
}


class Step:
    """The step of a network's only group, and what it acts on, with arrivals in every ring."""

    def __init__(self, n, kind, dtype):
        shard = Shard(graph(Cells(n, *KINDS[kind])), Setting(0.1, 1, dtype, 0), threads=1)
        (self.plan,) = shard.plan.groups
        assert self.plan.target is not None
        rng = np.random.default_rng(8)
        self.bounds = shard.parts.cells[0][0].bounds
        self.operands = [jnp.int64(17), *shard.data.groups[0].operands]
        self.state = [np.array(x) for x in shard.states[0]]
        self.rings = [
            rng.integers(-1, 2, ring.shape).astype(ring.dtype) << 20 for ring in shard.rings[0]
        ]
        self.step = 2

    def fused(self, members=1, cursor=0, span=None):
        """By the kernel; of the cells of a span only, if one is given."""
        a, b = span or (0, int(self.bounds[-1]))
        bounds = np.clip(self.bounds, a, b) - a
        cells = slice(a, b)
        operands = [
            np.asarray(x)[cells] if operand.per == "cell" else x
            for x, operand in zip(self.operands, self.plan.signature.operands, strict=True)
        ]
        return run_kernel(
            self.plan.program, self.plan.signature, bounds, operands,
            [x[cells] for x in self.state], [x[:, cells] for x in self.rings],
            self.step, cursor, members,
        )  # fmt: skip

    def reference(self):
        arrays = [jnp.asarray(x) for x in self.state], [jnp.asarray(x) for x in self.rings]
        events = jnp.full(int(self.bounds[-1]), -1, jnp.int32)
        return jax.tree.map(
            np.asarray,
            update_reference(
                self.plan.program, self.plan.signature, self.plan.cells, jnp.asarray(self.bounds),
                self.step, jnp.int64(0), self.operands, *arrays, events,
            ),
        )  # fmt: skip


# All lengths of two kinds; of the others one that fills no vector, and a long one.
STEPS = [
    pytest.param(n, kind, dtype, marks=[pytest.mark.slow] if is_slow else [])
    for n in LENGTHS
    for kind in KINDS
    for dtype in FLOATS
    for is_typical in [kind in ("CUBA", "Poisson") and dtype == "float32"]
    for is_slow in [not is_typical and n not in (7, 10007)]
]


@pytest.mark.parametrize("n, kind, dtype", STEPS)
def test_the_kernel_is_the_reference(n, kind, dtype):
    step = Step(n, kind, dtype)
    state, rings, events, count = step.fused()
    expected_state, expected_rings, expected_events, expected_count = step.reference()
    for found, expected, old in zip(state, expected_state, step.state, strict=True):
        if found.dtype.kind == "f":  # XLA may contract x * y + z
            tolerance = 8 * np.finfo(dtype).eps
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(found, expected)
        assert found.dtype == old.dtype
    for found, expected in zip(rings, expected_rings, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert count == expected_count
    np.testing.assert_array_equal(events[:count], expected_events[:count])
    if n >= 1000:
        assert 0 < count < n


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_does_not_depend_on_its_place(kind, dtype):
    """step(group)[a:b] == step(group[a:b]) to the last bit."""
    step = Step(10007, kind, dtype)
    state, rings, events, count = step.fused()
    for a, b in ((0, 1), (5, 8), (3330, 3337), (123, 1123), (1, 10007), (3335, 3336)):
        part_state, part_rings, part_events, part_count = step.fused(span=(a, b))
        for whole, part in zip(state + rings, part_state + part_rings, strict=True):
            np.testing.assert_array_equal(whole[..., a:b], part)
        listed = events[:count]
        inside = listed[(listed >= a) & (listed < b)] - a
        np.testing.assert_array_equal(part_events[:part_count], inside)


@pytest.mark.parametrize("members", [2, 3, 4, 16])
@pytest.mark.parametrize("n", [1, 7, 130, 1000, 10007])
def test_a_team_lists_the_same_events(n, members):
    step = Step(n, "Poisson", "float32")
    alone, shared = step.fused(cursor=11), step.fused(members, cursor=11)
    for one, other in zip(alone[0] + alone[1], shared[0] + shared[1], strict=True):
        np.testing.assert_array_equal(one, other)
    used = 11 + int(alone[3])
    assert alone[3] == shared[3]
    np.testing.assert_array_equal(alone[2][:used], shared[2][:used])
    assert np.all(np.diff(shared[2][11:used]) > 0)


def test_every_cell_may_spike_at_once():
    n = 5000
    signature = Signature((), ("float32",), (), True)
    for members in (1, 3):
        new, _, events, count = run_kernel(
            lambda o, s, a: ([s[0] * 0.5], s[0] > 0.0), signature, (0, n), (),
            [np.ones(n, np.float32)], (), members=members,
        )  # fmt: skip
        assert count == n
        np.testing.assert_array_equal(events, np.arange(n))
        np.testing.assert_array_equal(new[0], np.full(n, 0.5))


def test_a_team_flushes_subnormal_numbers_as_its_leader_does():
    """XLA's threads compute with them flushed; the followers must, too."""
    n = 100_000
    signature = Signature((), ("float32",), (), False)
    state = [np.full(n, 3e-38, np.float32)]
    found = [
        run_kernel(lambda o, s, a: ([s[0] * 0.25], False), signature, (0, n), (), state, (),
                   members=members)[0][0]
        for members in (1, 2, 3, 4, 4, 4)
    ]  # fmt: skip
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)
