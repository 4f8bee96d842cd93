"""`dd.sweep`: any model or network at many points, over devices, ranks and jobs of an array.

    table = dd.sweep(dd.LIF(), {"I_e": np.linspace(0, 600, 50)}, "rate", duration=1000.)
    table = dd.sweep(Balanced, {"n": [400, 4000], "E.I_e": [0., 200.]}, "cv", duration=1000.,
                     out="s.h5")                  # killed and started again, it goes on

The work is cut into units, blocks of points or runs, that do not depend on who does them. Ranks
take the next ones as they get done; what is done is written at once.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distdyn.analysis.sweep import table as tables
from distdyn.analysis.sweep.folds import Fold
from distdyn.analysis.sweep.grid import Points, Span
from distdyn.analysis.sweep.identity import about
from distdyn.analysis.sweep.models import SMALL, ModelWork
from distdyn.analysis.sweep.networks import NetworkWork
from distdyn.analysis.sweep.results import Results
from distdyn.analysis.sweep.table import Sweep
from distdyn.core.ode import ODE
from distdyn.core.system import DynamicalSystem
from distdyn.errors import AnalysisError, SimulationError
from distdyn.network.network import Network
from distdyn.parallel import launch
from distdyn.parallel.launch.detect import detect
from distdyn.parallel.launch.devices import NEURONS_PER_DEVICE, local_devices
from distdyn.parallel.launch.tickets import Tickets
from distdyn.run import arguments
from distdyn.run.agreement import agreed, check_common
from distdyn.run.progress import Progress, check_mode
from distdyn.units import check_dt, shown

SECONDS = 1.0  # of work between two writes, about


def sweep(
    system: Any,
    grid: Any,
    measure: Any,
    *,
    duration: float,
    dt: float = 0.1,
    warmup: float = 0.0,
    every: float | None = None,
    seed: int = 0,
    precision: str | None = None,
    record: Any = "spikes",
    devices: int | str | None = None,
    platform: str | None = None,
    out: Any = None,
    overwrite: bool = False,
    strict: bool = False,
    share: tuple[int, int] | str | None = "auto",
    progress: str = "auto",
) -> Sweep:
    """Run a model or a whole network at many points, and measure each.

    What a point comes to is a function of the point and of these arguments: the table is the same,
    bit for bit, on any number of devices and ranks, in one piece or several. A point that fails, or
    whose measure is not finite, is noted in `status`, and the others go on.

    Collective.

    Args:
        system: a model (an `ODE`), whose points run together as one program; or a network, any
            other system, or a function or class that makes a network, of which every point is a
            run of its own.
        grid: `{name: values}`, all combinations; or a list of points `{name: value}`, or a
            structured array. A name is a parameter or an initial state of the model (`I_e`, `V`),
            or a path of the network (`E.tau_m`, `exc.weight`), or an argument of the function that
            makes it; and `seed`, else all points have the same.
        measure: a name, a function, or a list of them. For a model: `rate` and `cv` of its spikes,
            `mean`, `std`, `min`, `max`, `final` of its states; a function `measure(t, state)` of
            its trajectory, written in JAX, or a `Fold`. For a network: `rate`, `cv`; a function of
            the `Recording`. Functions return numbers by name.
        duration: measured time, ms.
        dt: time step, ms.
        warmup: time before it, which is not measured, ms.
        every: distance of the samples that a function of a trajectory is given, ms; by default dt.
        seed: of all draws.
        precision: "float32" or "float64"; by default the latter for models, the former for
            networks.
        record: of a network: what is recorded, as `DSRunner` takes it.
        devices: of this rank, over which blocks of points are dealt, or the neurons of a network.
        platform: "cpu" or "gpu"; by default that of JAX.
        out: an HDF5 file for the table. What it holds already of the same sweep is not done again.
        overwrite: begin anew, whatever it holds.
        strict: the first point that fails ends the sweep with its error.
        share: `(k, n)`: only the k-th of n shares, as one job of an array; by default, if there is
            `out`, that of SLURM_ARRAY_TASK_ID; None: all points. The last job to end joins them.
        progress: "auto", "bar", "lines" or "off", as of `DSRunner`.

    Returns:
        The table, on all ranks.

    Raises:
        AnalysisError: grid or measure are not possible, or `out` holds another sweep.
        SimulationError: with `strict`, a point has failed.
    """
    world = launch.world()
    is_one = isinstance(measure, Fold) or not isinstance(measure, list | tuple)
    measures = [measure] if is_one else list(measure)
    with agreed(world):
        _check(system, measures)
        points = Points.of(grid)
        system = system() if isinstance(system, type) and issubclass(system, ODE) else system
        is_model = isinstance(system, ODE)
        precision = arguments.precision(precision or ("float64" if is_model else "float32"))
        span = _span(
            dt, warmup, duration, every, is_stored=is_model and any(map(callable, measures))
        )
        seed = arguments.seed(seed)
        part, progress = _share(share, out), check_mode(progress)
        identity = about(
            system, points, measures, span, seed=seed, precision=precision,
            record=() if is_model else record,
        )  # fmt: skip
    check_common(world, out=str(out), share=part, strict=strict, devices=devices, **identity)
    work = _work(
        system, points, measures, span, world, devices, platform,
        seed=seed, precision=precision, record=record,
    )  # fmt: skip
    results = Results(out, points, identity, world, part=part, overwrite=overwrite)
    _do(work, results, world, part, strict=strict, progress=progress)
    return results.finish()


def _check(system: Any, measures: Sequence[Any]) -> None:
    if not isinstance(system, DynamicalSystem | Network) and not callable(system):
        raise AnalysisError(
            f"{shown(system)} is neither a model nor a network, nor makes one. Give such as "
            "dd.FitzHughNagumo(), a network, or its class."
        )
    if not measures:
        raise AnalysisError("measure = [] measures nothing. Give a name, such as mean.")


def _work(
    system: Any,
    points: Points,
    measures: Sequence[Any],
    span: Span,
    world: launch.World,
    devices: Any,
    platform: str | None,
    *,
    record: Any,
    **given: Any,
) -> ModelWork | NetworkWork:
    """What there is to do, on these devices. Collective."""
    if isinstance(system, ODE):
        blocks = -(-len(points) // SMALL)
        local = local_devices(devices, platform, world, neurons=blocks * NEURONS_PER_DEVICE)
        with agreed(world):
            return ModelWork(system, points, measures, span, devices=local, **given)
    with agreed(world):
        work = NetworkWork(
            system, points, measures, span, world=world, record=record, platform=platform, **given
        )
        neurons = work.size_of_first() if devices == "auto" else 0
    # Each rank has the whole network.
    local = local_devices(devices, platform, world, neurons=neurons * world.size)
    return work.on(len(local))


def _do(
    work: ModelWork | NetworkWork,
    results: Results,
    world: launch.World,
    part: tuple[int, int] | None,
    *,
    strict: bool,
    progress: str,
) -> None:
    """Take units until there are none, and write what they come to."""
    units = [
        unit for unit in range(work.units) if not results.is_known[list(work.points_of(unit))].all()
    ]
    if part is not None:
        units = [unit for unit in units if unit % part[1] == part[0]]
    tickets, count = Tickets(world), work.width
    error: BaseException | None = None
    is_launched = detect(os.environ).launcher != "none"
    told = Progress(
        progress, len(units) * work.size, rank=world.rank, is_launched=is_launched, unit="points"
    )
    try:
        _check_strict(strict, work, results)
        while (first := tickets.take(count)) < len(units):
            some = units[first : first + count]
            world.watch.progress(first)
            told.at(first * work.size)
            began = time.perf_counter()
            found = work.do(some)
            for unit, (values, reasons) in zip(some, found, strict=True):
                results.add(work.points_of(unit), work.measures or (), values, reasons)
            results.write()
            _check_strict(strict, work, results)
            count = _next_count(work, len(some), time.perf_counter() - began)
    except Exception as caught:
        error = caught
        tickets.close()
    finally:
        told.close()
    tickets.finish()
    world.agree(error)


def _check_strict(strict: bool, work: ModelWork | NetworkWork, results: Results) -> None:
    if strict and results.failure is not None:
        k, reason = results.failure
        raise SimulationError(f"point {k}, {work.points[k]}: {reason}")


def _next_count(work: ModelWork | NetworkWork, done: int, seconds: float) -> int:
    """How many units take about SECONDS, by what the last ones took: whole rounds of devices."""
    rounds = max(1, done // work.width)
    wanted = min(int(rounds * SECONDS / max(seconds, 1e-6)), 4 * rounds)
    return min(max(1, wanted) * work.width, work.capacity)


def _span(dt: Any, warmup: Any, duration: Any, every: Any, *, is_stored: bool) -> Span:
    dt = check_dt(dt)
    before, steps = (
        arguments.steps_in(x, dt, what) for x, what in ((warmup, "warmup"), (duration, "duration"))
    )
    if steps < 1:
        raise AnalysisError(f"duration = {shown(duration)} ms leaves nothing to measure. Use more.")
    if not is_stored:
        return Span(dt, before, steps, steps)
    interval = 1 if every is None else arguments.steps_in(every, dt, "every")
    if interval < 1 or steps % interval or before % interval:
        raise AnalysisError(
            f"every = {shown(every)} ms does not divide the duration, {duration:g} ms, and the "
            f"warm-up, {warmup:g} ms. Use a time that divides both."
        )
    return Span(dt, before, steps, interval)


def _share(share: Any, out: Any) -> tuple[int, int] | None:
    """Which of how many shares of the work is ours; None: all of it."""
    if share is None or (share == "auto" and out is None):
        return None
    if share == "auto":
        return array_share(os.environ)
    is_pair = isinstance(share, tuple | list) and len(share) == 2
    if not is_pair or not 0 <= int(share[0]) < int(share[1]):
        raise AnalysisError(f"share = {shown(share)} is not possible. Use (k, n) with 0 <= k < n.")
    return int(share[0]), int(share[1])


def array_share(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The share of a job of an array; None if this is none."""
    try:
        task, count = (int(environment[f"SLURM_ARRAY_TASK_{x}"]) for x in ("ID", "COUNT"))
        least, step = (
            int(environment.get(f"SLURM_ARRAY_TASK_{x}", default))
            for x, default in (("MIN", "0"), ("STEP", "1"))
        )
    except (KeyError, ValueError):
        return None
    k = (task - least) // max(1, step)
    return (k, count) if count > 1 and 0 <= k < count else None


def merge(out: Any) -> Sweep:
    """Join the files of ranks and jobs beside `out` into one, as far as they have come.

    Raises:
        RunDirectoryError: there are none, or one is damaged.
    """
    path = Path(out)
    found = Sweep.load(path)
    beside: Sequence[Path] = tables.parts(path)
    found.save(path)
    for each in beside:
        each.unlink(missing_ok=True)
    return found
