"""Every error that distdyn raises on purpose.

A message says what was asked, what was found (values) and what to do:

    DelayError: projection "exc": delay 0.05 ms is shorter than dt = 0.1 ms. Use delay >= 0.1.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The one table of exit codes, of every command and on every rank.

    Job scripts decide by them: 75 means "submit me again", every other one "I am done".
    """

    OK = 0  # all is well
    FAILED = 1  # a failure: of the run, of a rank, of the installation
    WRONG_INPUT = 2  # what was asked is not possible; asking again gives the same answer
    REQUEUE = 75  # stopped at a checkpoint before the end (EX_TEMPFAIL of sysexits.h)
    INTERRUPTED = 130  # Ctrl-C (128 + SIGINT)
    TERMINATED = 143  # ended by SIGTERM (128 + 15)


class Stopped(SystemExit):
    """What was stopped at a checkpoint before the end; who does not catch it ends with REQUEUE."""


class DistDynError(Exception):
    """Base of all errors of this package.

    Attributes:
        exit_code: of a command that ends with it; a failure where asking again may go better.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.WRONG_INPUT


class ParameterError(DistDynError, ValueError):
    """A parameter, initial value or input outside its domain, or of the wrong type or length."""


class MethodError(DistDynError, ValueError):
    """A method that does not fit the equations, or equations that no method fits."""


class NameLookupError(DistDynError, AttributeError, KeyError):
    """A name that does not exist; the message suggests the nearest one that does."""

    __str__ = Exception.__str__  # KeyError would print the repr


class NetworkError(DistDynError, ValueError):
    """A description that does not hold together: duplicate paths, foreign populations, sizes."""


class RuleError(DistDynError, ValueError):
    """A connection rule that cannot be satisfied."""


class WeightError(DistDynError, ValueError):
    """A weight that is not finite, has the wrong sign or shape, or cannot be represented."""


class DelayError(DistDynError, ValueError):
    """A delay that is shorter than one step or not a multiple of it."""


class TimeError(DistDynError, ValueError):
    """A duration, interval or time step that is negative, not finite or off the grid."""


class RecordError(DistDynError, ValueError):
    """A recording that was asked for in a way that cannot be served."""


class PrecisionError(DistDynError, ValueError):
    """A precision that does not exist, or data that do not fit the one chosen."""


class PlatformError(DistDynError, RuntimeError):
    """A platform, device or library that is not there or does not work as needed."""


class OperatorError(DistDynError, RuntimeError):
    """An operator that cannot be compiled or called as it is, or whose kernel failed."""

    exit_code = ExitCode.FAILED


class CapacityError(DistDynError, RuntimeError):
    """What needs more memory than there is."""


class RunDirectoryError(DistDynError, OSError):
    """A run directory that exists already, is missing, or cannot be read or written."""


class CheckpointError(DistDynError, ValueError):
    """A checkpoint that is damaged, or of another run."""


class ExchangeError(DistDynError, RuntimeError):
    """Parts that do not come together: a rank that does not answer, a list beyond its limit."""

    exit_code = ExitCode.FAILED


class LaunchError(DistDynError, RuntimeError):
    """A job whose launcher and MPI library do not fit, or whose ranks cannot reach each other."""


class AgreementError(DistDynError, ValueError):
    """Ranks of one job that were started with different seeds, networks, steps or versions."""


class TrainError(DistDynError, ValueError):
    """Training that is not possible so: what is to be trained, the data, or how they fit."""


class AnalysisError(DistDynError, ValueError):
    """A question about a model that has no answer as it was asked."""


class SimulationError(DistDynError, RuntimeError):
    """A run that cannot go on: a state that is not finite, an accumulator at its bound."""

    exit_code = ExitCode.FAILED


def suggestion(name: str, names: Iterable[str]) -> str:
    """`Did you mean "tau_m"? Known: ...`, the last part of the message about an unknown name."""
    names = [str(known) for known in names]
    lower = {known.lower(): known for known in names}
    near = [lower[x] for x in get_close_matches(str(name).lower(), lower, n=1, cutoff=0.5)]
    known = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return (f'Did you mean "{near[0]}"? ' if near else "") + f"Known: {known or 'none'}."
