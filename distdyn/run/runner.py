"""DSRunner: simulate a network or a single system, and record it.

    runner = DSRunner(Balanced(), dt=.1, seed=1, record=["E.spikes"])
    recording = runner.run(1000.)

The run goes in chunks of about a second of wall time (`chunks`). Where it is kept in a directory it
goes on, after whatever has ended it, from a checkpoint (`checkpoint`).
"""

import functools
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from distdyn.core.system import DynamicalSystem
from distdyn.errors import (
    CheckpointError,
    NetworkError,
    ParameterError,
    RecordError,
    Stopped,
    TimeError,
)
from distdyn.network.distributions import Distribution
from distdyn.network.network import Graph, Network, graph
from distdyn.network.population import Population
from distdyn.parallel import launch, roads
from distdyn.parallel.launch import cores, distributed
from distdyn.parallel.launch.detect import detect
from distdyn.parallel.launch.devices import local_devices
from distdyn.parallel.parameters import Setting
from distdyn.parallel.plan.forecast import check_room
from distdyn.parallel.shard import Shard
from distdyn.run import arguments, faults, report
from distdyn.run.access import Behind, PopulationAccess, ProjectionAccess
from distdyn.run.agreement import agreed, check_common, description, text_of, versions
from distdyn.run.checkpoint.course import (
    Change,
    Course,
    changes_of,
    check_keep,
    check_resume,
    restore,
)
from distdyn.run.checkpoint.schedule import Schedule
from distdyn.run.chunks import NO_TURN, Chunks, Keeping, Turn
from distdyn.run.health import Health, check_rate
from distdyn.run.interrupt import Interrupted
from distdyn.run.progress import Progress, check_mode
from distdyn.run.provenance import describe_run, version_of
from distdyn.run.record import CELL, parse
from distdyn.run.recording import Recording
from distdyn.run.sink import claimed, header_of, opened, share_of
from distdyn.run.trained import with_parameters
from distdyn.run.weights import WeightTrace
from distdyn.units import check_dt, shown

if TYPE_CHECKING:
    from distdyn.run.checkpoint.stored import Stored


class DSRunner:
    """Simulates a network, or a dynamical system by itself.

    Under `mpirun` or `srun` every rank makes the same runner and the same calls; each owns a part
    of the neurons. All methods but `print` and the attributes are collective.

    Args:
        system: a `Network`, or a `DynamicalSystem`: one cell, whose names are bare (`"V"`).
        dt: time step, ms.
        seed: of all draws, 0 <= seed < 2^64.
        t0: time at which the run begins, ms, a multiple of dt.
        record: what to record: `"E.spikes"`, `"spikes"` (of all), `"E.V"`, `every(1., "E.V")`,
            `every(100., "exc.weight")` of a projection that learns.
        devices: how many local devices, or "auto".
        platform: "cpu" or "gpu"; by default that of JAX.
        precision: "float32" or "float64", of floating states and parameters.
        parameters: what was trained, by path: `DSTrainer.parameters`. Weights of one for each
            synapse are those of the synapses that this seed draws, in the order of `edges()`. The
            path of a `CurrentInput` gives it a constant current.
        decomposition: who owns which neurons: a `partition.Decomposition`, or a file of one.
        out: a directory to which every `run` appends; without it recordings stay in memory.
        overwrite: replace a run that the directory holds.
        merge: at the end (`close`, or the end of `with`) make one file of those of all ranks; else
            leave a file that shows theirs.
        checkpoint_every: write a checkpoint into `out` every so many ms of the model (a number, or
            "50ms"), or of wall time ("10min", "30s", "1h"). With `out` one is also written when the
            run is told to stop: by SIGUSR1, SIGTERM, or the end of a job of Slurm that is near.
        keep: how many checkpoints stay.
        resume: "auto": go on from the newest checkpoint in `out`, if there is one. Calls of `run`
            that were over by then return what they recorded, what is set before that is in the
            checkpoint, and the call that was under way goes on; all to the same bits as in one
            piece. Or the path of a checkpoint; of another run, a new recording begins there.
        max_wall: how long this process may take ("23h"); then it stops with a checkpoint.
        max_rate: Hz; a population that fires faster, mean over its cells and 20 ms, ends the run.
            Without it there is a warning where a population fires nearly as fast as it can.
        progress: "auto", "bar", "lines" or "off"; of several ranks the first one writes lines.
        watchdog: seconds without progress after which a job of several ranks is ended.
        overlap: compute while spikes travel between nodes: they are exchanged twice as often.
        share_gpu: let ranks have the same GPU where there are more ranks than GPUs.
        world: the ranks that run this; by default all of the job. `World()` is this one by itself.

    Attributes:
        recording: after a call of `run` that ended early, by an error or Ctrl-C: what it recorded
            until then. None otherwise.
        world: the ranks that run this.
        devices: the local devices.

    Raises:
        DistDynError: something of the description or of these arguments is not possible; on all
            ranks alike.
    """

    def __init__(
        self,
        system: Network | DynamicalSystem,
        *,
        dt: float,
        seed: int = 0,
        t0: float = 0.0,
        record: Any = (),
        devices: int | str | None = None,
        platform: str | None = None,
        precision: str = "float32",
        parameters: Any = None,
        decomposition: Any = None,
        out: Any = None,
        overwrite: bool = False,
        merge: bool = True,
        checkpoint_every: Any = None,
        keep: int = 3,
        resume: Any = "never",
        max_wall: Any = None,
        max_rate: float | None = None,
        progress: str = "auto",
        watchdog: float | None = None,
        overlap: bool = False,
        share_gpu: bool = False,
        world: launch.World | None = None,
    ) -> None:
        began = time.perf_counter()
        self.world = launch.world() if world is None else world
        with agreed(self.world):
            self.progress = check_mode(progress)
            self._dt = check_dt(dt)
            health = Health(check_rate(max_rate))
            schedule = Schedule(checkpoint_every, self.dt, max_wall)
            if out is None and (checkpoint_every is not None or max_wall is not None):
                raise ParameterError(
                    "checkpoint_every and max_wall need a directory for checkpoints. Give out "
                    "(--out)."
                )
            resume, keep = check_resume(resume, out), check_keep(keep)
            setting = Setting(
                self.dt,
                arguments.seed(seed),
                arguments.precision(precision),
                arguments.steps_in(t0, self.dt, "t0"),
            )
            self.name = type(system).__name__
            members, trained = with_parameters(_graph(system), parameters, setting)
            if watchdog is not None:
                self.world.watch.limit = watchdog
        if self.world.size > 1:
            check_common(
                self.world, seed=setting.seed, dt=self.dt, precision=precision, t0=t0,
                record=record, platform=platform, out=str(out), merge=merge, watchdog=watchdog,
                decomposition=decomposition, overlap=overlap, share_gpu=share_gpu, **versions(),
                checkpoint_every=checkpoint_every, keep=keep, resume=resume, max_wall=max_wall,
                max_rate=max_rate,
                trained=trained, **description(members),
            )  # fmt: skip
        with agreed(self.world):
            self._directory = claimed(out, overwrite, self.world, merge, resume)
        try:
            path = None if self._directory is None else self._directory.path
            self._course = Course(path, schedule, keep, self.world)
            of = {"record": record, "dt": self.dt, "seed": setting.seed, "t0": t0,
                  "trained": trained}  # fmt: skip
            self._of = {
                "network": self.name,
                "precision": precision,
                **{name: text_of(value) for name, value in of.items()},
                **description(members),
            }
            stored = self._course.find(resume)
            spans = distributed.spans(self.world, platform, share_gpu=share_gpu)
            self.devices = local_devices(
                devices, platform, self.world, neurons=members.size, share_gpu=share_gpu
            )
            with agreed(self.world):
                check_room(members, self.world, self.devices, dt=self.dt, precision=precision)
            self._everywhere = distributed.everywhere(self.devices) if spans else None
            self._made_by = {**versions(), **self._check_road(spans)}
            with agreed(self.world):
                if stored is not None:
                    stored.check_of({"of": self._of, "made_by": self._made_by})
            self._decomposition, self._overlap = decomposition, overlap
            self._shard = self._built(members, setting)
            self._changes: list[Change] = []
            self._weights_set: dict[str, Any] = {}
            self._set(trained)
            with agreed(self.world), self._place():
                self._request = parse(record, self._shard, self.dt)
                self._watch()
            self._weights = [WeightTrace(self._shard, of) for of in self._request.weights]
            self._take_census()
            self.cores = cores.look(self.world)
            faults.reach("build", self.world.rank)
            self._sink = self._open(stored)
            self._cursor = self.step  # up to where the calls of `run` have come
            self._earlier: dict[str, int] = {}  # counters of the processes before this one
            if stored is not None:
                self._go_on(stored)
        except BaseException:
            if self._directory is not None:
                self._directory.close()
            raise
        self.recording: Recording | None = None
        self.phases = {
            "build": time.perf_counter() - began, "compile": 0.0, "run": 0.0, "record": 0.0
        }  # fmt: skip
        keeping = Keeping(self._course, self._about, self._all_changes)
        self._chunks = Chunks(
            self.world,
            self._sink,
            self._request.traces,
            self._weights,
            self.phases,
            keeping,
            health,
        )
        self._before: dict[str, float] = {}  # the shard's phases that are outside of the results

    # --- running ---------------------------------------------------------------------------------

    def run(
        self,
        duration: float,
        *,
        every: float | None = None,
        call: Callable[["DSRunner"], None] | None = None,
    ) -> Recording:
        """Go on for a duration (ms, a multiple of dt); returns what this call recorded.

        Ctrl-C ends it with KeyboardInterrupt after a whole chunk, about a second, on all ranks at
        the same step; what was recorded is in `recording`, and another `run` goes on from there.

        Args:
            duration: 0 does nothing.
            every: an interval in ms at which `call` is called with this runner.
            call: may read and set states, parameters and weights.
        """
        with agreed(self.world):
            steps = arguments.steps_in(duration, self.dt, "duration")
            interval = arguments.interval(every, call, self.dt)
        check_common(self.world, duration=duration, every=every, step=self.step)
        self.recording = None
        begin, self._cursor = self._cursor, self._cursor + steps
        if begin < self.step and self._cursor <= self.step:  # an earlier process has done it
            return self._sink.part(begin, self._cursor)
        progress = self._progress(self._cursor - self.step)
        turn = NO_TURN if call is None else Turn(interval, functools.partial(call, self))
        with agreed(self.world):
            self._sink.begin(self.step, begin)
        try:
            self._advance(self._cursor, progress, turn)
            return self._finish()
        except Interrupted:
            self._cursor = self.step
            self.recording = self._finish("KeyboardInterrupt")
            raise
        except Stopped:
            assert self._directory is not None  # else nothing tells it to stop
            self._directory.merge = False  # the next start will want the time, and reads both
            self.recording = self._finish(f"stopped at a checkpoint of step {self.step}")
            raise
        except BaseException as error:
            self._cursor = self.step
            self.recording = self._sink.fail(error)
            raise
        finally:
            progress.close()

    def warm_up(self, duration: float) -> None:
        """Go on for a duration (ms) without recording anything; its time is kept apart."""
        with agreed(self.world):
            steps = arguments.steps_in(duration, self.dt, "duration")
        check_common(self.world, warmup=duration, step=self.step)
        self._cursor += steps
        if not steps or self._cursor <= self.step:
            return
        progress = self._progress(self._cursor - self.step)
        spent = self.phases["run"]
        with self._place():
            self._shard.watch((), ())
        try:
            self._advance(self._cursor, progress, is_recorded=False)
        except BaseException as error:
            self._cursor = self.step
            self._sink.fail(error)
            raise
        finally:
            with self._place():
                self._watch()
            progress.close()
        warm_up = self.phases["run"] - spent
        self.phases |= {"run": spent, "warmup": self.phases.get("warmup", 0.0) + warm_up}
        self._before = self._shard.phases

    def _advance(
        self, last: int, progress: Progress, turn: Turn = NO_TURN, *, is_recorded: bool = True
    ) -> None:
        with self._place():
            self._chunks.advance(self._shard, last, progress, turn, is_recorded=is_recorded)

    def _about(self) -> dict[str, Any]:
        """What a checkpoint says of the run. Collective."""
        return {"of": self._of, "made_by": self._made_by, "counters": self.counters()}

    def _all_changes(self) -> list[Change]:
        """What was set since the run began, the last value of each."""
        last = {(path, name): value for path, name, value in self._changes}
        last |= {(path, "weight"): value for path, value in self._weights_set.items()}
        for (path, name), value in last.items():
            if isinstance(value, Distribution):
                raise CheckpointError(
                    f'"{path}.{name}" was set to {value!r} during the run, and a checkpoint keeps '
                    "numbers and arrays. Give the network that weight from the beginning."
                )
        return [(path, name, value) for (path, name), value in last.items()]

    def _finish(self, reason: str = "completed") -> Recording:
        began = time.perf_counter()
        try:
            lengthened = int(self.world.sum(self._shard.lengthened))
            counts = {"counters": self.counters(), "lines_lengthened": lengthened}
            return self._sink.finish(self.step, reason, **counts)
        finally:
            self.phases["record"] += time.perf_counter() - began

    def _progress(self, steps: int) -> Progress:
        is_launched = detect(os.environ).launcher != "none"
        return Progress(
            self.progress, steps * self.dt, rank=self.world.rank, is_launched=is_launched
        )

    def reset(self, seed: int | None = None) -> None:
        """Back to the beginning, with another seed if one is given; what was set stays set.

        Raises:
            RecordError: with another seed synapses are others, but their weights are recorded.
        """
        setting = self._shard.setting
        with agreed(self.world):
            if self._cursor < self.step:
                raise CheckpointError(
                    "reset: this run goes on from a checkpoint of its first part. A run that is "
                    "reset has no checkpoints to go on from: leave out resume."
                )
            seed = setting.seed if seed is None else arguments.seed(seed)
            if self._weights and seed != setting.seed:
                raise RecordError(
                    f'reset: "{self._weights[0].name}" is recorded, and with seed {seed} the '
                    "synapses are others. Make a new runner."
                )
        check_common(self.world, seed=seed)
        self._cursor, self._earlier = setting.origin, {}
        with self._place():
            if seed == setting.seed:
                self._shard.start()
            else:
                old = self._shard
                setting = Setting(setting.dt, seed, setting.precision, setting.origin)
                self._shard = self._built(old.graph, setting)
                for path, name, value in self._changes:
                    self._shard.write_parameter(path, name, value)
                self._before = {}
                self._take_census()
            self._watch()

    # --- looking and setting ---------------------------------------------------------------------

    @property
    def dt(self) -> float:
        """The time step, ms."""
        return self._dt

    @dt.setter
    def dt(self, value: Any) -> None:
        raise TimeError(
            f"dt = {shown(value)} cannot be set: delays and propagators are made for dt = "
            f"{self._dt:g} ms. Make a new runner."
        )

    @property
    def step(self) -> int:
        """Steps since time 0."""
        return self._shard.step

    @property
    def t(self) -> float:
        """The time, ms."""
        return self._shard.step * self.dt

    @property
    def graph(self) -> Graph:
        """The members of the network by path."""
        return self._shard.graph

    @property
    def synapses(self) -> int:
        """How many synapses there are, on all ranks together."""
        return self.census.n_synapses

    @property
    def bytes_per_synapse(self) -> float:
        """All arrays of all ranks that hold connectivity, per synapse."""
        return self.census.bytes_per_synapse

    def __getitem__(self, path: str) -> PopulationAccess | ProjectionAccess | Behind:
        """A population (states and parameters) or a projection (weights, edges), by path."""
        kind, path = self.graph.find(path)
        if self._cursor < self.step and kind in ("population", "projection"):
            return self._behind(kind, path)
        if kind == "population":
            return PopulationAccess(self._shard, path, self._changes)
        if kind == "projection":
            return ProjectionAccess(self._shard, path, self._weight_changed)
        raise NetworkError(f'{kind} "{path}" has nothing to read. Look at its post population.')

    def _behind(self, kind: str, path: str) -> Behind:
        """What stands for a member until the script has come to where the run goes on."""
        is_population = kind == "population"
        parts = PopulationAccess(self._shard, path, []).composed if is_population else ()
        t = self._cursor * self.dt
        when = (
            f"the script is at {t:g} ms, and this run goes on from a checkpoint at {self.t:g} ms. "
            "Record what you need, or read it after the call of run that goes beyond that."
        )
        return Behind(path, parts, when)

    def describe(self) -> dict[str, Any]:
        """Where this run comes from, as `run.json` keeps it."""
        setting = self._shard.setting
        description = describe_run(
            network=self.name,
            neurons=self.graph.size,
            synapses=self.synapses,
            seed=setting.seed,
            precision=setting.precision,
            platform=self.devices[0].platform,
        )
        more = {"ranks": self.world.size, "devices": len(self.devices), "phases": dict(self.phases)}
        return {**description, **more}

    def counters(self) -> dict[str, int]:
        """Spikes emitted, sent, received and delivered on all ranks; see `exchange.counters`.

        Since the run began or was reset, warm-up included, also in a process before this one.
        Collective.
        """
        totals = self._shard.counters.totals()
        return {name: n + self._earlier.get(name, 0) for name, n in totals.items()}

    def all_phases(self) -> list[dict[str, float]]:
        """Seconds that each rank spent in each phase, those inside of `run` included.

        Collective.
        """
        within = self._shard.phases
        within = {name: t - self._before.get(name, 0.0) for name, t in within.items()}
        return self.world.allgather({**self.phases, **within})

    def banner(self) -> str:
        """What runs where, in a few lines."""
        setting, shard = self._shard.setting, self._shard
        platform, version = self.devices[0].platform, version_of("distdyn")
        where = report.hardware(self.world.size, len(self.devices), platform, self.cores.text)
        lines = [
            f"distdyn{f' {version}' if version else ''} | {where} | jax {jax.__version__} | "
            f"seed {setting.seed} | {setting.precision}",
            f"{self.name}: {self.graph.size} neurons, {report.shown_count(self.synapses)} synapses "
            f"of {self.bytes_per_synapse:.2f} bytes",
        ]
        if self.world.size > 1:
            lines[1] += f" | {self.census}"
        said = [report.exchanges(shard.intervals, self.dt)]
        said += [f"output {self._directory.path}"] if self._directory is not None else []
        lines += [" | ".join(filter(None, said))] if any(said) else []
        lines += [f"warning: {line}" for line in self.cores.warnings]
        return "\n".join([*lines, *self._unfused()])

    def update_provenance(self, **fields: Any) -> None:
        """Write more about the run into its `run.json`."""
        with agreed(self.world):
            self._sink.update(**fields)

    def close(self) -> None:
        """Finish the run directory; of several ranks, make one file of theirs."""
        self._sink.close()

    def __enter__(self) -> "DSRunner":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        # With another error the other ranks may be elsewhere: nobody waits for them.
        self._sink.close(is_together=kind in (None, Interrupted, Stopped))

    def __repr__(self) -> str:
        groups = len(self._shard.groups)
        lines = [
            f"DSRunner of {self.name} at {self.t:g} ms (dt = {self.dt:g} ms, seed "
            f"{self._shard.setting.seed}, {self._shard.setting.precision}, "
            f"{self.devices[0].platform})",
            f"  {self.graph.size:,} neurons in {groups} group{'s' * (groups != 1)}, "
            f"{self.synapses:,} synapses of {self.bytes_per_synapse:.2f} bytes",
            f"  {self.world.size} rank{'s' * (self.world.size != 1)} x {len(self.devices)} "
            f"device{'s' * (len(self.devices) != 1)}, {self._shard.choice}",
        ]
        return "\n".join([*lines, *self._unfused()])

    # --- within ----------------------------------------------------------------------------------

    def _check_road(self, spans: bool) -> dict[str, str]:
        """All ranks must compute alike: on one kind of device, with the same kernels."""
        platform = self.devices[0].platform
        with agreed(self.world):
            road = roads.choose(platform, os.environ, is_spanning=spans)
        kind = "" if platform == "cpu" else self.devices[0].device_kind
        found = {"backend": platform, "device_kind": kind, "kernels": str(road)}
        check_common(self.world, **found)
        return found

    def _built(self, members: Graph, setting: Setting) -> Shard:
        with self._place():
            return Shard(
                members, setting, world=self.world, devices=self.devices,
                everywhere=self._everywhere, decomposition=self._decomposition,
                overlap=self._overlap,
            )  # fmt: skip

    def _set(self, trained: dict[str, dict[str, Any]]) -> None:
        """Set parameters of populations before the first step."""
        for path, values in trained.items():
            for name, value in values.items():
                setattr(PopulationAccess(self._shard, path, self._changes), name, value)
        if trained:
            with self._place():
                self._shard.start()

    def _weight_changed(self, path: str, value: Any) -> None:
        self._weights_set[path] = value
        self._take_census()

    def _take_census(self) -> None:
        """Ask all ranks what they hold."""
        shard = self._shard
        neurons = sum(shard.owned_count(path) for path in shard.graph.populations)
        said = [neurons, shard.synapse_count, shard.connectivity_bytes]
        held = np.array(self.world.allgather(said), np.int64)
        self.census = report.Census(held[:, 0], held[:, 1], held[:, 2])

    def _unfused(self) -> list[str]:
        return [
            f"  {path}: cells run without their kernel, slower ({reason})"
            for path, reason in self._shard.unfused.items()
        ]

    def _place(self) -> Any:
        return _Place(self.devices[0])

    def _watch(self) -> None:
        self._shard.watch(self._request.spikes, [sample for _, sample, _ in self._request.traces])

    def _open(self, stored: "Stored | None") -> Any:
        header = header_of(self.graph, self.dt, self._request, self._weights)
        share = None
        if self.world.size > 1:
            owned = self._shard.owned
            share = share_of(self.world, header, owned, self._request, self._weights)
        if self._directory is not None:
            self.phases = {}
        earlier = stored if stored is not None and self._course.is_own(stored) else None
        step = None if earlier is None else earlier.step
        return opened(self._directory, header, share, self.describe, step, self.world)

    def _go_on(self, stored: "Stored") -> None:
        """Take over what a checkpoint holds."""
        for path, name, value in changes_of(stored):
            kind = PopulationAccess(self._shard, path, self._changes)
            if path in self.graph.projections:
                kind = ProjectionAccess(self._shard, path, self._weight_changed)
            setattr(kind, name, value)
        with self._place(), agreed(self.world):
            restore(self._shard, stored)
            self._watch()
        if self._course.is_own(stored):
            self._earlier = stored.manifest["counters"]
        else:
            self._cursor = self.step


class _Place:
    """Where and how JAX computes inside: this device, 64-bit integers allowed."""

    def __init__(self, device: Any) -> None:
        self.contexts = (jax.enable_x64(True), jax.default_device(device))

    def __enter__(self) -> None:
        for context in self.contexts:
            context.__enter__()

    def __exit__(self, *error: Any) -> None:
        for context in reversed(self.contexts):
            context.__exit__(*error)


def _graph(system: Network | DynamicalSystem) -> Graph:
    if isinstance(system, DynamicalSystem):
        return Graph({CELL: Population(1, system)}, {}, {}, {CELL: 0}, 1, {})
    return graph(system)
