"""spyx trains the classifier: `spyx.nn.run` of its recurrent cells. Started in its own Python."""

import math
import time
from collections.abc import Generator

import jax
import jax.numpy as jnp
import optax
import spyx.axn
import spyx.nn
from flax import nnx

from peers.answering import answer
from peers.classifier import LEARNING_RATE, SLOPE, TAU, Sizes, batch, timed, weights


def made(sizes: Sizes, seed: int) -> nnx.Module:
    """A linear layer, recurrent cells, a linear layer, integrators; cells lose 1 by a spike."""
    random, beta = nnx.Rngs(0), math.exp(-1 / TAU)
    enter, recurrent, leave = map(jnp.asarray, weights(sizes, seed))
    first = nnx.Linear(sizes.inputs, sizes.cells, use_bias=False, rngs=random)
    first.kernel[...] = enter
    cells = spyx.nn.RLIF((sizes.cells,), beta, activation=spyx.axn.superspike(SLOPE), rngs=random)
    cells.recurrent_w[...] = recurrent
    last = nnx.Linear(sizes.cells, sizes.classes, use_bias=False, rngs=random)
    last.kernel[...] = leave
    return spyx.nn.Sequential(first, cells, last, spyx.nn.LI((sizes.classes,), beta, rngs=random))


def prepare(request: dict) -> Generator[dict, dict, None]:
    sizes, began = Sizes(*request["sizes"]), time.perf_counter()
    given, target = batch(sizes, request["seed"])
    x, y = jnp.asarray(given, jnp.float32).swapaxes(0, 1), jnp.asarray(target)
    net = made(sizes, request["seed"])
    optimizer = nnx.Optimizer(net, optax.adam(LEARNING_RATE), wrt=nnx.Param)

    def loss(net: nnx.Module) -> jax.Array:
        potential, _ = spyx.nn.run(net, x)
        output = potential.mean(axis=0)
        return optax.softmax_cross_entropy_with_integer_labels(output, y).mean()

    @nnx.jit
    def step(net: nnx.Module, optimizer: nnx.Optimizer) -> jax.Array:
        value, gradient = nnx.value_and_grad(loss)(net)
        optimizer.update(net, gradient)
        return value

    def update() -> None:
        step(net, optimizer).block_until_ready()

    cells = spyx.nn.Sequential(*net.layers[:2])
    spikes, _ = spyx.nn.run(cells, x)
    spiking = float(spikes.mean())
    update()
    first = time.perf_counter() - began
    for _ in range(3):
        update()  # it compiles some of them anew
    yield from timed(first, spiking, update)


answer(prepare)
