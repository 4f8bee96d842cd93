"""IndegreeRule: a rule of one's own, in one function: from where each post neuron has its synapses.

    sources[j, k] = choose(j, n_pre, u[j, k])

where u is a uniform number that depends on the seed, the projection, j and k alone.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int, Int64

from distdyn.errors import RuleError
from distdyn.network.ends import Ends
from distdyn.network.rule import AbstractPairRule, Key, Listing, Part, posts_of, whole_number
from distdyn.random import uniform


class IndegreeRule(AbstractPairRule):
    """Every post neuron has n synapses, from neurons that `choose` says.

        @dataclass(frozen=True)
        class Near(dd.IndegreeRule):
            n: int
            sigma: float

            def choose(self, post, n_pre, u):
                step = self.sigma * scipy.special.ndtri(u)
                return np.rint(post + step).astype(int) % n_pre

    Any part of the network asks for its own neurons, so what is chosen for one must not depend on
    which others are asked for with it.
    """

    n: int
    autapses: ClassVar[bool] = True  # a rule that wants none chooses none
    is_drawn: ClassVar[bool] = True
    is_uniform: ClassVar[bool] = True

    @abstractmethod
    def choose(
        self, post: Int64[np.ndarray, "post 1"], n_pre: int, u: Float64[np.ndarray, "post n"]
    ) -> Int[np.ndarray, "post n"]:
        """The places of the sources in the pre end.

        Args:
            post: places of post neurons in the post end, one per row.
            n_pre: the number of neurons of the pre end.
            u: a uniform number in (0, 1) for each synapse, always the same one.
        """

    def check(self, ends: Ends, where: str) -> None:
        n = whole_number(self.n, f"{where}: {type(self).__name__}: n")
        if n and ends.n_post and not ends.n_pre:
            raise RuleError(f"{where}: {self} asks for {n} among no sources. Give a pre neuron.")

    def expected(self, ends: Ends) -> float:
        return float(ends.n_post * self.n)

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        return int(self.n) * (part[1] if part else ends.n_post)

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        return float(self.n) if ends.n_post else 0.0, 0.0

    def prepared(self, ends: Ends, key: Key) -> None:
        """Nothing."""

    def width(self, listing: Listing) -> int:
        return int(self.n)

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        return posts_of(ends, blocks)

    def targets(self, items: np.ndarray) -> np.ndarray:
        return items

    def sources(self, listing: Listing, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from distdyn.ops import draw

        n, post = int(self.n), items[:, None]
        key = int(listing.key[0]), int(listing.key[1])
        u = uniform(key, post * n + np.arange(n), int(draw.SOURCES))
        chosen = self._checked(self.choose(post, listing.n_pre, u), u.shape, listing.n_pre)
        return np.arange(len(items) + 1) * n, chosen.reshape(-1)

    def _checked(self, chosen: Any, shape: tuple[int, ...], n_pre: int) -> np.ndarray:
        found = np.asarray(chosen)
        if found.shape != shape or found.dtype.kind not in "iu":
            raise RuleError(
                f"{self}: choose returned {found.dtype.name}{list(found.shape)}. Return integers "
                f"of shape {list(shape)}, the sources of each post neuron in a row."
            )
        outside = found[(found < 0) | (found >= n_pre)]
        if outside.size:
            raise RuleError(
                f"{self}: choose returned the source {outside[0]}, and the pre end has "
                f"{n_pre} neurons. Return 0 <= source < {n_pre}."
            )
        return found.astype(np.int64)
