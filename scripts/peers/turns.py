"""Turns and ratios: how figures are taken on a machine that is never quiet.

All programs run once in each turn, one after the other, so that a machine that slows down slows
them all. Only figures of one turn are divided by each other; of the ratios the median counts.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, median
from typing import NamedTuple

from peers.machine import busy


class Turn(NamedTuple):
    """What was measured in one turn.

    Attributes:
        busy: the part of all cores that others used just before, when none of ours ran.
        of: what each program said of its run; at least `rtf` and `rates`.
    """

    busy: float | None
    of: dict[str, dict]


def take_turns(programs: Mapping[str, Callable[[int], dict]], turns: int) -> list[Turn]:
    """Let every program run once a turn; the number of the turn is its argument.

    The order is reversed every other turn, so that none always runs behind the same one.
    """
    taken = []
    for turn in range(turns):
        others = busy()
        order = list(programs)[:: -1 if turn % 2 else 1]
        found = {name: programs[name](turn) for name in order}
        taken.append(Turn(others, {name: found[name] for name in programs}))
        say = ", ".join(f"{name} {of['rtf']:.3g}" for name, of in taken[-1].of.items())
        print(f"turn {turn + 1} of {turns}, real-time factors: {say}", file=sys.stderr, flush=True)
    return taken


def pair_ratio(turns: Sequence[Turn], theirs: Sequence[str], ours: Sequence[str]) -> float:
    """How many times as fast ours is: the median over the turns of fastest / fastest."""
    return median(
        min(turn.of[name]["rtf"] for name in theirs) / min(turn.of[name]["rtf"] for name in ours)
        for turn in turns
    )


def mean_rates(turns: Sequence[Turn], name: str) -> dict[str, float]:
    """The rate of each population (Hz), mean over the turns."""
    rates = [turn.of[name]["rates"] for turn in turns]
    return {population: fmean(rate[population] for rate in rates) for population in rates[0]}


def disagreements(
    rates: Mapping[str, Mapping[str, float]],
    expected: Mapping[str, float],
    relative: float,
    absolute: float = 0.0,
) -> list[str]:
    """Which programs fire at other rates than expected, in words; empty if none does.

    Args:
        rates: Hz, by program and population.
        expected: Hz, by population.
        relative: the largest part of the expected rate by which one may differ.
        absolute: a difference (Hz) that is allowed in any case.
    """
    found = []
    for name, of in rates.items():
        for population, rate in expected.items():
            allowed = max(absolute, relative * rate)
            if population not in of:
                found.append(f"{name}: no rate of {population} is known")
            elif not abs(of[population] - rate) <= allowed:  # not a number is no rate either
                found.append(
                    f"{name}: {population} fires at {of[population]:.3f} Hz, not at "
                    f"{rate:.3f} +- {allowed:.3f} Hz"
                )
    return found


def summary(turns: Sequence[Turn], names: Sequence[str]) -> dict[str, dict]:
    """Of each program the median, least and greatest real-time factor, and the mean rates."""
    found = {}
    for name in names:
        rtf = [turn.of[name]["rtf"] for turn in turns]
        found[name] = {
            "rtf": median(rtf),
            "rtf_least": min(rtf),
            "rtf_most": max(rtf),
            "rates": mean_rates(turns, name),
        }
    return found


def listed(turns: Sequence[Turn]) -> list[dict]:
    """Every turn as it was: how busy the machine was with others, and all real-time factors."""
    return [
        {"busy": turn.busy, "rtf": {name: of["rtf"] for name, of in turn.of.items()}}
        for turn in turns
    ]
