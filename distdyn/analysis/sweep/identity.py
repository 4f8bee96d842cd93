"""What a sweep is of, in words: a file takes up only results of the same sweep.

A model or network by its parameters and its source, a measure by its code; long texts by a hash.
"""

import functools
import hashlib
import inspect
import types
from collections.abc import Sequence
from typing import Any

from distdyn.analysis.sweep.folds import Fold
from distdyn.analysis.sweep.grid import Points, Span
from distdyn.core.system import DynamicalSystem
from distdyn.network.network import Network, graph
from distdyn.run.agreement import description, text_of

LONG = 80  # characters


def about(
    system: Any,
    points: Points,
    measures: Sequence[Any],
    span: Span,
    *,
    seed: int,
    precision: str,
    record: Any,
) -> dict[str, Any]:
    """Everything that decides what a sweep comes to, by name."""
    return {
        "model": _system(system),
        "grid": f"{' x '.join(map(str, points.shape))} of {', '.join(points.columns)}, "
        f"sha256 {points.sha256[:16]}",
        "measure": ", ".join(_measure(m) for m in measures),
        "dt": span.dt,
        "warmup": span.warmup * span.dt,
        "duration": span.duration,
        "every": span.every * span.dt,
        "seed": seed,
        "precision": precision,
        "record": text_of(record),
    }


def _system(system: Any) -> str:
    if isinstance(system, DynamicalSystem):
        kinds = [type(system), *_parts(system)]
        return f"{_short(text_of(system))}, source {_hash(' '.join(map(_source, kinds)))}"
    if isinstance(system, Network):
        members = graph(system)
        models = {type(p.model) for p in members.populations.values()}
        sources = " ".join(sorted(map(_source, models)))
        return (
            f"{type(system).__name__} {_hash(str(description(members)))}, source {_hash(sources)}"
        )
    if isinstance(system, functools.partial):
        given = text_of({**dict(enumerate(system.args)), **system.keywords})
        return f"{_system(system.func)}, {_short(given)}"
    return f"{getattr(system, '__qualname__', system)}, source {_hash(_source(system))}"


def _parts(model: Any) -> list[type]:
    """The classes of a composed model's parts."""
    found = []
    for value in vars(model).values():
        inner = value if isinstance(value, tuple) else (value,)
        for part in inner:
            if isinstance(part, DynamicalSystem):
                found += [type(part), *_parts(part)]
    return found


def _measure(measure: Any) -> str:
    if isinstance(measure, str):
        return measure
    if isinstance(measure, Fold):
        return f"Fold {_hash(' '.join(_code(function) for function in measure))}"
    name = getattr(measure, "__name__", type(measure).__name__)
    return f"{name} {_hash(_code(measure))}"


def _source(what: Any) -> str:
    try:
        return inspect.getsource(what)
    except (OSError, TypeError):  # typed at a prompt, or built in
        return _code(what)


def _code(function: Any, seen: tuple[Any, ...] = ()) -> str:
    """What a function does, as text: its code, and the values that it closes over."""
    if not isinstance(function, types.FunctionType):
        return text_of(function)
    if function in seen:
        return "itself"
    closed = [*inspect.getclosurevars(function).nonlocals.values(), *(function.__defaults__ or ())]
    kept = [_code(x, (*seen, function)) for x in closed]
    return f"{_of_code(function.__code__)} {kept}"


def _of_code(code: types.CodeType) -> str:
    inner = [_of_code(x) if isinstance(x, types.CodeType) else repr(x) for x in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {inner}"


def _short(text: str) -> str:
    return text if len(text) <= LONG else f"{text[: LONG - 20]}... {_hash(text)}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
