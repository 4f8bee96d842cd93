"""Learning by trial and error: noise is added to what arrives, and kept where it did good.

    a_i(t) = sum_j w_ij x_j(t - d) + sigma xi_i(t)          xi = +1 or -1, drawn anew in each step
    e_ij   = sum_t xi_i(t) x_j(t - d)                       what a synapse notes for itself
    dL/dw_ij ~ (L - L_quiet) e_ij / sigma

A synapse knows what its pre cell has sent, and how its post cell was pushed; the third factor, how
much worse the trial was than the same one without noise, is a number for all of them. Its mean over
draws is the derivative of the loss, through spikes, resets and whatever recurrence, up to sigma^2:
nothing is differentiated, and the loss may be a reward that has no derivative. Its variance grows
with the number of cells and steps, by which it is slower than rules that are told more.

In a step nothing is sent but what the simulation sends, and behind the last one a number.

Source: Fiete & Seung (2006), Phys. Rev. Lett. 97, 048104; Williams (1992), Mach. Learn. 8, 229; of
signs: Spall (1992), IEEE Trans. Autom. Control 37, 332.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from distdyn.core.coupling import Coupling
from distdyn.errors import TrainError
from distdyn.random import stream_key, threefry
from distdyn.train.eligibility import Each, Eligibility, Few, Learner
from distdyn.train.inputs import Given
from distdyn.train.layout import DATA, NEURON, varying
from distdyn.train.local import Held, Local
from distdyn.train.synapses import Target
from distdyn.train.unrolled import Unrolled

Values = Callable[[Mapping[str, Any]], Any]  # from outputs to the loss of each trial


def gradient(
    net: Unrolled,
    parameters: Mapping[str, Any],
    held: Held,
    given: Given,
    trial: Any,
    steps: int,
    values: Values,
    noise: float,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is watched without noise, and one draw of the derivatives of the mean loss, by path.

    Args:
        net: the network.
        parameters: by path.
        held: as in a call of the network, like the next three.
        given: what comes from outside.
        trial: whose random numbers each trial has.
        steps: how many.
        values: the loss of each trial, of what is watched.
        noise: sigma, in the unit of the weights.
    """
    who = learners(net)
    quiet = net(parameters, held, given, trial, steps=steps, chunk=None, is_training=True)
    first = next(iter(quiet.values()))  # what comes then is sent after what was sent for it
    held = net.with_parameters(held, parameters)
    noted = {of.path: P(DATA, NEURON) for of in who}

    def pushed(held: Held, given: Given, trial: Any, first: Any) -> Any:
        here = Perturbing(net, who, varied(held), varied(trial), noise, after=first)
        return here.run(varied(given), steps)

    def judged(held: Held, trial: Any, found: Mapping[str, Any], worse: Any) -> Any:
        here = Perturbing(net, who, varied(held), varied(trial), noise)
        return here.derivatives(varied(found), varied(worse))

    watched, found = jax.shard_map(
        pushed,
        mesh=net.layout.mesh,
        in_specs=(net.specs(held), given.specs(), P(DATA), P(DATA)),
        out_specs=([P(None, None, DATA, NEURON)] * len(net.found), noted),
        check_vma=True,
    )(held, given, trial, first)
    worse = (values(net.named(watched)) - values(quiet)) / (noise * trial.shape[0])
    derivatives = jax.shard_map(
        judged,
        mesh=net.layout.mesh,
        in_specs=(net.specs(held), P(DATA), noted, P(DATA)),
        out_specs={of.path: net.where[of.path].spec for of in who},
        check_vma=True,
    )(held, trial, found, worse.astype(net.setting.precision))
    return quiet, derivatives


def varied(tree: Any) -> Any:
    """All of it as what varies over the mesh."""
    return jax.tree.map(varying, tree)


def learners(net: Unrolled) -> list[Learner]:
    """The weights that are trained.

    Raises:
        TrainError: something else is, or weights that act without spikes.
    """
    found = []
    for path in net.where:
        index = next((k for k, s in enumerate(net.synapses) if path == f"{s.path}.weight"), None)
        if index is None:
            raise TrainError(
                f'ThreeFactor: "{path}" is no weight of a projection; only synapses note what they '
                "do. Use BPTT or EProp for it."
            )
        s = net.synapses[index]
        synapse = net.graph.projections[s.path].synapse
        if isinstance(synapse, Coupling) and not synapse.needs_spikes:
            raise TrainError(
                f'ThreeFactor: "{path}" cannot learn by it, for {type(synapse).__name__} acts '
                "without spikes. Use BPTT."
            )
        found.append(Learner(path, index, s.targets[0], ()))
    return found


class Perturbing(Local):
    """The steps of what one device has, with noise, and what its synapses note of it."""

    def __init__(
        self,
        net: Unrolled,
        learners: list[Learner],
        held: Held,
        trial: Any,
        noise: float,
        *,
        after: Any = None,
    ) -> None:
        super().__init__(net, held, trial, is_training=True)
        self.noise, self.after = noise, after
        self.kinds = [self._kind(learner) for learner in learners]
        self.targets = list(dict.fromkeys(t for of in learners for t in of.targets))
        self.pushes: dict[Target, Any] = {}  # of the step that is being traced

    def _kind(self, learner: Learner) -> Eligibility:
        assert learner.synapses is not None
        is_each = self.net.synapses[learner.synapses].is_each
        return (Each if is_each else Few)(self, learner)

    def run(self, given: Given, steps: int) -> tuple[list[Any], dict[str, Any]]:
        """What is watched, [rank, step, trial, cell], and what synapses noted, [trial, synapse]."""
        nothing = [(kind.zeros(*kind.shape), kind.nothing_sent()) for kind in self.kinds]
        start = varied((self.begin(), nothing))
        (_, found), watched = jax.lax.scan(self._both, start, given, steps)
        noted = zip(self.kinds, found, strict=True)
        flat = {kind.learner.path: x.reshape(len(x), -1) for kind, (x, _) in noted}
        return self.net.together(watched), flat

    def _both(self, loop: tuple[Any, Any], given: Given) -> tuple[tuple[Any, Any], list[Any]]:
        carry, noted = loop
        step, stamp, new = self.advance(carry, given), carry.step + 1, []
        for kind, (total, sent) in zip(self.kinds, noted, strict=True):
            push = kind.columns([self.pushes[target] for target in kind.targets])
            total = total + kind.times(push) * kind.arriving(sent, stamp)
            new.append((total, kind.noted(sent, step.gathered, stamp)))
        return (step.carry, new), self.watched(step)

    def arrived(self, k: int, due: list[Any], stamp: Any) -> list[Any]:
        """What is due at the receptors of a group, with noise where weights learn."""
        due = list(due)
        for target in self.targets:
            if target.group == k:
                ring = self.net.plans[k].rings[target.receptor]
                assert ring is not None  # something arrives
                push = self.pushes[target] = self._push(target, stamp)
                here = self.net.layout.here[target.path]
                due[ring] = due[ring].at[:, here].add(self.noise * push)
        return due

    def _push(self, target: Target, stamp: Any) -> Any:
        """[trial, cell]: +1 or -1, and 0 where a cell only fills up."""
        layout, path = self.net.layout, target.path
        words = stream_key(self.net.setting.seed, "perturbation", f"{path}/{target.receptor}")
        key = np.uint32(words[0]) ^ self.trial[:, None], jnp.uint32(words[1])
        id = layout.parts.index() * layout.width(path) + jnp.arange(layout.width(path))
        word, _ = threefry((id.astype(jnp.uint32)[None], stamp.astype(jnp.uint32)), key)
        sign = jnp.where(word >> 31 == 0, 1.0, -1.0).astype(self.dtype)
        return jnp.where(id < layout.size[path], sign, 0)

    def derivatives(self, noted: Mapping[str, Any], worse: Any) -> dict[str, Any]:
        """By path, as parameters lie on the mesh."""
        return {
            kind.learner.path: kind.summed((worse @ noted[kind.learner.path]).reshape(kind.shape))
            for kind in self.kinds
        }
