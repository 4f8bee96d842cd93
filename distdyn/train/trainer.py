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
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from distdyn.core.firing import Firing
from distdyn.core.system import DynamicalSystem
from distdyn.errors import NetworkError, TrainError
from distdyn.network.network import Network, graph
from distdyn.parallel import launch
from distdyn.parallel.launch.devices import local_devices
from distdyn.parallel.parameters import Setting
from distdyn.run import arguments
from distdyn.run.agreement import agreed, check_common, description, versions
from distdyn.run.progress import check_mode
from distdyn.run.store import read_arrays, write_arrays
from distdyn.train import online
from distdyn.train.history import History, Score
from distdyn.train.inputs import given_to
from distdyn.train.layout import DATA, mesh_of
from distdyn.train.loss import Loss
from distdyn.train.parameters import names
from distdyn.train.report import Report
from distdyn.train.rules import BPTT, EProp, PPProp, Rule
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
        where: paths of what is trained, `"exc.weight"`, `"E.tau_m"`; or a function of such a path
            that says whether it is.
        rule: how derivatives are found.
        dt: time step, ms.
        seed: of all draws, as that of `DSRunner`.
        t0: when a trial begins, ms.
        devices: how many local devices, or "auto".
        mesh: (data, neuron), how many of them along each axis; None: all along `data`.
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
        check_common(
            self.world, seed=setting.seed, dt=dt, precision=precision, t0=t0, rule=self.rule,
            mesh=mesh, **versions(), **description(self.graph),
        )  # fmt: skip
        self.devices = local_devices(devices, platform, self.world, neurons=self.graph.size)
        with agreed(self.world), jax.enable_x64(True):
            firing = Firing(self.rule.surrogate, self.rule.detach_reset)
            make = functools.partial(
                Unrolled, self.graph, setting, mesh_of(self.devices, mesh), firing, loss.watch
            )
            paths = [p for p in names(make(())) if where(p)] if callable(where) else list(where)
            if not paths:
                raise TrainError('where: nothing is trained. Give paths such as "exc.weight".')
            self._net = make(paths)
            if isinstance(self.rule, EProp):
                online.learners(self._net)  # an error that comes early
            self._parameters = self._net.parameters
            # Counters too are on the mesh, where an update leaves them: or the second update would
            # be another program, and compiling it takes as long as the first.
            everywhere = NamedSharding(self._net.layout.mesh, PartitionSpec())
            self._optimizer_state = jax.tree.map(
                lambda x: x if _is_laid(x) else jax.device_put(x, everywhere),
                optimizer.init(self._parameters),
            )
        self.epoch = self.updates = self._trials = 0

    # --- training --------------------------------------------------------------------------------

    def fit(
        self,
        data: Data,
        epochs: int = 1,
        *,
        validation: Data = None,
        patience: int | None = None,
        call: Callable[[int, History], Any] | None = None,
    ) -> History:
        """Train for some more epochs. Collective.

        Args:
            data: batches `(inputs, target)`: a list of them, a function of the number of the epoch
                that gives them, or an object with such a method `batches`.
            epochs: how many.
            validation: batches by which each epoch is judged.
            patience: end when so many epochs have brought no smaller loss, that of `validation` if
                it is given; the parameters are then those of the best epoch. None: do not.
            call: called with the number of epochs made and the history after each.

        Returns:
            What each epoch came to.

        Raises:
            TrainError: data that do not fit; a loss or a parameter that is not finite.
        """
        history, best, waited = History(), None, 0
        report = Report(self.progress, self.epoch + epochs, self.world.rank, self.world.size)
        for _ in range(epochs):
            began = time.perf_counter()
            score = self._epoch(data)
            judged = None if validation is None else self.evaluate(validation)
            self.epoch += 1
            history.add(self.epoch, score, judged, time.perf_counter() - began, self.updates)
            report.epoch(history)
            if call is not None:
                call(self.epoch, history)
            if patience is not None:
                loss = (judged or score).loss
                if best is None or loss < best[0]:
                    best, waited = (loss, jax.tree.map(jnp.copy, self._parameters)), 0
                else:
                    waited += 1
                if waited > patience:
                    break
        if best is not None:
            self._parameters = best[1]
        return history

    def _epoch(self, data: Data) -> Score:
        scores = []
        for inputs, target in _batches(data, self.epoch):
            with jax.enable_x64(True):
                given, trial, steps, target, count = self._placed(inputs, target, self._trials)
                if self.world.size == 1:
                    new = self._update(
                        self._parameters, self._optimizer_state, self._net.held, given, trial,
                        target, steps,
                    )  # fmt: skip
                else:
                    new = self._update_together(given, trial, target, steps)
            self._parameters, self._optimizer_state = new.parameters, new.optimizer
            self.updates, self._trials = self.updates + 1, self._trials + count
            scores.append((new.loss, new.accuracy, count))
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
        self, parameters: Any, held: Any, given: Any, trial: Any, target: Any, steps: int
    ) -> tuple[Any, Any]:
        """The loss, and how many trials are right."""
        outputs = self._net(
            parameters, held, given, trial,
            steps=steps, chunk=self.rule.chunk, window=self.rule.window,
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
            )
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
        updates, state = self.optimizer.update(gradient, state, parameters)
        new: Any = optax.apply_updates(parameters, updates)
        allowed = {path: self._net.where[path].allowed(value) for path, value in new.items()}
        return allowed, state

    def _update_together(self, given: Any, trial: Any, target: Any, steps: int) -> _Updated:
        """An update by the mean of the gradients of all ranks. Collective."""
        (loss, right), gradient = self._gradient(
            self._parameters, self._net.held, given, trial, target, steps
        )
        mean = {}
        for path, of in gradient.items():
            whole = self.world.sum(np.asarray(of)) / self.world.size
            mean[path] = jax.device_put(whole, of.sharding)
        parameters, state = self._apply(mean, self._optimizer_state, self._parameters)
        both = np.array([loss, 0.0 if right is None else right], np.float64)
        loss, accuracy = self.world.sum(both) / self.world.size
        return _Updated(parameters, state, loss, None if right is None else accuracy)

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
            if self.world.size > 1:
                both = np.array([loss, 0.0 if right is None else right], np.float64)
                loss, accuracy = self.world.sum(both) / self.world.size
                right = None if right is None else accuracy
            trials += count
            scores.append((loss, right, count))
        if not scores:
            raise TrainError("evaluate: there is no batch. Give some (inputs, target).")
        return Score.of(scores)

    @functools.partial(jax.jit, static_argnums=(0, 6))
    def _judge(self, *arguments: Any) -> Any:
        return self._value(*arguments)

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """What is watched, [trial, step, neuron]. Collective: all ranks give and get all trials."""
        with jax.enable_x64(True):
            given, trial, steps, _, _ = self._placed(inputs, None, APART)
            outputs = self._run(self._parameters, self._net.held, given, trial, steps)
        mine = {name: np.asarray(y) for name, y in outputs.items()}
        every = self.world.allgather(mine)
        return {name: np.concatenate([of[name] for of in every]) for name in mine}

    @functools.partial(jax.jit, static_argnums=(0, 5))
    def _run(self, parameters: Any, held: Any, given: Any, trial: Any, steps: int) -> Any:
        return self._net(parameters, held, given, trial, steps=steps, chunk=None)

    def _placed(self, inputs: Mapping[str, Any], target: Any, first: int) -> tuple[Any, ...]:
        """Our trials of a batch on the mesh; the steps, and how many trials there are in all."""
        if not isinstance(inputs, Mapping) or not inputs:
            raise TrainError(
                f"data: inputs = {shown(inputs)}. Give what comes from outside by path, as "
                '{"in": bool[trial, step, neuron]}.'
            )
        count = len(next(iter(inputs.values())))
        ranks = self.world.size
        if count % ranks:
            raise TrainError(
                f"data: {count} trials for {ranks} ranks. Give a batch that they divide."
            )
        if target is not None and self.loss.check is not None:
            self.loss.check(self._net.widths, target)
        mine = slice(self.world.rank * count // ranks, (self.world.rank + 1) * count // ranks)
        layout = self._net.layout
        given, _, steps = given_to(
            self.graph, layout, {path: np.asarray(x)[mine] for path, x in inputs.items()}
        )
        numbers = (first + np.arange(count)[mine]).astype(np.uint32)
        wanted = jax.tree.map(
            lambda x: layout.place(_target(x, count)[mine], DATA, *(None,) * (np.ndim(x) - 1)),
            target,
        )
        return given, layout.place(numbers, DATA), steps, wanted, count

    # --- the parameters --------------------------------------------------------------------------

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """What is trained, by path: one number, one per neuron, or one per synapse.

        Synapses are in the order of `DSRunner(...)["exc"].edges()`.
        """
        return {path: self._net.canonical(path, x) for path, x in self._parameters.items()}

    def save(self, path: str | Path) -> None:
        """Write parameters, and all that training needs to go on, to an HDF5 file. Collective.

        What is in it does not depend on how many ranks and devices there are.
        """
        arrays = {f"parameters/{p}": x for p, x in self.parameters.items()}
        for k, leaf in enumerate(self._optimizer_leaves()):
            arrays[f"optimizer/{k}"] = np.asarray(leaf)
        with agreed(self.world):
            if self.world.rank == 0:
                counters = {name: getattr(self, name) for name in COUNTERS}
                write_arrays(Path(path), arrays, **counters)

    def load(self, path: str | Path) -> None:
        """Go on from a file that `save` wrote. Collective.

        Raises:
            RunDirectoryError: it cannot be read.
            TrainError: it is of a trainer of other parameters, or another optimizer.
        """
        with agreed(self.world):
            arrays, counters = read_arrays(Path(path))
            self._take(str(path), arrays)
            for name in COUNTERS:
                setattr(self, name, int(counters[name]))

    def _take(self, path: str, arrays: dict[str, np.ndarray]) -> None:
        before = self._optimizer_leaves()
        expected = {f"parameters/{p}": x for p, x in self.parameters.items()}
        expected |= {f"optimizer/{k}": np.asarray(x) for k, x in enumerate(before)}
        for name in sorted({*expected, *arrays}):
            found, wanted = (np.shape(x[name]) if name in x else None for x in (arrays, expected))
            if found != wanted:
                raise TrainError(
                    f'"{path}": {name} has shape {found}, this trainer\'s {wanted}. Use the '
                    "network, `where` and the optimizer that it was saved with."
                )
        self._parameters = {
            p: self._net.laid(p, arrays[f"parameters/{p}"]) for p in self._parameters
        }
        with jax.enable_x64(True):
            leaves, structure = jax.tree.flatten(self._optimizer_state)
            new = [
                self._net.layout.place(arrays[f"optimizer/{k}"].astype(leaf.dtype))
                if of is None
                else self._net.laid(of, arrays[f"optimizer/{k}"])
                for k, (leaf, of) in enumerate(zip(leaves, self._state_of(), strict=True))
            ]
            self._optimizer_state = jax.tree.unflatten(structure, new)

    def _optimizer_leaves(self) -> list[np.ndarray]:
        """The arrays of the optimizer's state, those that are like parameters as they are known."""
        leaves = jax.tree.leaves(self._optimizer_state)
        return [
            np.asarray(leaf) if of is None else self._net.canonical(of, leaf)
            for leaf, of in zip(leaves, self._state_of(), strict=True)
        ]

    def _state_of(self) -> list[str | None]:
        """Of each array of the optimizer's state the parameter that it is like, or None."""
        marked = optax.tree_utils.tree_map_params(
            self.optimizer,
            lambda _, path: (path,),
            self._optimizer_state,
            {path: path for path in self._parameters},
            transform_non_params=lambda _: (None,),
        )
        return [of for (of,) in jax.tree.leaves(marked, is_leaf=_is_mark)]

    @property
    def digest(self) -> str:
        """The SHA-256 of all parameters."""
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


def _is_laid(x: Any) -> bool:
    return isinstance(getattr(x, "sharding", None), NamedSharding)


def _is_mark(x: Any) -> bool:
    return type(x) is tuple and len(x) == 1 and (x[0] is None or isinstance(x[0], str))


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
