"""An operator: currents between neighbours on a ring, with a kernel of its own."""

import jax
import jax.numpy as jnp

import distdyn as dd


def reference(V, *, g):
    """I_i = g (V_{i-1} + V_{i+1} - 2 V_i)."""
    return g * (jnp.roll(V, 1) + jnp.roll(V, -1) - 2 * V)


ring = dd.Operator("ring", reference, linear=(0,))


@ring.kernel("cpu")
def on_cpu(V, I, g):
    for i in range(V.size):
        I[i] = g * (V[i - 1] + V[(i + 1) % V.size] - 2 * V[i])


if __name__ == "__main__":
    V = jnp.arange(5.0)
    print(ring(V, g=2.0), jax.grad(lambda V: ring(V, g=2.0) @ V)(V))
