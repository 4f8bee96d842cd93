"""One question on many ranks: all ask it alike, share its work, and have the whole answer.

    @collective                               # a method of DSAnalyzer: what fails on one rank fails
    def fixed_points(self, ...):              # on all, and so do different questions
        ranks = Ranks.of_job()
        ranks.done(pieces)                    # what each piece comes to, on every rank
        explored(queue, begin, add, ranks)    # pieces that make others needless

A piece is a function without arguments, whose result does not depend on who calls it. All that is
no piece is done by every rank. An answer is therefore the same, bit for bit, on any number of them.
"""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from distdyn.parallel import launch
from distdyn.parallel.launch.devices import local_devices
from distdyn.parallel.launch.tickets import Tickets
from distdyn.run.agreement import check_common

T = TypeVar("T")
Candidate = TypeVar("Candidate")
Begun = TypeVar("Begun")


@dataclass(frozen=True)
class Ranks:
    """Who shares the work of a question.

    Attributes:
        us: the ranks of the job; None: this process does all of it.
    """

    us: launch.World | None = None

    @classmethod
    def of_job(cls) -> "Ranks":
        """All that run this program. Collective at its first use."""
        return cls(launch.world())

    @property
    def size(self) -> int:
        """How many they are."""
        return 1 if self.us is None else self.us.size

    def done(self, pieces: Sequence[Callable[[], T]]) -> Iterator[T]:
        """What the pieces come to, in their order: each is done by whoever is free.

        Alone, a piece is done when it is asked for. Collective.

        Raises:
            AgreementError: the ranks have different numbers of pieces.
        """
        us = self.us
        if us is None or us.size == 1:
            return (piece() for piece in pieces)
        _agree(us, None)  # a rank that has failed since is waiting here
        check_common(us, pieces=len(pieces))
        if len(pieces) < 2:
            return iter([piece() for piece in pieces])
        tickets, mine, error = Tickets(us), {}, None
        try:
            while (k := tickets.take()) < len(pieces):
                us.watch.progress(k)
                mine[k] = pieces[k]()
        except Exception as caught:
            error = caught
            tickets.close()
        tickets.finish()
        _agree(us, error)
        every: dict[int, T] = {}
        for of_rank in us.allgather(mine):
            every |= of_rank
        return iter([every[k] for k in range(len(pieces))])


ALONE = Ranks()


def explored(
    queue: deque[Candidate],
    begin: Callable[[Candidate], tuple[Begun, Sequence[Callable[[], T]]] | None],
    add: Callable[[Begun, Iterator[T]], None],
    ranks: Ranks,
) -> None:
    """Work of which each part that is done may make other parts needless, or lead to new ones.

    One process takes the candidates in order, and begins nothing that is needless by then. More
    ranks do the pieces of the next few candidates at once, as if all were needed; what they come to
    is added in the same order, and what has become needless meanwhile is not. Collective.

    Args:
        queue: the candidates; `add` may append some.
        begin: of a candidate what `add` is given, and its pieces; None: it is needless by now.
        add: takes what the pieces come to, and adds it unless it has become needless. Alone, those
            that it does not take are not done.
        ranks: that share the pieces.
    """
    while queue:
        begun: list[tuple[Begun, Sequence[Callable[[], T]]]] = []
        while queue and sum(len(pieces) for _, pieces in begun) < ranks.size:
            found = begin(queue.popleft())
            if found is not None:
                begun.append(found)
        results = ranks.done([piece for _, pieces in begun for piece in pieces])
        for one, pieces in begun:
            own = results if ranks.size == 1 else iter([*islice(results, len(pieces))])
            add(one, own)


def local(devices: int | None) -> list[Any]:
    """So many devices of each rank; None is one. Collective.

    Raises:
        PlatformError: there are fewer.
    """
    return local_devices(1 if devices is None else devices, None, launch.world())


class _Known(Exception):
    """An error that all ranks have raised together."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _agree(us: launch.World, error: Exception | None) -> None:
    try:
        us.agree(error)
    except Exception as caught:
        raise _Known(caught) from caught


def collective(question: Callable[..., T]) -> Callable[..., T]:
    """A question to an analyzer (its `field`) that all ranks of a job ask alike.

    What fails on one rank, fails on all: it says so at the end, or where the others next share
    pieces. Other collectives come first in a question, where nothing can have failed yet.

    Raises:
        AgreementError: on all ranks; they ask different things, or of different systems.
    """

    @functools.wraps(question)
    def asked(self: Any, *words: Any, **given: Any) -> T:
        us = launch.world()
        if us.size == 1:
            return question(self, *words, **given)
        asked_of = {
            "question": question.__name__,
            "model": self.field.name,
            "initial state": self.field.state,
            "parameters of the model": self.field.parameters,
            "arguments": words,
        }
        check_common(us, **asked_of, **given)
        try:
            answer = question(self, *words, **given)
        except _Known as known:
            raise known.error from known.error.__cause__
        except Exception as error:
            us.agree(error)
            raise
        us.agree(None)
        return answer

    return asked
