"""A halo: whose spikes a part needs, and who needs its own.

    ghosts of a owned by b  =  what b sends to a        for all parts a and b

Ghosts are the neurons of other parts that have targets in this part. A part knows its ghosts from
the synapses that it has drawn; what it must send, the others tell it, once (`requests`, then
`with_sends`). Local indices of ghosts follow those of the neurons that the part owns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from partition.decomposition import Decomposition
from partition.topology import DecompositionError


@dataclass(frozen=True, eq=False)
class Halo:
    """What one part exchanges with the others.

    Attributes:
        part: whose halo it is.
        owned: how many neurons the part owns.
        ghosts: int64[k]; gids of neurons elsewhere that have targets here; part by part, ascending.
        owners: int32[k]; the part of each ghost.
        sends: per part that asks for some, the gids (int64, ascending) of neurons owned here that
            have targets there.
    """

    part: int
    owned: int
    ghosts: np.ndarray
    owners: np.ndarray
    sends: Mapping[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, decomposition: Decomposition, part: int, gids: Any) -> "Halo":
        """The halo of a part that these neurons reach; those that it owns may be among them.

        What it sends is not known yet.

        Raises:
            DecompositionError: there is no such part or neuron.
        """
        decomposition.topology.place(part)
        gids = np.unique(np.asarray(gids, np.int64))
        owners, _ = decomposition.locate(gids)
        gids, owners = gids[owners != part], owners[owners != part]
        order = np.argsort(owners, kind="stable")
        return cls(part, int(decomposition.load()[part]), gids[order], owners[order])

    def requests(self) -> dict[int, np.ndarray]:
        """Per other part, the gids whose spikes this part needs from it, ascending."""
        parts = np.unique(self.owners)
        return {int(p): self.ghosts[self.owners == p] for p in parts}

    def with_sends(self, requests: Mapping[int, Any]) -> "Halo":
        """The same halo, knowing what each other part has asked this one for."""
        sends = {int(p): np.asarray(gids, np.int64) for p, gids in sorted(requests.items())}
        return replace(self, sends={p: gids for p, gids in sends.items() if len(gids)})

    def locals_of_ghosts(self, gids: Any) -> np.ndarray:
        """The local index of each of these ghosts: `owned` and its place among them.

        Raises:
            DecompositionError: one of them is not a ghost of this part.
        """
        gids, order = np.asarray(gids, np.int64), np.argsort(self.ghosts)
        at = np.searchsorted(self.ghosts, gids, sorter=order)
        found = at < len(order)
        found[found] = self.ghosts[order[at[found]]] == gids[found]
        if not found.all():
            raise DecompositionError(f"gid {gids[~found][0]} is no ghost of part {self.part}.")
        return self.owned + order[at]


def halos(decomposition: Decomposition, reaching: Sequence[Any]) -> tuple[Halo, ...]:
    """The halos of all parts; `reaching[p]` are the gids that have targets in part p.

    Raises:
        DecompositionError: there is not one array for each part, or an unknown neuron.
    """
    if len(reaching) != decomposition.parts:
        raise DecompositionError(
            f"{len(reaching)} arrays for {decomposition.parts} parts. Give one for each."
        )
    alone = [Halo.of(decomposition, part, gids) for part, gids in enumerate(reaching)]
    asked: list[dict[int, np.ndarray]] = [{} for _ in alone]
    for halo in alone:
        for owner, gids in halo.requests().items():
            asked[owner][halo.part] = gids
    return tuple(halo.with_sends(requests) for halo, requests in zip(alone, asked, strict=True))


def check(decomposition: Decomposition, all_halos: Sequence[Halo]) -> None:
    """Refuse halos that do not fit together.

    Raises:
        DecompositionError: what one part receives from another is not what that one sends, or a
            part is said to own what it does not.
    """
    for halo in all_halos:
        owners, _ = decomposition.locate(halo.ghosts)
        wrong = np.flatnonzero((owners != halo.owners) | (owners == halo.part))
        if wrong.size:
            gid = halo.ghosts[wrong[0]]
            raise DecompositionError(
                f"part {halo.part}: ghost {gid} is owned by part {owners[wrong[0]]}, but the halo "
                f"says by part {halo.owners[wrong[0]]}."
            )
        received = halo.requests()
        for other in all_halos:
            sent = np.asarray(other.sends.get(halo.part, ()), np.int64)
            if not np.array_equal(sent, received.get(other.part, np.zeros(0, np.int64))):
                raise DecompositionError(
                    f"part {other.part} sends {len(sent)} neurons to part {halo.part}, which "
                    f"receives {len(received.get(other.part, ()))} from it, or other ones."
                )
