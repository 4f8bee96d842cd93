"""From training to analysis: the equations that are analysed are those of what was trained."""

import jax
import numpy as np
import optax
import pytest

import distdyn as dd
from tests.analysis.systems import TanhUnit

DT = 10.0


class Memory(dd.Network):
    """Recurrent rates that keep bits, which pulses set."""

    def __init__(self, n=24, bits=2):
        self.seen = dd.Population(bits, TanhUnit(method=dd.Euler()))
        self.inp = dd.CurrentInput(self.seen, 0.0)
        self.cells = dd.Population(n, TanhUnit(tau=20.0, method=dd.Euler()))
        self.out = dd.Population(bits, TanhUnit(method=dd.Euler()))

        def connect(pre, post, sd):
            return dd.Projection(
                pre, post, dd.AllToAll(), dd.Additive(), weight=dd.Normal(0.0, sd), delay=0.0
            )

        self.w_in = connect(self.seen, self.cells, 1.0)
        self.rec = connect(self.cells, self.cells, 0.5 * n**-0.5)
        self.w_out = connect(self.cells, self.out, n**-0.5)


@pytest.fixture(scope="module")
def trained():
    task = dd.tasks.FlipFlop(bits=2, dt=DT, updates=300, seed=1)
    trainer = dd.DSTrainer(
        Memory(),
        loss=dd.loss.mse("out.x"),
        optimizer=optax.chain(
            optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(2e-2, 300))
        ),
        where=["w_in.weight", "rec.weight", "w_out.weight", "cells.tau"],
        dt=DT,
        seed=1,
        progress="off",
    )
    trainer.fit(task)
    return trainer


@pytest.fixture(scope="module")
def recording(trained):
    """Of the trained network, driven by pulses, with all its variables."""
    task = dd.tasks.FlipFlop(bits=2, dt=DT, duration=4000.0)
    pulses = task.trials(1, np.random.default_rng(3))[0]["inp"][0]
    network = Memory()
    network.inp = dd.CurrentInput(network.seen, dd.Sampled(pulses, DT))
    record = [dd.every(DT, f"{path}.x") for path in ("seen", "cells", "out")]
    runner = dd.DSRunner(
        network, dt=DT, seed=1, parameters=trained.parameters, precision="float64", record=record
    )
    return runner.run(4000.0), pulses


def test_the_field_is_that_of_the_simulation(trained, recording):
    """Euler's method: from one recorded state to the next is a step along the field."""
    traces = recording[0].traces
    step = 150
    now = {name: trace.value[step] for name, trace in traces.items()}
    assert np.abs(now["out.x"]).min() > 0.5
    pulse = recording[1][step + 1]
    field = dd.vector_field(
        Memory(), seed=1, parameters=trained.parameters | {"inp": np.asarray(pulse, float)}
    )
    with jax.enable_x64(True):
        slope = field.F(now, {})
    for name, trace in traces.items():
        moved = (trace.value[step + 1] - trace.value[step]) / DT
        np.testing.assert_allclose(slope[name], moved, rtol=1e-6, atol=1e-8)


def test_what_is_kept_is_a_stable_point(trained, recording):
    """Bits that are kept independently have 3^2 points: 4 stable, 4 + 1 saddles between."""
    an = dd.DSAnalyzer(Memory(), seed=1, parameters=trained.parameters)
    found = an.slow_points(recording[0], n_states=200)
    is_stable = np.array([label.startswith("stable") for label in found.stability])
    kept = found.state["out.x"][is_stable & found.is_fixed]
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], float)
    order = np.lexsort((kept[:, 1].round(), kept[:, 0].round()))
    np.testing.assert_allclose(kept[order], corners, atol=0.1)
    between = found.state["out.x"][found.is_fixed & ~is_stable]
    assert len(between) and (np.abs(between).min(axis=1) < 0.5).all()
