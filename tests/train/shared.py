"""Networks whose neurons ranks share: the derivatives must be those of a rank that has them all.

mpirun -n 2 python shared.py --devices 2 --network every     # an error, or "same" from rank 0
"""

import argparse

from distdyn.parallel import launch
from distdyn.parallel.launch.devices import local_devices
from tests.train import layered, nets


def layers():
    """The network of layers."""
    return {
        "network": layered.Layered(dropout=0.0), "where": layered.WHERE, "watch": ["out.V", "E.V"]
    }  # fmt: skip


def squares(outputs):
    """A loss of all that is watched."""
    return sum((y**2).mean() for y in outputs.values())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--network", choices=("every", "layers"), default="every")
    options = parser.parse_args()
    world = launch.world()
    local_devices(options.devices, "cpu", world)
    world.line(options.devices)
    is_every = options.network == "every"
    given = None if is_every else {"inp": layered.spikes(4)}
    value = nets.value_of if is_every else squares
    found = [
        nets.loss_and_gradient(
            nets.unrolled(shape, team=team, **({} if is_every else layers())),
            given=given, value=value,
        )
        for shape, team in (((1, 1), None), ((1, options.devices), world))
    ]  # fmt: skip
    nets.check_same(found[1], found[0])
    if world.rank == 0:
        print("same", flush=True)


if __name__ == "__main__":
    main()
