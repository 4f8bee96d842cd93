"""What a model says of itself: equations, parameters, state and source, read off its class.

    dd.describe(dd.AdEx)              its defaults
    dd.describe(dd.AdEx(a=2.0))       the values of this one

Nothing is written down twice: a docstring's indented lines are the equations and its last paragraph
is the source; `param` has units and domains; what stands beside a field of `State` explains it.
"""

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from distdyn.core.parameters import Parameters
from distdyn.core.system import state_fields
from distdyn.errors import ParameterError
from distdyn.units import UNITS, shown

_SECTIONS = ("Args:", "Attributes:", "Raises:", "Returns:", "Example:")


class Described(NamedTuple):
    """A parameter, or a variable of the state."""

    name: str
    value: str  # its default, or the value of an instance; of a variable nothing
    unit: str
    doc: str


@dataclasses.dataclass(frozen=True)
class Description:
    """A model in words; `print` shows it, and a notebook does as a table.

    Attributes:
        name: of the class.
        summary: in one sentence.
        equations: line by line.
        text: what else the docstring says.
        parameters: in order of definition.
        state: the variables.
        source: where it is from.
    """

    name: str
    summary: str
    equations: tuple[str, ...]
    text: str
    parameters: tuple[Described, ...]
    state: tuple[Described, ...]
    source: str

    def __str__(self) -> str:
        blocks = [_filled(f"{self.name}: {self.summary}")]
        if self.equations:
            blocks.append("\n".join(f"    {line}".rstrip() for line in self.equations))
        if self.text:
            blocks.append(_filled(self.text))
        if self.parameters:
            blocks.append("\n".join(["Parameters", *_columns(self.parameters)]))
        if self.state:
            blocks.append("\n".join(["State", *_columns(self.state)]))
        if self.source:
            blocks.append(_filled(f"Source: {self.source}"))
        return "\n\n".join(blocks)

    __repr__ = __str__

    def markdown(self, level: int = 3) -> str:
        """The same for a page: a heading, the equations as they stand, tables."""
        blocks = [f"{'#' * level} {self.name}", _code(self.summary)]
        if self.equations:
            blocks.append("\n".join(["```text", *self.equations, "```"]))
        if self.text:
            blocks.append(_code(self.text))
        if self.parameters:
            cells = [[f"`{p.name}`", p.value, p.unit, p.doc] for p in self.parameters]
            rows = [
                f"| {' | '.join(x.replace('|', chr(92) + '|') for x in row)} |" for row in cells
            ]
            head = ["| parameter | default | unit | |", "|---|---|---|---|"]
            blocks.append("\n".join([*head, *rows]))
        if self.state:
            words = [" ".join(filter(None, [f"`{s.name}`", _aside(s)])) for s in self.state]
            blocks.append(f"State: {', '.join(words)}.")
        if self.source:
            blocks.append(f"*Source:* {_code(self.source)}")
        return "\n\n".join(blocks) + "\n"

    def _repr_markdown_(self) -> str:
        return self.markdown()


def describe(model: Any) -> Description:
    """The description of a model, synapse, output, source, integrator or any other class.

    Args:
        model: a class, with its defaults; an instance, with its own values; or a function.

    Raises:
        ParameterError: it is none of these, or says nothing of itself.
    """
    kind = model if isinstance(model, type) or inspect.isfunction(model) else type(model)
    if not kind.__module__ or kind.__module__ == "builtins" or not kind.__doc__:
        raise ParameterError(
            f"describe: {shown(model)} has no docstring. Give a model or its class, such as AdEx."
        )
    summary, equations, text, source, arguments = _read(inspect.cleandoc(kind.__doc__))
    for base in getattr(kind, "__mro__", ())[1:]:  # what a family has in common is said there
        arguments = _read(inspect.cleandoc(base.__doc__ or ""))[-1] | arguments
    return Description(
        name=kind.__name__,
        summary=summary,
        equations=equations,
        text=text,
        parameters=tuple(_parameters(model, kind, arguments)),
        state=tuple(_variables(model, kind)),
        source=source,
    )


def _read(doc: str) -> tuple[str, tuple[str, ...], str, str, dict[str, str]]:
    """Summary, equations, other text, source, and what `Args` says of each argument."""
    summary, *rest = re.split(r"\n\s*\n", re.sub(r"\s+Source: ", "\n\nSource: ", doc))
    equations, text, source, arguments = [], [], "", {}
    for paragraph in rest:
        lines = paragraph.splitlines()
        if lines[0] in _SECTIONS:
            if lines[0] in ("Args:", "Attributes:"):
                arguments |= dict(_arguments("\n".join(lines[1:])))
        elif paragraph.startswith("Source:"):
            source = " ".join(paragraph.removeprefix("Source:").split())
        elif all(line.startswith("    ") for line in lines):
            equations += [*([""] if equations else []), *(line[4:] for line in lines)]
        else:
            text.append(" ".join(paragraph.split()))
    return " ".join(summary.split()), tuple(equations), "\n\n".join(text), source, arguments


def _arguments(section: str) -> Iterator[tuple[str, str]]:
    """The arguments of a Google section: a name, a colon, text that may go on indented."""
    for entry in re.split(r"\n(?=    \S)", section):
        names, _, text = entry.partition(":")
        for name in names.split(","):
            yield name.strip().lstrip("*"), " ".join(text.split()).rstrip(".")


def _parameters(model: Any, kind: Any, arguments: dict[str, str]) -> Iterator[Described]:
    """Fields that are declared or given; for what has none the arguments of a call."""
    taken = inspect.signature(kind).parameters
    is_open = any(p.kind is p.VAR_KEYWORD for p in taken.values())  # as for the parts of a cell
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    fields = [field for field in fields if field.repr and (is_open or field.name in taken)]
    for field in fields:
        value = getattr(model, field.name, field.default)
        if field.name in ("method", "order") and value is None:
            continue
        parts = list(_parts(field.name, value))
        for name, part in parts:
            for inner in _parameters(part, type(part), {}):
                yield inner._replace(name=f"{name}.{inner.name}")
        if not parts:
            doc = field.metadata.get("doc") or arguments.get(field.name, "")
            yield Described(field.name, _value(value), field.metadata.get("unit", ""), doc)
    for name, parameter in () if fields else taken.items():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield Described(name, _value(parameter.default), "", arguments.get(name, ""))


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The models inside a model: one, or those of a composed one, by their own names."""
    if isinstance(value, Parameters):
        yield name, value
    elif hasattr(value, "_fields"):  # the members of a composed cell
        yield from zip(value._fields, value, strict=True)


def _value(value: Any) -> str:
    if value is dataclasses.MISSING or value is inspect.Parameter.empty:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return shown(value)
    return f"{float(value):.6g}"


def _variables(model: Any, kind: Any) -> Iterator[Described]:
    """The variables of the state, with the comments beside them where there is source."""
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):  # a class typed into an interpreter
        source = ""
    _, _, body = source.partition("class State(")
    comments = dict(re.findall(r"^\s+(\w+): [^#\n]*#\s*(.+)$", body, re.MULTILINE))
    for name in state_fields(model):
        comment = comments.get(name, "")
        unit = comment.split(",")[0]
        unit = unit if unit in UNITS else ""
        yield Described(name, "", unit, comment.removeprefix(unit).removeprefix(", "))


def _filled(text: str) -> str:
    return "\n\n".join(textwrap.fill(paragraph, 88) for paragraph in text.split("\n\n"))


def _columns(rows: tuple[Described, ...]) -> list[str]:
    """Rows of text, aligned."""
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    return [
        "  ".join(["", *(x.ljust(w) for x, w in zip(row, widths, strict=False) if w), row.doc])
        .rstrip()
        for row in rows
    ]  # fmt: skip


def _aside(variable: Described) -> str:
    words = ", ".join(filter(None, [variable.unit, variable.doc]))
    return f"({words})" if words else ""


def _code(text: str) -> str:
    """Text for markdown: what it takes for markup, such as the * of a product, stays as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([*<_])", r"\\\1", p) for p in parts)
