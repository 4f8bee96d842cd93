"""DSTrainer: parameters of a network that follow the gradient of a loss.

    trainer = DSTrainer(EINet(), loss=dd.loss.cross_entropy("out.V"), optimizer=optax.adam(1e-3),
                        where=["exc.weight", "E.tau_m"], dt=1., seed=1)
    history = trainer.fit(task, epochs=20)
    DSRunner(EINet(), dt=1., seed=1, parameters=trainer.parameters).run(1000.)

Data are batches `(inputs, target)`: what comes from outside, by path (`inputs`), and what the loss
wants. Of several ranks each takes its share of the trials of a batch, and all have the same
parameters; on the devices of a rank trials are dealt along one axis of a mesh, neurons along the
other. The result depends on how many they are by rounding alone.
"""

import functools
import hashlib
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding

from distdyn.core.firing import Firing
from distdyn.core.system import DynamicalSystem
from distdyn.errors import ExitCode, NetworkError, RunDirectoryError, Stopped, TrainError
from distdyn.network.network import Network, graph
from distdyn.parallel import launch
from distdyn.parallel.parameters import Setting
from distdyn.run import arguments
from distdyn.run.agreement import agreed, check_common, description, text_of, versions
from distdyn.run.progress import check_mode
from distdyn.run.store import read_arrays, write_arrays
from distdyn.train import online, perturbation
from distdyn.train.checkpoint import (
    BEST,
    COURSE,
    STOP,
    Batches,
    Checkpoint,
    Course,
    check_training,
    course_of,
    described,
)
from distdyn.train.history import History, Score
from distdyn.train.inputs import given_to
from distdyn.train.layout import DATA
from distdyn.train.loss import Loss
from distdyn.train.optimizer import part_updated
from distdyn.train.parameters import chosen
from distdyn.train.ranks import places
from distdyn.train.report import Report
from distdyn.train.rules import BPTT, DRTRL, EProp, PPProp, Rule, ThreeFactor
from distdyn.train.saved import Learned, to_arrays, to_mesh
from distdyn.train.unrolled import Unrolled
from distdyn.units import check_dt, shown

Batch = tuple[Mapping[str, Any], Any]  # inputs by path, target
Data = Iterable[Batch] | Callable[[int], Iterable[Batch]] | Any  # or what has `batches(epoch)`
COUNTERS = "epoch", "updates", "_trials"
APART = 1 << 31  # trials of evaluation have random numbers that none of training has


class _Updated(NamedTuple):
    parameters: dict[str, Any]
    optimizer: Any
    loss: Any
    accuracy: Any


class DSTrainer:
    """Trains a network.

    Args:
        system: a `Network`.
        loss: what is made small, of `distdyn.loss`; it says what is watched.
        optimizer: of optax.
        where: paths of what is trained, `"exc.weight"`, `"exc.tau"`, `"E.tau_m"`; or a function of
            such a path that says whether it is.
        rule: how derivatives are found.
        dt: time step, ms.
        seed: of all draws, as that of `DSRunner`.
        t0: when a trial begins, ms.
        devices: how many local devices, or "auto".
        mesh: (data, neuron), how many of these devices along each axis; None: all along `data`. Of
            as many places as all ranks have devices together, one mesh spans them, so that neurons
            can be dealt to ranks, too; `devices` is then the number of each rank.
        platform: "cpu" or "gpu"; by default that of JAX.
        precision: "float32" or "float64".
        progress: "auto", "bar", "lines" or "off".

    Attributes:
        epoch, updates: how many have been made.
        world: the ranks that train together.

    Raises:
        DistDynError: something of the description or of these arguments is not possible; on all
            ranks alike.
    """

    def __init__(
        self,
        system: Network,
        loss: Loss,
        optimizer: optax.GradientTransformation,
        *,
        where: Sequence[str] | Callable[[str], bool],
        rule: Rule | None = None,
        dt: float = 1.0,
        seed: int = 0,
        t0: float = 0.0,
        devices: int | str | None = None,
        mesh: tuple[int, int] | None = None,
        platform: str | None = None,
        precision: str = "float32",
        progress: str = "auto",
    ) -> None:
        self.world = launch.world()
        with agreed(self.world):
            self.loss, self.optimizer, self.rule = loss, optimizer, rule or BPTT()
            self.dt, self.progress = check_dt(dt), check_mode(progress)
            setting = Setting(
                self.dt,
                arguments.seed(seed),
                arguments.precision(precision),
                arguments.steps_in(t0, self.dt, "t0"),
            )
            self.graph = _graph(system)
        self._given = {
            "network": type(system).__name__, "seed": setting.seed, "dt": dt,
            "precision": precision, "t0": t0, "rule": self.rule, **description(self.graph),
        }  # fmt: skip
        check_common(self.world, **self._given, mesh=mesh, **versions())
        self.devices, own, self._apart, self._team = places(
            self.world, devices, mesh, platform, size=self.graph.size
        )
        with agreed(self.world), jax.enable_x64(True):
            firing = Firing(self.rule.surrogate, self.rule.detach_reset)
            make = functools.partial(
                Unrolled, self.graph, setting, own, firing, loss.watch, team=self._team
            )
            self._net = make(chosen(make(()), where) if callable(where) else chosen(None, where))
            if isinstance(self.rule, EProp):
                online.learners(self._net)  # an error that comes early
            if isinstance(self.rule, ThreeFactor):
                perturbation.learners(self._net)
            self._parameters = self._net.parameters
            # On the mesh, as an update leaves it: else the second one is compiled anew.
            self._optimizer_state = jax.tree.map(
                lambda x: x if isinstance(x.sharding, NamedSharding) else self._net.layout.place(x),
                self.optimizer.init(self._parameters),
            )
            if self._team is not None:  # an error that comes early, too
                jax.eval_shape(
                    self._applied, self._parameters, self._optimizer_state, self._parameters
                )
        self.epoch = self.updates = self._trials = 0
        self._begun: Batches = []  # of the epoch in which what was loaded had stopped

    @property
    def _is_whole(self) -> bool:
        """Whether this program has all trials and all neurons."""
        return self._apart.size == 1 and self._team is None

    # --- training --------------------------------------------------------------------------------

    def fit(
        self,
        data: Data,
        epochs: int = 1,
        *,
        validation: Data = None,
        patience: int | None = None,
        call: Callable[[int, History], Any] | None = None,
        checkpoint: str | Path | None = None,
        checkpoint_every: float | None = None,
    ) -> History:
        """Train for some more epochs. Collective.

        With a checkpoint, what is begun anew by a program that is started again goes on where it
        was, and comes to the same to the last bit. SIGUSR1, on any rank, ends it between two
        updates.

        Args:
            data: batches `(inputs, target)`: a list of them, a function of the number of the epoch
                that gives them, or an object with such a method `batches`.
            epochs: how many.
            validation: batches by which each epoch is judged.
            patience: end when so many epochs have brought no smaller loss, that of `validation` if
                it is given; the parameters are then those of the best epoch. None: do not.
            call: called with the number of epochs made and the history after each.
            checkpoint: a file (HDF5) in which the fit is kept. If it is there, the fit goes on
                from it: `epochs` and the history are of all starts together. The data must give
                the same batches for an epoch each time. That the numbers in the optimizer, or what
                functions do, has changed is not seen.
            checkpoint_every: s between two writes of it; None: one after every epoch.

        Returns:
            What each epoch came to.

        Raises:
            TrainError: data that do not fit; a loss or a parameter that is not finite; a checkpoint
                of another training, or of other ranks or devices.
            RunDirectoryError: a checkpoint that is damaged or cannot be written.
            Stopped: there was SIGUSR1, and the checkpoint is written. A program that does not catch
                it ends with 75, by which a job script asks for another start.
        """
        with agreed(self.world):
            kept = Checkpoint(checkpoint, checkpoint_every, self.world)
        check_common(self.world, checkpoint=checkpoint, checkpoint_every=checkpoint_every)
        with kept:
            course, training = Course(self.epoch, self._begun), {}
            self._begun = []
            if kept.path is not None:
                training = self._training(data, validation)
                if kept.is_there():
                    course = self._resumed(kept.path, training)
                else:
                    self._write(kept.path, course, training)  # an error that comes early
            keep = functools.partial(self._keep, kept, course, training)
            last = course.first + epochs
            report = Report(self.progress, last, self.world.rank, self.world.size)
            while self.epoch < last and (patience is None or course.waited <= patience):
                score = self._epoch(data, course, keep)
                judged = None if validation is None else self.evaluate(validation)
                self.epoch += 1
                course.end(self.epoch, score, judged, self.updates)
                report.epoch(course.history)
                if call is not None:
                    call(self.epoch, course.history)
                if patience is not None and course.is_better((judged or score).loss):
                    course.best = jax.tree.map(jnp.copy, self._parameters)
                keep(is_epoch=True)
        if course.best is not None:
            self._parameters = course.best
        return course.history

    def _epoch(self, data: Data, course: Course, keep: Callable[..., None]) -> Score:
        scores = course.begun
        for inputs, target in itertools.islice(_batches(data, self.epoch), len(scores), None):
            with jax.enable_x64(True):
                given, trial, steps, target, count = self._placed(inputs, target, self._trials)
                if self._is_whole:
                    new = self._update(
                        self._parameters, self._optimizer_state, self._net.held, given, trial,
                        target, steps,
                    )  # fmt: skip
                else:
                    new = self._update_together(given, trial, target, steps)
            self._parameters, self._optimizer_state = new.parameters, new.optimizer
            self.updates, self._trials = self.updates + 1, self._trials + count
            scores.append((new.loss, new.accuracy, count))
            keep(is_epoch=False)
        if not scores:
            raise TrainError(f"data: epoch {self.epoch} has no batch. Give some (inputs, target).")
        score = Score.of(scores)
        if not np.isfinite(score.loss):
            raise TrainError(
                f"the loss is {score.loss} in epoch {self.epoch + 1}, update {self.updates}. Use a "
                "smaller learning rate, or optax.clip_by_global_norm."
            )
        for path, value in self._parameters.items():
            if not bool(jnp.isfinite(value).all()):  # a loss of spikes alone may not show it
                raise TrainError(
                    f'"{path}" is not finite after update {self.updates}. Use a smaller learning '
                    "rate, or optax.clip_by_global_norm."
                )
        return score

    def _value(
        self,
        parameters: Any,
        held: Any,
        given: Any,
        trial: Any,
        target: Any,
        steps: int,
        *,
        is_training: bool = True,
    ) -> tuple[Any, Any]:
        """The loss, and how many trials are right."""
        outputs = self._net(
            parameters, held, given, trial,
            steps=steps, chunk=self.rule.chunk, window=self.rule.window, is_training=is_training,
        )  # fmt: skip
        return self._score(outputs, target)

    def _score(self, outputs: Any, target: Any) -> tuple[Any, Any]:
        value = self.loss.value(outputs, target, self.dt)
        right = None
        if self.loss.accuracy is not None:
            right = self.loss.accuracy(outputs, target, self.dt).mean()
        return value.mean(), right

    def _derived(
        self, parameters: Any, held: Any, given: Any, trial: Any, target: Any, steps: int
    ) -> tuple[tuple[Any, Any], Any]:
        """The loss, how many trials are right, and the derivatives by the rule."""
        if isinstance(self.rule, EProp):
            score = functools.partial(self._score, target=target)
            return online.gradient(
                self._net,
                parameters,
                held,
                given,
                trial,
                steps,
                score,
                self.rule.feedback,
                decay=self.rule.decay if isinstance(self.rule, PPProp) else None,
                is_instant=isinstance(self.rule, DRTRL),
            )
        if isinstance(self.rule, ThreeFactor):
            outputs, found = perturbation.gradient(
                self._net, parameters, held, given, trial, steps,
                lambda outputs: self.loss.value(outputs, target, self.dt), self.rule.noise,
            )  # fmt: skip
            return self._score(outputs, target), found
        derive = jax.value_and_grad(self._value, has_aux=True)
        return derive(parameters, held, given, trial, target, steps)

    @functools.partial(jax.jit, static_argnums=(0, 7), donate_argnums=(1, 2))
    def _update(
        self, parameters: Any, state: Any, held: Any, given: Any, trial: Any, target: Any,
        steps: int,
    ) -> _Updated:  # fmt: skip
        (loss, right), change = self._derived(parameters, held, given, trial, target, steps)
        return _Updated(*self._applied(change, state, parameters), loss, right)

    @functools.partial(jax.jit, static_argnums=(0, 6))
    def _gradient(
        self, parameters: Any, held: Any, given: Any, trial: Any, target: Any, steps: int
    ) -> Any:
        return self._derived(parameters, held, given, trial, target, steps)

    @functools.partial(jax.jit, static_argnums=0, donate_argnums=(2, 3))
    def _apply(self, gradient: Any, state: Any, parameters: Any) -> Any:
        return self._applied(gradient, state, parameters)

    def _applied(self, gradient: Any, state: Any, parameters: Any) -> tuple[Any, Any]:
        if self._team is None:
            updates, state = self.optimizer.update(gradient, state, parameters)
        else:
            dealt = {path: self._net.where[path].is_dealt for path in parameters}
            updates, state = part_updated(
                self.optimizer, gradient, Learned(parameters, state), dealt,
                self._net.layout.of_ranks,
            )  # fmt: skip
        new: Any = optax.apply_updates(parameters, updates)
        allowed = {path: self._net.where[path].allowed(value) for path, value in new.items()}
        return allowed, state

    def _update_together(self, given: Any, trial: Any, target: Any, steps: int) -> _Updated:
        """An update by the mean of the gradients of all trials. Collective."""
        (loss, right), gradient = self._gradient(
            self._parameters, self._net.held, given, trial, target, steps
        )
        mean = {}
        for path, of in gradient.items():
            whole = np.asarray(of)
            if self._team is not None and not self._net.where[path].is_dealt:
                whole = self._team.sum(whole)  # each rank has what its own neurons do
            whole = self._apart.sum(whole) / self._apart.size
            mean[path] = jax.device_put(whole, of.sharding)
        parameters, state = self._apply(mean, self._optimizer_state, self._parameters)
        both = np.array([loss, 0.0 if right is None else right], np.float64)
        loss, accuracy = self._apart.sum(both) / self._apart.size
        return _Updated(parameters, state, loss, None if right is None else accuracy)

    # --- a fit that is kept ----------------------------------------------------------------------

    def _training(self, data: Data, validation: Data) -> dict[str, str]:
        """What decides what a fit comes to, as far as it can be said in words."""
        mesh = self._net.layout.mesh
        given = {
            **self._given, "loss": self.loss, "where": list(self._parameters),
            "ranks": self.world.size, "mesh": (mesh.shape[DATA], self._net.layout.devices),
            "platform": self.devices[0].platform,
        }  # fmt: skip
        said = {name: text_of(value) for name, value in given.items()}
        return said | described("data", data) | described("validation", validation)

    def _resumed(self, path: Path, training: Mapping[str, str]) -> Course:
        """The course of the fit that is kept there, with all that it has come to. Collective."""
        expected = to_arrays(self._net, self.optimizer, self._learned())
        with agreed(self.world):
            arrays, counters = read_arrays(path)
            course, found = course_of(str(path), arrays.get(COURSE))
            check_training(str(path), found, training)
            self._take(path, arrays, expected, counters)
            if course.least is not None:
                if not {BEST + p for p in self._parameters} <= set(arrays):
                    raise RunDirectoryError(f'"{path}" has not the best parameters of its fit.')
                course.best = {p: self._net.laid(p, arrays[BEST + p]) for p in self._parameters}
        if self.world.rank == 0 and self.progress != "off":
            print(f'goes on after update {self.updates}, from "{path}"', file=sys.stderr)
        return course

    def _write(self, path: Path, course: Course, training: Mapping[str, str]) -> None:
        best = {BEST + p: self._net.canonical(p, x) for p, x in (course.best or {}).items()}
        self._save(path, {COURSE: course.to_array(training), **best})

    def _keep(
        self, kept: Checkpoint, course: Course, training: Mapping[str, str], *, is_epoch: bool
    ) -> None:
        """Write a fit if that is due, and stop it if it must stop. Collective."""
        due = kept.due(is_epoch=is_epoch)
        if due and kept.path is not None:
            self._write(kept.path, course, training)
        if due == STOP:
            if self.world.rank == 0:
                print(
                    f"distdyn: SIGUSR1: stopped after update {self.updates}. The same command goes "
                    f'on from "{kept.path}".',
                    file=sys.stderr, flush=True,
                )  # fmt: skip
            raise Stopped(ExitCode.REQUEUE)

    # --- using what was trained ------------------------------------------------------------------

    def evaluate(self, data: Data) -> Score:
        """The loss and the accuracy of batches. Collective."""
        scores, trials = [], APART
        for inputs, target in _batches(data, self.epoch):
            with jax.enable_x64(True):
                given, trial, steps, target, count = self._placed(inputs, target, trials)
                loss, right = self._judge(
                    self._parameters, self._net.held, given, trial, target, steps
                )
            if self._apart.size > 1:
                both = np.array([loss, 0.0 if right is None else right], np.float64)
                loss, accuracy = self._apart.sum(both) / self._apart.size
                right = None if right is None else accuracy
            trials += count
            scores.append((loss, right, count))
        if not scores:
            raise TrainError("evaluate: there is no batch. Give some (inputs, target).")
        return Score.of(scores)

    @functools.partial(jax.jit, static_argnums=(0, 6))
    def _judge(self, *arguments: Any) -> Any:
        return self._value(*arguments, is_training=False)

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """What is watched, [trial, step, neuron]. Collective: all ranks give and get all trials."""
        with jax.enable_x64(True):
            given, trial, steps, _, _ = self._placed(inputs, None, APART)
            outputs = self._run(self._parameters, self._net.held, given, trial, steps)
        mine = {name: self._net.layout.fetched(y) for name, y in outputs.items()}
        every = self._apart.allgather(mine)
        return {name: np.concatenate([of[name] for of in every]) for name in mine}

    @functools.partial(jax.jit, static_argnums=(0, 5))
    def _run(self, parameters: Any, held: Any, given: Any, trial: Any, steps: int) -> Any:
        return self._net(parameters, held, given, trial, steps=steps, chunk=None)

    def memory(self, inputs: Mapping[str, Any], target: Any) -> int:
        """The bytes that an update by such a batch needs on a device besides what it is given.

        It is compiled, and nothing is run: so one can ask what would not fit. Collective.
        """
        with jax.enable_x64(True):
            given, trial, steps, target, _ = self._placed(inputs, target, 0)
            changed: Any = (self._parameters, self._optimizer_state)
            update = DSTrainer._update
            if not self._is_whole:
                changed, update = (self._parameters,), DSTrainer._gradient
            program = update.lower(self, *changed, self._net.held, given, trial, target, steps)
            found = program.compile().memory_analysis()
            assert found is not None  # XLA says it on all its platforms
            return found.temp_size_in_bytes

    def exchanged(self) -> tuple[float, int]:
        """The seconds that this rank has spent in exchanges by MPI within updates; how many.

        Waiting for other ranks is part of it. (0, 0) where no ranks share the neurons.
        """
        return (0.0, 0) if self._team is None else self._team.exchanged()

    def _placed(self, inputs: Mapping[str, Any], target: Any, first: int) -> tuple[Any, ...]:
        """Our trials of a batch on the mesh; the steps, and how many trials there are in all."""
        if not isinstance(inputs, Mapping) or not inputs:
            raise TrainError(
                f"data: inputs = {shown(inputs)}. Give what comes from outside by path, as "
                '{"in": bool[trial, step, neuron]}.'
            )
        count = len(next(iter(inputs.values())))
        ranks = self._apart.size
        if count % ranks:
            raise TrainError(
                f"data: {count} trials for {ranks} ranks. Give a batch that they divide."
            )
        if target is not None and self.loss.check is not None:
            self.loss.check(self._net.widths, target)
        mine = slice(self._apart.rank * count // ranks, (self._apart.rank + 1) * count // ranks)
        layout = self._net.layout
        given, _, steps = given_to(
            self.graph, layout, {path: np.asarray(x)[mine] for path, x in inputs.items()}
        )
        check_common(self.world, **{"trials of a batch": count, "its steps": steps})
        numbers = (first + np.arange(count)[mine]).astype(np.uint32)
        wanted = jax.tree.map(
            lambda x: layout.place(_target(x, count)[mine], DATA, *(None,) * (np.ndim(x) - 1)),
            target,
        )
        return given, layout.place(numbers, DATA), steps, wanted, count

    # --- the parameters --------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """What is trained, by path: one number, one per neuron, or one per synapse. Collective.

        Synapses are in the order of `DSRunner(...)["exc"].edges()`.
        """
        return {path: self._net.canonical(path, x) for path, x in self._parameters.items()}

    def save(self, path: str | Path) -> None:
        """Write parameters, and all that training needs to go on, to an HDF5 file. Collective.

        What is in it does not depend on how many ranks and devices there are.
        """
        self._save(Path(path), {})

    def load(self, path: str | Path) -> None:
        """Go on from a file that `save` wrote, or from the checkpoint of a fit. Collective.

        A checkpoint may be of another seed, other data or another mesh, and gives the parameters
        of its last update, also where there was patience. An epoch in which it stopped goes on
        behind the batches that were made.

        Raises:
            RunDirectoryError: it cannot be read.
            TrainError: it is of a trainer of other parameters, or another optimizer.
        """
        path = Path(path)
        expected = to_arrays(self._net, self.optimizer, self._learned())
        with agreed(self.world):
            arrays, counters = read_arrays(path)
            begun = course_of(str(path), arrays[COURSE])[0].begun if COURSE in arrays else []
            self._take(path, arrays, expected, counters)
            self._begun = begun

    def _save(self, path: Path, more: Mapping[str, np.ndarray]) -> None:
        arrays = to_arrays(self._net, self.optimizer, self._learned())
        with agreed(self.world):
            if self.world.rank == 0:
                counters = {name: getattr(self, name) for name in COUNTERS}
                write_arrays(path, {**arrays, **more}, **counters)

    def _take(
        self, path: Path, arrays: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray],
        counters: Any,
    ) -> None:  # fmt: skip
        if not all(isinstance(counters.get(name), int | np.integer) for name in COUNTERS):
            raise RunDirectoryError(f'"{path}" does not say how far the training was.')
        learned = to_mesh(
            self._net, self.optimizer, self._learned(), arrays, expected, source=str(path)
        )
        self._parameters, self._optimizer_state = learned
        for name in COUNTERS:
            setattr(self, name, int(counters[name]))

    def _learned(self) -> Learned:
        return Learned(self._parameters, self._optimizer_state)

    @property
    def digest(self) -> str:
        """The SHA-256 of all parameters. Collective."""
        found = hashlib.sha256()
        for path, value in sorted(self.parameters.items()):
            found.update(path.encode())
            found.update(np.ascontiguousarray(value).tobytes())
        return found.hexdigest()


def _graph(system: Any) -> Any:
    if isinstance(system, DynamicalSystem):
        raise NetworkError(
            f"DSTrainer: {type(system).__name__} is one system. Give a Network with a Population "
            "of it."
        )
    return graph(system)


def _batches(data: Data, epoch: int) -> Iterator[Batch]:
    made: Any = getattr(data, "batches", data)
    found: Any = made(epoch) if callable(made) else made
    for batch in found:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise TrainError(f"data: a batch is {shown(batch)}. Give (inputs, target).")
        yield batch[0], batch[1]


def _target(x: Any, count: int) -> np.ndarray:
    array = np.asarray(x)
    if array.ndim == 0 or len(array) != count:
        raise TrainError(
            f"data: the target has shape {list(array.shape)}, but there are {count} trials. Give "
            "[trial, ...]."
        )
    return array
