"""A worker's side of the conversation: one line of JSON for each line of JSON, until none comes.

A program that is told something of each run takes it from its generator: `request = yield found`.

Imported in the Python of a peer, so it needs nothing but Python.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

ANSWERS = "PEERS_ANSWERS"  # the variable that holds the number of the file to write to


def answer(prepare: Callable[[dict], Iterator[dict]]) -> None:
    """Hand the first line to `prepare`, and pass on what it yields, one thing for each line."""
    answers = os.fdopen(int(os.environ[ANSWERS]), "w")
    program = prepare(json.loads(sys.stdin.readline()))
    found = next(program)
    while True:
        print(json.dumps(found), file=answers, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        is_told = isinstance(program, Generator)
        found = program.send(json.loads(line)) if is_told else next(program)


def peak_rss() -> int:
    """The most memory that this process has held so far, in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
