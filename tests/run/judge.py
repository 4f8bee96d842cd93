"""Reads files that nobody should trust, one after the other, and says how each reading ended.

Every line of stdin asks: a kind of file and its path, as JSON. Every line of stdout answers: the
error and its message, seconds, and the most memory that the process had, in bytes.
"""

import json
import os
import sys
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np

import distdyn as dd
from distdyn.analysis.continuation.branches import load_branches
from distdyn.cli import main
from distdyn.errors import DistDynError, ExitCode
from distdyn.parallel.launch import World
from distdyn.run import columns, store
from distdyn.run.checkpoint.stored import Stored
from distdyn.run.provenance import peak_rss
from distdyn.run.reader import load
from distdyn.run.verify import verify
from distdyn.train.tasks.heidelberg import SpikingHeidelberg
from partition.files import load as load_decomposition
from partition.topology import DecompositionError


def recording(path: Path) -> None:
    found = load(path)
    found.spikes_sha256()
    for trace in found.traces.values():
        trace.value.sum()


def state(path: Path) -> None:
    stored = Stored(path)
    stored.verify(World())
    stored.read("cells/E", np.arange(80))


def whole(path: Path) -> None:
    for verdict in verify(path, World()):
        if verdict.fault is not None:
            raise dd.errors.CheckpointError(verdict.fault)


def cli(words: list[str]) -> None:
    """A command; what it prints goes nowhere."""
    out, err = (open(os.devnull, "w", errors=how) for how in ("strict", "backslashreplace"))
    with out, err, redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as ended:  # argparse
            code = ended.code
    if code not in list(ExitCode):
        raise AssertionError(f"exit status {code!r}")


def heidelberg(path: Path) -> None:
    task = SpikingHeidelberg.__new__(SpikingHeidelberg)
    object.__setattr__(task, "pool", 1)
    where, _ = task.trials(path)
    for _ in task.events(path, where):
        pass


READERS = {
    "recording": recording,
    "state": state,
    "verify": whole,
    "arrays": store.read_arrays,
    "branches": load_branches,
    "sweep": columns.read,
    "edges": dd.Edges.from_file,
    "decomposition": load_decomposition,
    "heidelberg": heidelberg,
    "cli": cli,
}


def answer(kind: str, what: str | list[str]) -> dict:
    began = time.perf_counter()
    try:
        READERS[kind](Path(what) if isinstance(what, str) else what)
        error, text = "", ""
    except (DistDynError, DecompositionError) as found:
        error, text = type(found).__name__, str(found)
    except BaseException as found:
        error = f"UNLISTED {type(found).__name__}"
        text = "".join(traceback.format_exception(found))[-1500:]
    seconds = time.perf_counter() - began
    return {"error": error, "text": text, "seconds": seconds, "rss": peak_rss()}


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)
