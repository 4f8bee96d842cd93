"""Words of the command line, drawn at random: commands, options, values that nobody expects."""

import random
from collections.abc import Mapping
from pathlib import Path

VALUES = (
    "", "0", "-1", "1", "2", "1.5", "1e308", "1e999", "nan", "inf", "-inf", "-", "--", "9" * 40,
    "0x10", "\u0661", "None", "True", "[]", "{", "(((((", "x" * 5000, "\x1b[31m", "a\nb", "\u202e",
    "\udc80", "../../x", "/dev/null", "/nowhere/x", "missing", "missing.py:X", "json:loads",
    "os:system", "a.b.c:D", ".py", ":", "auto", "gpu", "float16", "10min", "50ms", "0ms", "-5s",
    "E.spikes", "E.V@0", "E.V@x", "E.V@1e-9", "nobody.spikes", "=", "g=", "=1", "g=1:2", "1:2:3",
    "g=0:1:0", "g=1,2,x", "g=1:2:-3", "n=1e18", "n=-1", "n=1.5", "n=True", "n=()", "n='a'", "5/2",
)  # fmt: skip
# Of each command what it takes first, and its options with how many words they take.
COMMANDS: dict[str, tuple[tuple[str, ...], dict[str, int]]] = {
    "run": (
        ("brunel", "coba", "nothing", "", "os.py"),
        {"--set": 1, "--duration": 1, "--warmup": 1, "--dt": 1, "--seed": 1, "--out": 1,
         "--overwrite": 0, "--checkpoint-every": 1, "--keep": 1, "--resume": 1, "--max-wall": 1,
         "--record": 1, "--no-merge": 0, "--devices": 1, "--platform": 1, "--precision": 1,
         "--progress": 1, "--watchdog": 1, "--decomposition": 1, "--quiet": 0, "--json": 0},
    ),
    "plan": (
        ("brunel", "coba", "nothing"),
        {"--set": 1, "--ranks": 1, "--devices": 1, "--nodes": 1, "--ranks-per-node": 1, "--dt": 1,
         "--precision": 1, "--rate": 1, "--method": 1, "--memory-per-rank": 1, "--json": 0},
    ),
    "sbatch": (
        ("brunel", "coba"),
        {"--duration": 1, "--nodes": 1, "--ranks-per-node": 1, "--time": 1, "--mem": 1,
         "--array": 1, "--partition": 1, "--account": 1, "--name": 1, "--seed": 1, "--mpi": 1},
    ),
    "sweep": (
        ("LIF", "brunel", "nothing"),
        {"--set": 1, "--grid": 1, "--duration": 1, "--dt": 1, "--measure": 1, "--share": 1,
         "--out": 1, "--merge": 0, "--every": 1, "--devices": 1, "--json": 0},
    ),
    "train": (("nothing", ""), {"--epochs": 1, "--seed": 1, "--checkpoint-every": 1, "--mesh": 2}),
    "compare": ((), {"--window": 2, "--width": 1, "--sample": 1, "--populations": 1, "--json": 0}),
    "diff": ((), {"--json": 0, "--quiet": 0}),
    "verify": ((), {"--json": 0, "--quiet": 0}),
    "plot": ((), {"-o": 1, "--window": 2}),
    "describe": (("LIF", "AdEx", "brunel", "nothing"), {"--markdown": 0}),
}  # fmt: skip
PATHS = {"compare": 2, "diff": 2, "verify": 1, "plot": 1}


def line(rng: random.Random, originals: Mapping[str, Path]) -> list[str]:
    """The words of a command, most of which cannot be done."""
    command = rng.choice(list(COMMANDS))
    first, options = COMMANDS[command]
    found = [command]
    if first and rng.random() < 0.95:
        found.append(rng.choice(first if rng.random() < 0.8 else VALUES))
    for _ in range(PATHS.get(command, 0)):
        known = [str(path) for path in originals.values()]
        found.append(rng.choice(known if rng.random() < 0.7 else VALUES))
    if command in ("run", "sbatch", "sweep"):
        found += ["--set", "n=20", "--duration", rng.choice(("1", *VALUES))]
        if command == "sweep":
            found = [word for word in found if word not in ("--set", "n=20")]
    for option in rng.sample(list(options), rng.randrange(0, 1 + min(3, len(options)))):
        found += [option, *(rng.choice(VALUES) for _ in range(options[option]))]
    if command in ("run", "sweep") and rng.random() < 0.9:  # most do not come to be built
        found += ["--dt", rng.choice(("nan", "-1", "0", "1e-12"))]
    if rng.random() < 0.1:
        found.insert(rng.randrange(len(found) + 1), rng.choice(VALUES))
    return found


def about(rng: random.Random, path: str, other: str) -> list[str]:
    """A command that reads what lies at a path."""
    return rng.choice(
        (
            ["verify", path, "--json"], ["diff", path, other], ["diff", other, path, "--json"],
            ["compare", path, other], ["plot", path],
            ["run", "brunel", "--set", "n=20", "--duration", "1", "--quiet", "--resume", path],
            ["run", "brunel", "--set", "n=20", "--duration", "1", "--quiet", "--resume", "auto",
             "--out", path],
            ["run", "brunel", "--set", "n=20", "--duration", "1", "--decomposition", path],
        )
    )  # fmt: skip
