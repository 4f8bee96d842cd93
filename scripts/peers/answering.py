"""A worker's side of the conversation: one line of JSON for each line of JSON, until none comes.

Imported in the Python of a peer, so it needs nothing but Python.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

ANSWERS = "PEERS_ANSWERS"  # the variable that holds the number of the file to write to


def answer(prepare: Callable[[dict], Iterable[dict]]) -> None:
    """Hand the first line to `prepare`, and pass on what it yields, one thing for each line."""
    answers = os.fdopen(int(os.environ[ANSWERS]), "w")
    for found in prepare(json.loads(sys.stdin.readline())):
        print(json.dumps(found), file=answers, flush=True)
        if not sys.stdin.readline():
            return


def peak_rss() -> int:
    """The most memory that this process has held so far, in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
