"""What an exchange of spikes costs, as one JSON object; times in microseconds per exchange.

    python scripts/bench_exchange.py
    python scripts/bench_exchange.py --parts messages --turns 31

`messages`: lists between two ranks as nodes exchange them, once per chunk (`swap`), beside a plain
Sendrecv of mpi4py with as many bytes: of the same memory again and again (`sendrecv`), and written
anew before each call, as every real list is (`written`): the other core no longer has it in its
cache.

`devices`: a step inside jit on two devices of a process, with an exchange through mailboxes
(`mailbox`), with one through the collectives of a mesh (`mesh`), or without any (`none`).
`ranks`: the same on two ranks that share memory, each with a JAX of its own; no mesh joins them.

They take turns, so that a machine that slows down slows all. `median` is over the turns,
`least` the turn that was disturbed least, `ratio` the median of swap over each of the others.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

STEPS = 2000  # of a jitted loop
SIZES = {"64 B": 16, "4 KB": 1024, "64 KB": 16384}  # values of a list
MPIRUN = Path(sys.executable).with_name("mpirun")  # of this environment, not the first on PATH


def messages(turns: int) -> dict | None:
    """Two ranks send each other lists; on rank 0 what that costs, for each size."""
    from mpi4py import MPI

    from distdyn.parallel.exchange.messages import Messages

    comm = MPI.COMM_WORLD
    peer = 1 - comm.rank
    results = {}
    for name, n in {"empty": 0, **SIZES}.items():
        calls = exchanges(comm, peer, n, Messages(comm, [peer], [peer], capacity=max(n, 1024)))
        results[name] = summary(take_turns(calls, turns, before=comm.Barrier))
    return results if comm.rank == 0 else None


def exchanges(comm: Any, peer: int, n: int, lines: Any) -> dict[str, Callable[[], object]]:
    values, ours, theirs = np.arange(n, dtype=np.int32), *np.zeros((2, n), np.int32)
    lists = {peer: values}

    def swap():
        lines.swap(lists)

    def sendrecv():
        comm.Sendrecv(ours, peer, 0, theirs, peer, 0)

    def written():
        ours[:] = values
        sendrecv()

    return {"swap": swap, "sendrecv": sendrecv, "written": written}


def devices(turns: int) -> dict | None:
    """Steps of two devices of this process, 16 cells of each of which spike."""
    import jax

    jax.config.update("jax_num_cpu_devices", 2)
    jax.config.update("jax_enable_x64", True)
    from distdyn.parallel.stack import Stack

    stack = Stack(jax.local_devices())
    memory = mailboxes(lambda nbytes: np.zeros(nbytes // 8 + 8, np.int64))
    boards = stack.own([np.array([memory.ctypes.data, box]) for box in range(2)])
    ways = {"mailbox": with_mailbox, "mesh": with_mesh, "none": without}
    return timed_steps(stack, boards, ways, turns, lambda: None)


def ranks(turns: int) -> dict | None:
    """Steps of two ranks of this node."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from distdyn.parallel.launch import world
    from distdyn.parallel.stack import Stack

    us = world()
    memory = mailboxes(lambda nbytes: us.shared(nbytes).view(np.int64))
    us.barrier()
    stack = Stack(jax.local_devices()[:1])
    boards = stack.own([np.array([memory.ctypes.data, us.rank])])
    ways = {"mailbox": with_mailbox, "none": without}
    found = timed_steps(stack, boards, ways, turns, us.barrier)
    return found if us.rank == 0 else None


def mailboxes(allocate: Callable[[int], np.ndarray]) -> np.ndarray:
    from distdyn.ops.mailbox import Layout

    layout = Layout(range(2), [1024], 1)
    memory = allocate(8 * layout.words)
    start = -memory.ctypes.data % 64 // 8
    memory = memory[start:]
    layout.write(memory)
    return memory


def with_mailbox(board: Any, events: Any, stamp: Any) -> Any:
    from distdyn.ops import exchange

    token = exchange.append(
        board, 0, events, np.int64(0), np.int32(len(events)), exchange.first_token()
    )
    token = exchange.close(board, stamp, np.int64(-1), np.bool_(False), token)
    return exchange.settle(board, token)


def with_mesh(board: Any, events: Any, stamp: Any) -> Any:
    import jax

    return jax.lax.all_gather(events, "part").sum(dtype=np.int64)


def without(board: Any, events: Any, stamp: Any) -> Any:
    return np.int64(0)


def timed_steps(
    stack: Any, boards: Any, ways: dict[str, Callable], turns: int, before: Callable
) -> dict:
    """Microseconds per step of a jitted loop, for each way of exchanging."""
    import functools

    import jax
    import jax.numpy as jnp
    from jax.sharding import PartitionSpec as P

    spec = P("part")

    def loop(way: Callable, board: Any, events: Any) -> Any:
        def step(stamp: Any, carry: Any) -> Any:
            events, total = carry
            return (events + 1) % 1024, total + way(board, events, jnp.int64(stamp))

        events, total = jax.lax.fori_loop(1, STEPS + 1, step, (events, jnp.int64(0)))
        return events + total.astype(events.dtype)  # so that no exchange is left out

    calls = {}
    events = stack.own([np.arange(16, dtype=np.int32) for _ in stack.devices])
    for name, way in ways.items():
        run = jax.jit(
            jax.shard_map(
                functools.partial(loop, way), mesh=stack.mesh, in_specs=(spec, spec),
                out_specs=spec, check_vma=False,
            )
        )  # fmt: skip
        before()
        jax.block_until_ready(run(boards, events))
        calls[name] = lambda run=run: jax.block_until_ready(run(boards, events))
    times = take_turns(calls, turns, before=before, repeats=1)
    return summary({name: [t / STEPS for t in each] for name, each in times.items()})


def take_turns(
    calls: dict[str, Callable[[], object]],
    turns: int,
    *,
    before: Callable[[], object],
    repeats: int = 300,
) -> dict[str, list[float]]:
    """Microseconds per call, one figure for each turn."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            before()
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            times[name].append((time.perf_counter() - start) / repeats * 1e6)
    return times


def summary(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    first, *others = times
    ratios = {
        name: round(median(a / b for a, b in zip(times[first], times[name], strict=True)), 2)
        for name in others
    }
    return {
        "median": {name: round(median(each), 2) for name, each in times.items()},
        "least": {name: round(min(each), 2) for name, each in times.items()},
        "ratio": ratios,
    }


# What is measured -> who measures it, and what starts the processes that do.
PARTS: dict[str, tuple[Callable[[int], dict | None], list[str]]] = {
    "devices": (devices, []),
    "ranks": (ranks, [str(MPIRUN), "-bind-to", "core", "-n", "2"]),
    "messages": (messages, [str(MPIRUN), "-bind-to", "core", "-n", "2"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--turns", type=int, default=31)
    parser.add_argument("--worker", choices=list(PARTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        found = PARTS[arguments.worker][0](arguments.turns)
        if found is not None:
            print(json.dumps(found), flush=True)
        return
    print(json.dumps({part: measure(part, arguments.turns) for part in arguments.parts}))


def measure(part: str, turns: int) -> dict:
    """The figures of one part, measured by processes of its own."""
    worker = [sys.executable, __file__, "--worker", part, "--turns", str(turns)]
    run = subprocess.run(
        [*PARTS[part][1], *worker], stdout=subprocess.PIPE, text=True, timeout=600, check=True
    )
    return json.loads(run.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
