"""`distdyn train tiny`: a readout alone as a recipe, and SIGUSR1 in the middle of an epoch.

SIGNAL=5 mpirun -n 2 python kept.py --checkpoint a.h5 --json       # before the fifth batch

The last rank alone gets the signal, from itself: so it comes at the same place in every run.
"""

import os
import signal
import sys

import optax

import distdyn as dd
from distdyn import cli
from distdyn.parallel import launch
from distdyn.train import recipes
from tests.train.small import task

EPOCHS, UPDATES = 3, 3


class Tiny(dd.Network):
    """Two generators, and a readout for each of two classes: little to compile."""

    def __init__(self):
        self.inp = dd.Population(2, dd.SpikeTimes([], []))
        self.out = dd.Population(2, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
        self.w = dd.Projection(
            self.inp, self.out, dd.AllToAll(), dd.Delta(), weight=dd.Normal(0.4, 0.6), delay=1.0
        )


def batches(epoch):
    """Those of the small task; the signal precedes one of those of all epochs."""
    us, signalled = launch.world(), int(os.environ.get("SIGNAL", "0"))
    for k, batch in enumerate(task().batches(epoch), UPDATES * epoch + 1):
        if k == signalled and us.rank == us.size - 1:
            os.kill(os.getpid(), signal.SIGUSR1)
        yield batch


def tiny(seed=0):
    """The recipe."""
    return recipes.Recipe(
        network=Tiny(), loss=dd.loss.cross_entropy("out.V"), optimizer=optax.adam(5e-2),
        where=("w.weight",), rule=dd.BPTT(chunk=None), task=batches, testing=task(1),
        epochs=EPOCHS, goal=0.0, seed=seed,
    )  # fmt: skip


if __name__ == "__main__":
    recipes.RECIPES["tiny"] = tiny
    sys.exit(cli.main(["train", "tiny", "--progress", "lines", *sys.argv[1:]]))
