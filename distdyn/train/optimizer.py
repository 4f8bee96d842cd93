"""An optimizer where each rank has only a part of the weights and of what is noted of them.

Most of it concerns each number alone. What concerns all of them together, as the norm by which
`optax.clip_by_global_norm` clips, is a sum over them: that of a rank, and then of all ranks. So the
update is what it is for whole arrays, up to the rounding of that sum, and no rank ever has them.

The program of the optimizer is read for this, one operation after another:

    of each number alone      on our part
    a sum, a maximum of all   over our part, then over the ranks
    anything else             is refused
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import jax
import optax

from distdyn._jax import Literal, evaluated
from distdyn.errors import TrainError
from distdyn.train.saved import Learned, like

# Operations of each number alone.
ALONE = frozenset(
    "abs add add_any and cbrt ceil clamp convert_element_type copy cos div eq erf exp exp2 expm1 "
    "floor ge gt integer_pow is_finite le log log1p logistic lt max min mul ne neg nextafter not "
    "or pow reduce_precision rem round rsqrt select_n sign sin sqrt square stop_gradient sub tan "
    "tanh xor".split()
)
SUMS = frozenset("reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum".split())


class Kind(Enum):
    """What a rank has of an array."""

    PART = "a part, along the first axis"
    WHOLE = "all of it"
    EVEN = "all of it, one number everywhere"


# From an array to those of all ranks, [rank, ...]; the second is what must be there before.
OfRanks = Callable[[Any, Any], Any]


def part_updated(
    optimizer: optax.GradientTransformation,
    gradient: Mapping[str, Any],
    learned: Learned,
    dealt: Mapping[str, bool],
    of_ranks: OfRanks,
) -> tuple[Any, Any]:
    """What `optimizer.update` returns, of our part. Collective, in a traced program.

    Args:
        optimizer: of optax.
        gradient: by path.
        learned: the parameters, and the state of the optimizer.
        dealt: of each path whether ranks have a part of it each.
        of_ranks: brings what all ranks have.

    Raises:
        TrainError: it combines numbers in another way.
    """
    given = dict(gradient), learned.optimizer, learned.parameters
    closed, shapes = jax.make_jaxpr(optimizer.update, return_shape=True)(*given)
    leaves = jax.tree.leaves(given)
    paths = [*sorted(gradient), *like(optimizer, learned), *sorted(learned.parameters)]
    kinds = [
        Kind.PART if path is not None and dealt[path] else _whole(x)
        for path, x in zip(paths, leaves, strict=True)
    ]
    found = _Reading(of_ranks).run(closed, [*zip(leaves, kinds, strict=True)])
    return jax.tree.unflatten(jax.tree.structure(shapes), [value for value, _ in found])


def _whole(x: Any) -> Kind:
    return Kind.WHOLE if x.ndim else Kind.EVEN


class _Reading:
    """The operations of a program, one after another."""

    def __init__(self, of_ranks: OfRanks) -> None:
        self.of_ranks, self.last = of_ranks, None

    def run(self, closed: Any, given: Sequence[tuple[Any, Kind]]) -> list[tuple[Any, Kind]]:
        known = dict(zip(closed.jaxpr.invars, given, strict=True))
        known |= {
            v: (x, _whole(x)) for v, x in zip(closed.jaxpr.constvars, closed.consts, strict=True)
        }

        def read(of: Any) -> tuple[Any, Kind]:
            return (of.val, Kind.EVEN) if isinstance(of, Literal) else known[of]

        for one in closed.jaxpr.eqns:
            results = self.step(one, [read(of) for of in one.invars])
            known |= dict(zip(one.outvars, results, strict=True))
        return [read(of) for of in closed.jaxpr.outvars]

    def step(self, one: Any, given: list[tuple[Any, Kind]]) -> list[tuple[Any, Kind]]:
        name, kinds = one.primitive.name, {kind for _, kind in given}
        inner = one.params.get("jaxpr", one.params.get("call_jaxpr"))
        if inner is not None and name in ("jit", "pjit", "custom_jvp_call", "closed_call"):
            return self.run(inner, given)
        values = [value for value, _ in given]
        if Kind.PART not in kinds:
            is_even = kinds <= {Kind.EVEN} and (name in ALONE or name == "broadcast_in_dim")
            return [
                (value, Kind.EVEN if is_even else _whole(value)) for value in evaluated(one, values)
            ]
        if name in ALONE and Kind.WHOLE not in kinds:
            return [(value, Kind.PART) for value in evaluated(one, values)]
        # Other axes are those of the layout, and none of the optimizer's business.
        if name in SUMS and len(one.params["axes"]) == values[0].ndim:
            (value,) = evaluated(one, values)
            self.last = self.of_ranks(value, self.last)
            (value,) = evaluated(one, [self.last], axes=(0,))
            return [(value, Kind.EVEN)]
        if name == "broadcast_in_dim" and _keeps_first(one, values[0]):
            return [(value, Kind.PART) for value in evaluated(one, values)]
        raise TrainError(
            f"the optimizer treats weights by their place in an array (`{name}`), of which each "
            "rank has a part. Use one that does the same with every weight, but for sums over all "
            "as in optax.clip_by_global_norm; or DISTDYN_COLLECTIVES=1, for one program of all "
            "ranks."
        )


def _keeps_first(one: Any, x: Any) -> bool:
    """Whether an array of more axes has the same first one."""
    return one.params["broadcast_dimensions"][:1] == (0,) and one.params["shape"][0] == x.shape[0]
