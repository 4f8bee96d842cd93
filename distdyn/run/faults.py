"""Faults on demand, for tests: `DISTDYN_FAULT=point[:rank[:how]]`.

point    build, aside, shard, manifest, rename; step-500: the first chunk that ends there or later
rank     whose, by default all
how      kill (by default), raise, exit, stop
"""

import os
import signal

from distdyn.errors import LaunchError

HOW = "kill", "raise", "exit", "stop"


def reach(point: str, rank: int, step: int | None = None) -> None:
    """This rank has come to a point; what was asked for there happens."""
    asked = os.environ.get("DISTDYN_FAULT")
    if not asked:
        return
    where, _, rest = asked.partition(":")
    whose, _, how = rest.partition(":")
    if whose not in ("", str(rank)) or not _is_here(where, point, step):
        return
    if how == "raise":
        raise RuntimeError(f"DISTDYN_FAULT={asked}")
    if how == "exit":
        raise SystemExit(3)
    if how not in ("", "kill", "stop"):
        raise LaunchError(f"DISTDYN_FAULT={asked} is not understood. Use one of {', '.join(HOW)}.")
    os.kill(os.getpid(), signal.SIGSTOP if how == "stop" else signal.SIGKILL)


def _is_here(asked: str, point: str, step: int | None) -> bool:
    if step is not None and asked.startswith("step-") and asked[5:].isdigit():
        return step >= int(asked[5:])
    return asked == point
