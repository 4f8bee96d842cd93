"""`distdyn train`: train the network of a task.

distdyn train yinyang --seed 1 --devices 2 --out trained.h5
distdyn train yinyang --seed 1 --checkpoint runs/a.h5       # goes on if that is there
"""

import argparse
import json

from distdyn.errors import ExitCode
from distdyn.parallel import launch
from distdyn.run import report
from distdyn.run.agreement import agreed
from distdyn.run.checkpoint.schedule import wall_seconds
from distdyn.run.interrupt import Notice, outlive_usr1


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = run.__doc__
    add = parser.add_argument
    add("task", help="a task by name, as yinyang")
    add("--seed", type=int, default=0, metavar="N", help="of all random numbers")
    add("--epochs", type=int, metavar="N", help="as many as it takes by default")
    add("--devices", metavar="N", help='of each rank, or "auto"')
    add(
        "--mesh", nargs=2, type=int, metavar=("DATA", "NEURON"),
        help="how many devices, of a rank or of all, share the trials, and how many the neurons",
    )  # fmt: skip
    add("--platform", choices=("cpu", "gpu"))
    add("--precision", choices=("float32", "float64"), default="float32")
    add("--out", metavar="FILE", help="where what was trained goes (HDF5)")
    add(
        "--checkpoint",
        metavar="FILE",
        help="keep the training there, and go on from it if it is there",
    )
    add("--checkpoint-every", metavar="S", help="30s, 10min or 1h; after every epoch by default")
    add("--resume", metavar="FILE", help="begin with what a training has written")
    add("--quiet", action="store_true", help="only what was asked for")
    add("--json", action="store_true", help="the last line is a JSON object")
    add("--progress", choices=("auto", "bar", "lines", "off"), default="auto", help="on stderr")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Train the network of a task and say how well it does on data of which it has seen none."""
    world = launch.world()
    if options.checkpoint is None:
        outlive_usr1(world)
        return _trained(options, world)
    with Notice():  # from now on: building takes a while
        return _trained(options, world)


def _trained(options: argparse.Namespace, world: launch.World) -> int:
    from distdyn.train import recipes

    with agreed(world):
        every = options.checkpoint_every
        every = every and wall_seconds("--checkpoint-every", every)
        recipe = recipes.named(options.task)(seed=options.seed)
    trainer = recipe.trainer(
        devices=options.devices,
        mesh=tuple(options.mesh) if options.mesh else None,
        platform=options.platform,
        precision=options.precision,
        progress="off" if options.quiet else options.progress,
    )
    if options.resume:
        trainer.load(options.resume)
    epochs = recipe.epochs if options.epochs is None else options.epochs
    history = trainer.fit(
        recipe.task,
        max(0, epochs - trainer.epoch),
        checkpoint=options.checkpoint,
        checkpoint_every=every,
    )
    if options.out:
        trainer.save(options.out)
    score = trainer.evaluate(recipe.testing)
    result = {
        "task": options.task,
        "seed": options.seed,
        "ranks": world.size,
        "devices": len(trainer.devices),
        "epochs": trainer.epoch,
        "updates": trainer.updates,
        "loss": score.loss,
        "accuracy": score.accuracy,
        "seconds": sum(history.seconds),
        "weights_sha256": trainer.digest,
    }
    if world.rank == 0 and not options.quiet:
        print(report.trained(result), flush=True)
    if world.rank == 0 and options.json:
        print(json.dumps(result), flush=True)
    return ExitCode.OK
