"""DSRunner: simulate a network or a single system, and record it.

    runner = DSRunner(Balanced(), dt=.1, seed=1, record=["E.spikes"])
    recording = runner.run(1000.)

The run goes in chunks of about a second of wall time; between two of them the host drains what was
recorded and nothing else.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from distdyn.core.system import DynamicalSystem
from distdyn.errors import (
    NetworkError,
    ParameterError,
    PlatformError,
    PrecisionError,
    RunDirectoryError,
    TimeError,
)
from distdyn.network.network import Graph, Network, graph
from distdyn.network.population import Population
from distdyn.parallel.parameters import Setting
from distdyn.parallel.shard import ChunkResult, Shard
from distdyn.run.access import PopulationAccess, ProjectionAccess
from distdyn.run.interrupt import Deferred
from distdyn.run.progress import Progress, check_mode
from distdyn.run.provenance import describe_run
from distdyn.run.record import CELL, parse, spiking_populations
from distdyn.run.recording import Header, Memory, Recording
from distdyn.units import check_dt, shown, to_steps

CHUNK_SECONDS = 1.0  # of wall time, about
FIRST_CHUNK = 200  # steps


class DSRunner:
    """Simulates a network, or a dynamical system by itself.

    Args:
        system: a `Network`, or a `DynamicalSystem`: one cell, whose names are bare (`"V"`).
        dt: time step, ms.
        seed: of all draws, 0 <= seed < 2^64.
        t0: time at which the run begins, ms, a multiple of dt.
        record: what to record: `"E.spikes"`, `"spikes"` (of all), `"E.V"`, `every(1., "E.V")`.
        devices: how many local devices; one for now.
        platform: "cpu" or "gpu"; by default that of JAX.
        precision: "float32" or "float64", of floating states and parameters.
        out: a directory to which every `run` appends; without it recordings stay in memory.
        overwrite: replace a run that the directory holds.
        progress: "auto", "bar", "lines" or "off".

    Raises:
        DistDynError: something of the description or of these arguments is not possible.
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
        checkpoint_every: Any = None,
        progress: str = "auto",
    ) -> None:
        began = time.perf_counter()
        _refuse(
            parameters=parameters, decomposition=decomposition, checkpoint_every=checkpoint_every
        )
        self.progress = check_mode(progress)
        self.dt = check_dt(dt)
        setting = Setting(
            self.dt, _checked_seed(seed), _checked_precision(precision), _origin(t0, self.dt)
        )
        self.name = type(system).__name__
        self.device = _device(devices, platform)
        self._directory = _claimed(out, overwrite)
        try:
            with self._place():
                self._shard = Shard(_graph(system), setting)
                self._request = parse(record, self._shard, self.dt)
                self._watch()
            self._sink = self._open()
        except BaseException:
            if self._directory is not None:
                self._directory.close()
            raise
        self._changes: list[tuple[str, str, Any]] = []
        self._steps = FIRST_CHUNK
        self.phases = {"build": time.perf_counter() - began, "compile": 0.0, "run": 0.0}

    # --- running ---------------------------------------------------------------------------------

    def run(
        self,
        duration: float,
        *,
        every: float | None = None,
        call: Callable[["DSRunner"], None] | None = None,
    ) -> Recording:
        """Go on for a duration (ms, a multiple of dt); returns what this call recorded.

        Args:
            duration: 0 does nothing.
            every: an interval in ms at which `call` is called with this runner.
            call: may read and set states, parameters and weights.
        """
        steps = _duration(duration, self.dt)
        interval = _interval(every, call, self.dt)
        progress = Progress(self.progress, steps * self.dt)
        self._sink.begin(self.step)
        try:
            with self._place():
                self._compile(progress)
                self._run(steps, interval, call, progress)
            return self._sink.finish(self.step)
        except BaseException as error:
            self._sink.fail(error)
            raise
        finally:
            progress.close()

    def warm_up(self, duration: float) -> None:
        """Go on for a duration (ms) without recording anything; its time is kept apart."""
        steps = _duration(duration, self.dt)
        if not steps:
            return
        progress = Progress(self.progress, steps * self.dt)
        spent = self.phases["run"]
        with self._place():
            self._shard.watch((), ())
            try:
                self._compile(progress)
                self._run(steps, None, None, progress, is_recorded=False)
            except BaseException as error:
                self._sink.fail(error)
                raise
            finally:
                self._watch()
                progress.close()
        warm_up = self.phases["run"] - spent
        self.phases |= {"run": spent, "warmup": self.phases.get("warmup", 0.0) + warm_up}

    def _compile(self, progress: Progress) -> None:
        """Zero steps: what is not compiled yet is compiled, and its time is known."""
        began = time.perf_counter()
        with Deferred():
            self._shard.run(0)
        seconds = time.perf_counter() - began
        self.phases["compile"] += seconds
        progress.compiled(seconds)

    def _run(
        self,
        steps: int,
        interval: int | None,
        call: Any,
        progress: Progress,
        *,
        is_recorded: bool = True,
    ) -> None:
        first, last = self.step, self.step + steps
        while self.step < last:
            began = time.perf_counter()
            stop = last
            if interval is not None:
                stop = min(stop, (self.step // interval + 1) * interval)
            with Deferred():
                result = self._shard.run(min(self._steps, stop - self.step))
                if is_recorded:
                    self._drain(result)
            seconds = time.perf_counter() - began
            self.phases["run"] += seconds
            self._steps = _next_chunk(result.done, seconds)
            progress.at((self.step - first) * self.dt)
            if interval is not None and call is not None and self.step % interval == 0:
                call(self)

    def _drain(self, result: ChunkResult) -> None:
        for path, (step, id) in result.spikes.items():
            self._sink.append_spikes(path, step, id)
        for (name, _, sampling), (step, values) in zip(
            self._request.traces, result.samples, strict=True
        ):
            self._sink.append_trace(name, step, sampling.id, values)
        self._sink.flush(self.step)

    def reset(self, seed: int | None = None) -> None:
        """Back to the beginning, with another seed if one is given; what was set stays set."""
        setting = self._shard.setting
        seed = setting.seed if seed is None else _checked_seed(seed)
        with self._place():
            if seed == setting.seed:
                self._shard.start()
            else:
                old = self._shard
                setting = Setting(setting.dt, seed, setting.precision, setting.origin)
                self._shard = Shard(old.graph, setting)
                for path, name, value in self._changes:
                    self._shard.write_parameter(path, name, value)
            self._watch()

    # --- looking and setting ---------------------------------------------------------------------

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
        """How many synapses there are."""
        return self._shard.synapse_count

    @property
    def bytes_per_synapse(self) -> float:
        """All arrays that hold connectivity, per synapse."""
        return self._shard.connectivity_bytes / max(1, self.synapses)

    def __getitem__(self, path: str) -> PopulationAccess | ProjectionAccess:
        """A population (states and parameters) or a projection (weights, edges), by path."""
        kind, path = self.graph.find(path)
        if kind == "population":
            return PopulationAccess(self._shard, path, self._changes)
        if kind == "projection":
            return ProjectionAccess(self._shard, path)
        raise NetworkError(f'input "{path}" has nothing to read. Look at its post population.')

    def describe(self) -> dict[str, Any]:
        """Where this run comes from, as `run.json` keeps it."""
        setting = self._shard.setting
        description = describe_run(
            network=self.name,
            neurons=self.graph.size,
            synapses=self.synapses,
            seed=setting.seed,
            precision=setting.precision,
            platform=self.device.platform,
        )
        return {**description, "phases": dict(self.phases)}

    def update_provenance(self, **fields: Any) -> None:
        """Write more about the run into its `run.json`."""
        if self._directory is not None:
            self._sink.update(**fields)

    def close(self) -> None:
        """Finish the run directory; without one there is nothing to do."""
        self._sink.close()

    def __enter__(self) -> "DSRunner":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        groups = len(self._shard.groups)
        lines = [
            f"DSRunner of {self.name} at {self.t:g} ms (dt = {self.dt:g} ms, seed "
            f"{self._shard.setting.seed}, {self._shard.setting.precision}, {self.device.platform})",
            f"  {self.graph.size} neurons in {groups} group{'s' * (groups != 1)}, "
            f"{self.synapses} synapses of {self.bytes_per_synapse:.2f} bytes",
        ]
        lines += [
            f"  {path}: cells run without their kernel, slower ({reason})"
            for path, reason in self._shard.unfused.items()
        ]
        return "\n".join(lines)

    # --- within ----------------------------------------------------------------------------------

    def _place(self) -> Any:
        return _Place(self.device)

    def _watch(self) -> None:
        self._shard.watch(self._request.spikes, [sample for _, sample, _ in self._request.traces])

    def _open(self) -> Any:
        g = self.graph
        header = Header(
            dt=self.dt,
            sizes={path: population.size for path, population in g.populations.items()},
            offsets=g.offsets,
            spikes=self._request.spikes,
            traces={name: sampling for name, _, sampling in self._request.traces},
            spiking=spiking_populations(g),
        )
        if self._directory is None:
            return Memory(header)
        self.phases = {}
        return self._directory.create(header, self.describe())


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
        return Graph({CELL: Population(1, system)}, {}, {}, {CELL: 0}, 1)
    return graph(system)


def _device(devices: Any, platform: str | None) -> Any:
    if devices not in (None, 1, "auto"):
        if not isinstance(devices, int) or isinstance(devices, bool) or devices < 1:
            raise PlatformError(f"devices = {shown(devices)} is not possible. Use devices=1.")
        raise PlatformError(f"devices = {devices}: one device is available for now. Use devices=1.")
    if platform not in (None, "cpu", "gpu"):
        raise PlatformError(f'platform = {shown(platform)} is unknown. Use "cpu" or "gpu".')
    try:
        return jax.local_devices(backend=platform)[0]
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise PlatformError(
            f'platform = "{platform}": JAX finds no such device ({reason}). Use platform="cpu", or '
            "install distdyn[cuda12] on a machine with a GPU."
        ) from error


def _checked_seed(seed: Any) -> int:
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= int(seed) < 2**64:
        raise ParameterError(
            f"seed = {shown(seed)} is not possible. Use an integer 0 <= seed < 2^64."
        )
    return int(seed)


def _checked_precision(precision: Any) -> str:
    if precision not in ("float32", "float64"):
        raise PrecisionError(
            f'precision = {shown(precision)} is unknown. Use "float32" or "float64".'
        )
    return precision


def _origin(t0: Any, dt: float) -> int:
    step = to_steps(t0, dt, "t0")
    if not isinstance(step, int):
        raise TimeError("t0 must be one time.")
    return step


def _duration(duration: Any, dt: float) -> int:
    steps = to_steps(duration, dt, "duration")
    if not isinstance(steps, int):
        raise TimeError("duration must be one time.")
    return steps


def _interval(every: Any, call: Any, dt: float) -> int | None:
    if (every is None) != (call is None):
        raise ParameterError("run: every and call belong together. Give both, or neither.")
    if every is None:
        return None
    steps = to_steps(every, dt, "run: every")
    if not isinstance(steps, int) or steps < 1:
        raise TimeError(f"run: every = {shown(every)} must be one time > 0.")
    return steps


def _claimed(out: Any, overwrite: bool) -> Any:
    if out is None:
        return None
    from distdyn.run.directory import RunDirectory

    try:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(f'out: "{out}" cannot be made: {error}. Use another.') from error
    return RunDirectory(out, overwrite=overwrite)


def _refuse(**later: Any) -> None:
    for name, value in later.items():
        if value is not None:
            raise ParameterError(f"DSRunner: {name} is not available yet. Leave it out.")


def _next_chunk(done: int, seconds: float) -> int:
    """How many steps take about a second, if the next ones are like these."""
    return max(1, min(int(done * CHUNK_SECONDS / max(seconds, 1e-6)), 10 * max(done, FIRST_CHUNK)))
