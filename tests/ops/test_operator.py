"""Operators of users: kernels beside a reference, derivatives, aliases, attributes, and errors."""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

import distdyn as dd
from distdyn.errors import OperatorError


def times(*, has_kernel=True):
    operator = dd.Operator("times", lambda x, y: x * y, linear=(0, 1))
    if has_kernel:

        @operator.kernel("cpu")
        def _(x, y, out):
            for i in range(out.size):
                out[i] = x[i] * y[i]

    return operator


def scaled():
    """Two results, attributes, one argument that is not linear, one that has no axis."""
    operator = dd.Operator(
        "scaled", lambda x, a, *, k=2: (jnp.sum(jnp.sin(x)) * a * k, x[::-1] * k), linear=(1,)
    )

    @operator.kernel("cpu")
    def _(x, a, total, turned, k):
        total[()] = 0.0
        for i in range(x.size):
            total[()] += np.sin(x[i]) * a[()] * k
            turned[x.size - 1 - i] = x[i] * k

    return operator


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


X, Y = np.array([1.0, -2.0, 3.5]), np.array([0.5, 4.0, -1.0])


def test_the_kernel_is_what_runs():
    operator = dd.Operator("different", lambda x: x)

    @operator.kernel("cpu")
    def _(x, out):
        out[:] = x + 1

    assert np.array_equal(operator(X), X + 1), "the reference ran"
    assert np.array_equal(jax.jit(operator)(X), X + 1)


@pytest.mark.parametrize("has_kernel", [True, False])
def test_every_derivative_of_a_product(has_kernel):
    operator = times(has_kernel=has_kernel)

    def loss(product, x, y):
        return jnp.sum(jnp.tanh(product(x, y)) * product(y, y))

    for derivative in (jax.grad, jax.hessian, jax.jacfwd, jax.jacrev):
        found = derivative(lambda *a: loss(operator, *a), (0, 1))(X, Y)
        expected = derivative(lambda *a: loss(jnp.multiply, *a), (0, 1))(X, Y)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), found, expected)


def test_what_is_not_linear_is_derived_from_the_reference():
    operator = scaled()
    total, turned = operator(X, 3.0, k=5)
    np.testing.assert_allclose(total, 15 * np.sin(X).sum(), rtol=1e-13)
    assert np.array_equal(turned, 5 * X[::-1])
    found = jax.grad(lambda x, a: operator(x, a, k=5)[0] ** 2 + operator(x, a)[1][0], (0, 1))(
        X, 3.0
    )
    reference = operator.reference
    expected = jax.grad(lambda x, a: reference(x, a, k=5)[0] ** 2 + reference(x, a)[1][0], (0, 1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), found, expected(X, 3.0))


def test_rules_that_are_written_are_used():
    operator = times()
    seen = []

    @operator.jvp(0)
    def _(tangent, x, y):
        seen.append("jvp")
        return tangent * y

    @operator.transpose(1)
    def _(cotangent, x, y):
        seen.append(("transpose", y.shape))
        return cotangent * x

    @operator.batch
    def _(arrays, axes):
        seen.append(("batch", axes))
        return None if axes[0] is None else (operator.reference(arrays[0], arrays[1]), 0)

    np.testing.assert_array_equal(jax.grad(lambda *a: operator(*a).sum(), (0, 1))(X, Y), (Y, X))
    assert seen == ["jvp", ("transpose", (3,))]
    pairs = jnp.stack([X, Y])
    assert np.array_equal(jax.vmap(operator)(pairs, pairs), pairs**2)
    assert np.array_equal(jax.vmap(operator, in_axes=(None, 0))(X, pairs), X * pairs)
    assert seen[2:] == [("batch", [0, 0]), ("batch", [None, 0])]


def test_mapped_without_a_rule():
    operator, many = scaled(), jnp.stack([X, Y, X + Y])
    total, turned = jax.vmap(operator, in_axes=(1, None), out_axes=(0, 1))(many.T, 2.0)
    assert np.array_equal(turned, 2 * many[:, ::-1].T)
    np.testing.assert_allclose(total, 4 * np.sin(many).sum(axis=1), rtol=1e-13)


def test_in_scan_and_recomputed():
    operator = times()
    step = jax.checkpoint(lambda c, y: (operator(c, y), c))
    loss = lambda x: jax.lax.scan(step, x, jnp.stack([Y, Y]))[0].sum()  # noqa: E731
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(X), Y * Y, rtol=1e-13)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_over_devices(devices):
    """A gradient inside shard_map with respect to what all devices share is summed over them."""
    mesh = jax.make_mesh((devices,), ("cells",), axis_types=(jax.sharding.AxisType.Auto,))
    operator, x, y = (
        times(),
        jnp.arange(8.0),
        jnp.arange(1.0, 9.0 / devices + 0.999)[: 8 // devices],
    )

    def loss(x, y):
        return jax.lax.psum(jnp.sum(jnp.sin(operator(x, y))), "cells")

    specs = (P("cells"), P())
    inside = jax.shard_map(
        jax.grad(loss, (0, 1)), mesh=mesh, in_specs=specs, out_specs=specs, check_vma=True
    )
    outside = jax.grad(
        jax.shard_map(loss, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=True), (0, 1)
    )
    one = jax.grad(lambda x, y: jnp.sum(jnp.sin(x * jnp.tile(y, devices))), (0, 1))(x, y)
    for found in (inside(x, y), outside(x, y)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), found, one)


def test_buffers_that_are_one():
    operator = dd.Operator("counted", lambda total, x: total + x, aliases={0: 0})

    @operator.kernel("cpu")
    def _(total, x, out):
        for i in range(out.size):
            out[i] += x[i]  # `out` begins as `total`

    assert np.array_equal(operator(X, Y), X + Y)
    assert np.array_equal(X, [1.0, -2.0, 3.5]), "the argument of the caller is another buffer"
    loop = jax.jit(lambda x, y: jax.lax.fori_loop(0, 4, lambda _, t: operator(t, y), x))
    assert np.array_equal(loop(X, Y), X + 4 * Y)
    text = loop.lower(jnp.zeros(10_000), jnp.zeros(10_000)).compile().as_text()
    body = text[text.index("%while_body") if "%while_body" in text else 0 :]
    assert "output_to_operand_aliasing={{}: (1, {})}" in body
    assert "f64[10000]{0} copy(" not in body.split("ENTRY")[0], "the loop copies the buffer"


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int32", "int64", "uint8", "bool", "complex64"]
)
def test_dtypes(dtype):
    operator = dd.Operator("same", lambda x: x)

    @operator.kernel("cpu")
    def _(x, out):
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                out[i, j] = x[i, j]

    x = jnp.asarray([[0, 1, 1], [1, 0, 3]]).astype(dtype)
    assert np.array_equal(operator(x), x) and operator(x).dtype == dtype


def test_a_new_attribute_is_a_new_kernel():
    operator = dd.Operator("powers", lambda x, *, n: x**n)

    @operator.kernel("cpu")
    def _(x, out, n):
        for i in range(out.size):
            out[i] = x[i] ** n

    np.testing.assert_allclose([operator(X, n=2), operator(X, n=3)], [X**2, X**3], rtol=1e-13)


def test_attributes_of_other_types_are_other_attributes():
    """Though 1 == 1.0 == True, and 0.0 == -0.0."""
    operator = dd.Operator("gain", lambda n, *, g: n * g)
    n = jnp.asarray([1, 2])
    assert [operator(n, g=g).dtype for g in (1, 1.0)] == ["int64", "float64"]
    assert [float(1 / operator(1.0, g=g)) for g in (0.0, -0.0)] == [np.inf, -np.inf]


def test_an_attribute_may_have_any_name():
    operator = dd.Operator("model", lambda V, *, a0, a1=2.0, function=1.0: a0 * V + a1 * function)

    @operator.kernel("cpu")
    def _(V, out, a0, a1, function):
        out[:] = a0 * V + a1 * function

    assert np.array_equal(operator(X, a0=0.5, function=3.0), 0.5 * X + 6)
    names = ("self", "primitive", "operator", "context", "arrays", "attributes", "func")
    summed = dd.Operator("sum", lambda x, **given: x * sum(given.values()), linear=(0,))
    loss = lambda x: jnp.sum(jax.vmap(lambda x: summed(x, **dict.fromkeys(names, 1)))(x))  # noqa: E731
    assert np.array_equal(jax.jit(jax.grad(loss))(X), [7.0, 7.0, 7.0])


def test_without_jit():
    with jax.disable_jit():
        assert np.array_equal(times()(X, Y), X * Y)


def test_several_results_may_be_a_list():
    one, two = dd.Operator("list", lambda x: [x, 2 * x])(X)
    assert np.array_equal(one, X) and np.array_equal(two, 2 * X)


def test_a_kernel_that_numba_has_already():
    from numba import njit

    operator = dd.Operator("twice", lambda x: 2 * x)

    @operator.kernel("cpu")
    @njit
    def _(x, out):
        out[:] = 2 * x

    assert np.array_equal(operator(X), 2 * X)


# --- errors --------------------------------------------------------------------------------------


def failing():
    operator = dd.Operator("picky", lambda x: x)

    @operator.kernel("cpu")
    def _(x, out):
        if x[0] > 0:
            raise ValueError("positive")
        out[:] = x

    return operator


def test_an_exception_in_a_kernel_names_the_operator():
    operator = failing()
    assert np.array_equal(operator(-X), -X)
    with pytest.raises(jax.errors.JaxRuntimeError, match=r'OperatorError: operator "picky".*DEBUG'):
        jax.block_until_ready(jax.jit(operator)(X))
    assert np.array_equal(operator(-X), -X), "and the next call is as before"


def test_debugging_shows_the_exception(monkeypatch):
    monkeypatch.setenv("DISTDYN_DEBUG", "1")
    with pytest.raises(jax.errors.JaxRuntimeError, match=r'operator "picky": ValueError: positive'):
        jax.block_until_ready(jax.jit(failing())(X))
    operator = dd.Operator("beyond", lambda x: x)

    @operator.kernel("cpu")
    def _(x, out):
        out[x.size] = 1.0

    with pytest.raises(
        jax.errors.JaxRuntimeError, match=r'"beyond": IndexError: index 3 is out of'
    ):
        jax.block_until_ready(jax.jit(operator)(X))


def test_a_kernel_that_does_not_compile_names_the_operator():
    operator = dd.Operator("wrong", lambda x: x)

    @operator.kernel("cpu")
    def _(x, out):
        out[:] = x.nonsense

    with pytest.raises(OperatorError, match=r'"wrong": its kernel.*float64, 1-d(.|\n)*nonsense'):
        operator(X)


@pytest.mark.parametrize(
    "deed, message",
    [
        (lambda: times()("a", Y), r'"times": argument 0 is not an array'),
        (lambda: times()(X, Y.astype(jnp.bfloat16)), r'"times": Numba knows no bfloat16'),
        (lambda: times().kernel("tpu"), r'no kernel can be for "tpu"'),
        (lambda: scaled().transpose(0), r"argument 0 has no transpose: linear are \(1,\)"),
        (lambda: scaled()(X, 2.0, k=[1]), r"Attributes are numbers"),
        (lambda: times()(X, Y, table=1), r"unexpected keyword argument 'table'"),
        (lambda: times()(X), r'"times": .*reference'),
        (lambda: times()(None, Y), r"argument 0 is not an array"),
        (lambda: jax.jit(lambda k: scaled()(X, 2.0, k=k))(2), r"Attributes are numbers"),
    ],
)
def test_what_is_refused(deed, message):
    with pytest.raises(OperatorError, match=message):
        deed()


def test_a_signature_that_does_not_fit():
    operator = dd.Operator("short", lambda x, *, k: x * k)

    @operator.kernel("cpu")
    def _(x, out, factor):
        out[:] = x * factor

    with pytest.raises(OperatorError, match=r"takes \(x, out, factor\).*2 buffers.*\(k\)"):
        operator(X, k=2)


def test_without_numba_the_reference_runs():
    """In a process of its own, where numba cannot be imported: a warning says so; results."""
    code = """
    import sys, warnings
    sys.modules["numba"] = None
    import jax.numpy as jnp
    import distdyn as dd
    times = dd.Operator("times", lambda x, y: x * y, linear=(0, 1))
    @times.kernel("cpu")
    def _(x, y, out):
        out[:] = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        print(times(jnp.arange(3.0), jnp.arange(3.0)))
        A = dd.CSR((2.0, [1, 0, 1], [0, 1, 3]), shape=(2, 2))
        print(jnp.array([True, True]) @ A)
    print(caught[0].message)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    product, sums, warning = done.stdout.splitlines()
    assert (product, sums) == ("[0. 1. 4.]", "[2. 4.]")
    assert "without its CPU kernels" in warning and "numba cannot be imported" in warning


def test_the_message_of_an_operator():
    assert repr(times()) == 'Operator("times", kernels for cpu)'
    assert repr(times(has_kernel=False)) == 'Operator("times", kernels for no platform)'


def test_a_cell_of_a_notebook_that_runs_again():
    """There is no file behind it, and the old operator, whose name is the same, goes on."""
    source = """
twice = dd.Operator("cell", lambda x: x * FACTOR)

@twice.kernel("cpu")
def _(x, out):
    out[:] = x * FACTOR
"""
    found = []
    for factor in (2.0, 3.0):
        space = {"dd": dd, "FACTOR": factor}
        exec(source, space)
        found.append(space["twice"])
    assert np.array_equal(found[1](X), 3 * X)
    assert np.array_equal(found[0](X), 2 * X)


def test_our_own_kernels_are_compiled_once_on_a_node(tmp_path):
    """The second process finds all of it: the kernel and what calls it."""
    code = """
    import numpy as np
    import distdyn as dd
    from numba.core import event
    A = dd.CSR((2.0, [1, 0, 1], [0, 1, 3]), shape=(2, 2))
    with event.install_recorder("numba:compile") as recorder:
        y = np.array([True, True]) @ A
    print(y.tolist(), sum(event.is_start for _, event in recorder.buffer))
    """
    environment = {**os.environ, "DISTDYN_CACHE": str(tmp_path)}
    told = [
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True, text=True, check=True, env=environment,
        ).stdout.split()
        for _ in range(2)
    ]  # fmt: skip
    assert told[0][:2] == told[1][:2] == ["[2.0,", "4.0]"]
    assert int(told[0][2]) > 0 and int(told[1][2]) == 0


def test_kernels_that_different_processes_compiled_are_not_mixed_up(tmp_path):
    """Each compiles one width of rows as its first; a third loads both, of the same types."""
    code = """
    import sys
    import numpy as np
    import distdyn as dd
    for width in map(int, sys.argv[1:]):
        A = dd.FixedNumber((3.0, np.zeros((2, width), int)), shape=(2, 2))
        print((np.ones(2, bool) @ A).tolist())
    """
    environment = {**os.environ, "DISTDYN_CACHE": str(tmp_path)}

    def run(*widths):
        command = [sys.executable, "-c", textwrap.dedent(code), *widths]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        return done.stdout.splitlines()

    assert run("1") == ["[6.0, 0.0]"] and run("2") == ["[12.0, 0.0]"]
    assert run("1", "2") == ["[6.0, 0.0]", "[12.0, 0.0]"]
    assert run("2", "1") == ["[12.0, 0.0]", "[6.0, 0.0]"]
