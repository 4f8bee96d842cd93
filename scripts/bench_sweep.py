"""Speed of a parameter sweep of a model: two devices against one that is bound to one core.

    python scripts/bench_sweep.py                          # five minutes
    python scripts/bench_sweep.py --side 20 --duration 500 --turns 2

10,000 points of the decision model of two variables (Wong & Wang 2006), 100 inputs by 100
coherences, by the fourth-order Runge-Kutta method. The programs take turns, in alternating order;
the ratio is the median over turns of the seconds of `dd.sweep` on one core by those on two devices,
with compilation in both. `core_seconds` are those of the processor, which others do not change;
`busy` is how much of the machine they used before each turn. The exit status is 1 if the tables are
not the same, bit for bit.
"""

import argparse
import sys
from contextlib import ExitStack
from statistics import median

from peers.command import parser_of
from peers.machine import busy, machine, report
from peers.workers import Worker

ONE, TWO = "one core", "two devices"


def main() -> None:
    options = parse()
    facts = machine()
    with ExitStack() as open_:
        programs = {
            name: open_.enter_context(worker(options, devices, core))
            for name, devices, core in ((ONE, 1, 0), (TWO, 2, None))
        }
        turns = [turn(programs, k) for k in range(options.turns)]
        first = {name: of.built["seconds"] for name, of in programs.items()}
    tables = {found["sha256"] for each in turns for found in (each[ONE], each[TWO])}
    report(
        "sweep",
        facts,
        options=vars(options),
        ratio=median(each[ONE]["seconds"] / each[TWO]["seconds"] for each in turns),
        ratios=[round(each[ONE]["seconds"] / each[TWO]["seconds"], 3) for each in turns],
        programs={
            name: {
                "seconds": median(each[name]["seconds"] for each in turns),
                "core_seconds": median(each[name]["core_seconds"] for each in turns),
                "first": first[name],
                "peak_memory": turns[-1][name]["peak"],
            }
            for name in programs
        },
        busy=[each["busy"] for each in turns],
        is_same=len(tables) == 1,
    )
    sys.exit(len(tables) != 1)


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__, turns=7)
    parser.add_argument("--side", type=int, default=100, help="points along each parameter")
    parser.add_argument("--duration", type=float, default=20000.0, metavar="MS")
    parser.add_argument("--platform", choices=("cpu", "gpu"), default="cpu")
    return parser.parse_args()


def worker(options: argparse.Namespace, devices: int, core: int | None) -> Worker:
    return Worker(
        "distdyn", "sweep", side=options.side, duration=options.duration, devices=devices,
        core=core, platform=options.platform,
    )  # fmt: skip


def turn(programs: dict[str, Worker], k: int) -> dict:
    others = busy()
    order = list(programs)[:: -1 if k % 2 else 1]
    found = {name: programs[name].run() for name in order}
    words = ", ".join(f"{name} {found[name]['seconds']:.2f} s" for name in programs)
    print(words, file=sys.stderr, flush=True)
    return {"busy": others, **found}


if __name__ == "__main__":
    main()
