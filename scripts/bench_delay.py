#!/usr/bin/env python
"""What rules need and reach, against how long must be remembered, as one JSON object.

Delayed match to sample (`distdyn train delayed_match`), with delays of 100 to 1,000 steps between
sample and probe, by backpropagation, by e-prop, and by pp-prop, which factors. Memory is what the
compiled update needs beside its arguments and results, as XLA says; nothing is run for it. With
`--train` each rule also learns the task with each delay; accuracy is that of 256 new trials.

    python scripts/bench_delay.py                              # memory alone: some minutes
    python scripts/bench_delay.py --train --delays 100 500     # a minute or more for each
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import distdyn as dd
from distdyn.train.recipes.delayed_match import delayed_match
from distdyn.train.recipes.recipe import Recipe

GIVEN = dd.surrogate.ReLU(alpha=0.5, width=0.6)
RULES = {
    "bptt": dd.BPTT(surrogate=GIVEN),
    "bptt, all kept": dd.BPTT(surrogate=GIVEN, chunk=None),
    "eprop": dd.EProp(surrogate=GIVEN),
    "ppprop": dd.PPProp(surrogate=GIVEN),
}


def main() -> None:
    options = parse()
    found = []
    for steps in options.delays:
        for name in options.rules:
            recipe = recipe_of(steps, name, options.seed)
            row = {"delay": steps, "rule": name, "bytes": memory_of(recipe, options.platform)}
            if options.train:
                row |= learned(recipe, options.platform)
            print(row, file=sys.stderr, flush=True)
            found.append(row)
    print(json.dumps({"benchmark": "delay", "jax": jax.__version__, "rows": found}, indent=1))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--delays", type=int, nargs="+", default=[100, 200, 500, 1000])
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES))
    parser.add_argument("--train", action="store_true", help="also learn the task")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--platform", choices=("cpu", "gpu"))
    return parser.parse_args()


def recipe_of(steps: int, rule: str, seed: int) -> Recipe:
    """The recipe with a delay of so many steps, and another rule."""
    recipe = delayed_match(seed)
    given: Any = recipe.task
    task = replace(given, delay=steps * recipe.dt)
    return replace(recipe, task=task, testing=task.testing, rule=RULES[rule])


def memory_of(recipe: Recipe, platform: str | None) -> int:
    """The temporary memory of an update."""
    trainer = recipe.trainer(platform=platform, progress="off")
    task: Any = recipe.task
    inputs, target = next(iter(task.batches(0)))
    return trainer.memory(inputs, target)


def learned(recipe: Recipe, platform: str | None) -> dict:
    """How well the task is learned, and how long that takes."""
    trainer, start = recipe.trainer(platform=platform, progress="off"), time.perf_counter()
    trainer.fit(recipe.task, recipe.epochs)
    seconds = time.perf_counter() - start
    return {"accuracy": trainer.evaluate(recipe.testing).accuracy, "seconds": seconds}


if __name__ == "__main__":
    main()
