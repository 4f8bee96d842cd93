"""Operators whose kernels are written for Numba-CUDA. Most of this needs a GPU."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numba import cuda, float32

import distdyn as dd
from distdyn.errors import OperatorError
from distdyn.ops import cuda as on_cuda
from distdyn.ops import ffi
from tests.ops.test_gpu import has_gpu

on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not has_gpu(), reason="JAX finds no GPU on this machine"),
]


def scaled(x, *, factor=2.0, shift=(0.0, 1.0)):
    return x * factor + shift[1]


def scaled_kernel(x, out, factor, shift):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i] * factor + shift[1]


def test_the_handler_is_machine_code():
    """It is compiled, and answers which version of the interface it was made for."""
    kinds = [("float32", 2), ("bool", 1), ("int64", 0), ("float64", 3)]
    text = on_cuda.handler("none", 1, kinds, 3, (7, 256), (0,), 2, 3)
    assert ffi.compile_module(text).address("handler")
    layout = ffi.frame_layout()
    assert ffi.compile_module(on_cuda._STREAM.format(**layout._asdict())).address("stream")


def test_a_launch_that_is_not_possible():
    op = dd.Operator("scaled", scaled)
    with pytest.raises(OperatorError, match=r"a CUDA kernel is started by threads, block, zeros"):
        op.kernel("cuda", grid=3)
    with pytest.raises(OperatorError, match=r"a block of 2048 threads"):
        op.kernel("cuda", block=2048)
    with pytest.raises(OperatorError, match=r"a kernel for CPUs has one thread"):
        op.kernel("cpu", threads=3)


class TestOnAGPU:
    pytestmark = on_gpu

    @pytest.fixture(autouse=True)
    def on_the_gpu(self):
        with jax.default_device(jax.devices("gpu")[0]):
            yield

    def test_values_attributes_and_transformations(self):
        op = dd.Operator("scaled", scaled)
        op.kernel("cuda")(scaled_kernel)
        x = jnp.linspace(-3.0, 5.0, 1001)
        for given in ({}, {"factor": 3.0}, {"factor": -1.5, "shift": (0.0, 7.0)}):
            np.testing.assert_allclose(op(x, **given), scaled(x, **given), atol=1e-6)
        text = jax.jit(op).lower(x).compile().as_text()
        assert "distdyn_cuda_scaled" in text
        rows = x.reshape(7, 143)
        np.testing.assert_allclose(jax.vmap(op)(rows), scaled(rows), atol=1e-6)
        grad = jax.grad(lambda x: jnp.sum(op(x) ** 2))(x)
        np.testing.assert_allclose(grad, 4 * scaled(x), rtol=1e-5)

    def test_buffers_that_are_one_and_results_of_zeros(self):
        def reference(total, x, of):
            return total.at[of].add(x), jnp.zeros(5, x.dtype).at[of].add(x)

        def kernel(total, x, of, sums, fresh):
            i = cuda.grid(1)
            if i < x.size:
                cuda.atomic.add(sums, of[i], x[i])
                cuda.atomic.add(fresh, of[i], x[i])

        op = dd.Operator("adds", reference, aliases={0: 0})
        op.kernel("cuda", threads=lambda total, x, *rest: x.size, block=64, zeros=True)(kernel)
        rng = np.random.default_rng(3)
        total = jnp.arange(5, dtype=jnp.float32)
        x, of = jnp.ones(1000, jnp.float32), jnp.array(rng.integers(0, 5, 1000), jnp.int32)
        for _ in range(3):  # memory that was used before
            for found, expected in zip(op(total, x, of), reference(total, x, of), strict=True):
                np.testing.assert_array_equal(found, expected)

    def test_a_graded_synapse_as_documented(self):
        """The example of docs/operators.md, on the GPU."""
        page = (Path(__file__).parents[2] / "docs" / "operators.md").read_text()
        part = page[page.index("## An operator of your own") :]
        code = [block.split("```")[0] for block in part.split("```python\n")[1:]]
        space = {"dd": dd, "jax": jax, "jnp": jnp, "np": np, "rng": np.random.default_rng(1)}
        for block in code:
            exec(block, space)
        V, weight, post = (space[name] for name in ("V", "weight", "post"))
        text = jax.jit(lambda V: space["graded"](V, weight, post, n_post=300)).lower(V)
        assert "distdyn_cuda_graded" in text.compile().as_text()

    def test_a_kernel_that_does_not_compile(self):
        def kernel(x, out):
            out[0] = x.nothing

        op = dd.Operator("broken", lambda x: x)
        op.kernel("cuda")(kernel)
        with pytest.raises(OperatorError, match=r'"broken": its CUDA kernel does not compile for'):
            op(jnp.ones(3))

    def test_a_kernel_that_no_gpu_can_run(self):
        def kernel(x, out):
            shared = cuda.shared.array(1 << 16, float32)  # 256 KB, more than a block can have
            shared[cuda.threadIdx.x] = x[0]
            cuda.syncthreads()
            out[0] = shared[0]

        op = dd.Operator("toolarge", lambda x: x)
        op.kernel("cuda", threads=1 << 62)(kernel)
        with pytest.raises(OperatorError, match=r'"toolarge": .* too many for CUDA'):
            op(jnp.ones(3))
        op.kernel("cuda")(kernel)
        with pytest.raises(OperatorError, match=r'"toolarge": its CUDA kernel does not become'):
            op(jnp.ones(4))
