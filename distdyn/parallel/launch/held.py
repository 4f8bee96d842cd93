"""Held: MPICH's mpirun learns that a rank has died from us, not before us.

It takes a closed connection to a rank for a normal end if the rank's exit code is 0, ends the
others without a word and returns 0 itself: `os._exit(0)` on one rank would look like success. So
every rank keeps a copy of its neighbour's connections (PMI, standard output and error) open. When
the neighbour dies, the watch sees it, says which rank it was, and ends the job with an error.
"""

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any


def hold_neighbour(comm: Any, environment: Mapping[str, str]) -> None:
    """Keep what the rank before us on this host is connected by open, until we end. Collective.

    Args:
        comm: of the ranks of the host.
        environment: of this process.
    """
    mine = int(environment.get("PMI_FD", "-1"))
    has_sockets = hasattr(socket, "recv_fds") and os.name == "posix"
    if comm.size == 1 or not all(comm.allgather(mine >= 0 and has_sockets)):
        return
    name = comm.bcast(secrets.token_hex(8))
    with ExitStack() as stack:
        inbox = _socket(stack)
        is_bound = _try(lambda: inbox.bind(f"\0distdyn-{name}-{comm.rank}"))
        if not all(comm.allgather(is_bound)):  # no abstract addresses: not Linux
            return
        outbox = _socket(stack)
        to = f"\0distdyn-{name}-{(comm.rank + 1) % comm.size}"
        is_sent = _try(lambda: (outbox.connect(to), socket.send_fds(outbox, [b"."], [mine, 1, 2])))
        if all(comm.allgather(is_sent)):
            inbox.settimeout(5.0)
            with suppress(OSError):
                socket.recv_fds(inbox, 1, 3)  # open from now on; nobody needs their numbers


def _socket(stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))


def _try(act: Callable[[], Any]) -> bool:
    try:
        act()
    except OSError:
        return False
    return True
