"""distdyn draws the diagram of a cell: `continuation`, and `limit_cycles` from its Hopf points."""

import os
import time
from collections.abc import Iterator

import distdyn as dd
from peers.answering import answer, peak_rss
from peers.diagram import CELLS


def prepare(request: dict) -> Iterator[dict]:
    if request["core"] is not None:
        os.sched_setaffinity(0, {request["core"]})
    cell = CELLS[request["cell"]]
    yield {"seconds": 0.0}
    while True:
        began, of_cores = time.perf_counter(), time.process_time()
        an = dd.DSAnalyzer(getattr(dd, cell.name)())
        rest = an.continuation("I_e", cell.currents)
        cycles = an.limit_cycles("I_e", cell.currents, points=rest.points("H"))
        seconds, core_seconds = time.perf_counter() - began, time.process_time() - of_cores
        again, again_of_cores = time.perf_counter(), time.process_time()
        points = an.continuation("I_e", cell.currents).points("H")
        an.limit_cycles("I_e", cell.currents, points=points)
        yield {
            "seconds": seconds,
            "core_seconds": core_seconds,
            "again": time.perf_counter() - again,
            "again_core_seconds": time.process_time() - again_of_cores,
            "hopf": sorted(point.value for point in rest.points("H")),
            "folds": sorted(point.value for point in cycles.points("LPC")),
            "stable_cycles": sum(int(branch.stable.sum()) for branch in cycles),
            "unstable_cycles": sum(int((~branch.stable).sum()) for branch in cycles),
            "peak": peak_rss(),
        }


answer(prepare)
