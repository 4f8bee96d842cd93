"""Parameters: the fields of a model, declared with unit and domain, and given by name."""

import dataclasses
import inspect
from typing import Any

import equinox as eqx

from distdyn.errors import NameLookupError, suggestion


def param(
    default: Any = dataclasses.MISSING,
    unit: str = "",
    doc: str = "",
    *,
    positive: bool = False,
    nonnegative: bool = False,
) -> Any:
    """Declare a parameter: its default, unit and domain. A plain `a: float = .7` is enough, too."""
    metadata = {"unit": unit, "doc": doc, "positive": positive, "nonnegative": nonnegative}
    if default is dataclasses.MISSING:
        return eqx.field(metadata=metadata)
    return eqx.field(default=default, metadata=metadata)


class Parameters(eqx.Module):
    """A frozen dataclass whose fields are parameters; what is given by a wrong name is an error."""

    def __new__(cls, *arguments: Any, **parameters: Any) -> "Parameters":
        """Look at the names before the dataclass does, for a better message."""
        if cls.__dataclass_fields__.keys() >= parameters.keys():
            return super().__new__(cls)  # the signature below takes longer than all the rest
        known = inspect.signature(cls).parameters
        takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
        for name in parameters:
            if name not in known and not takes_any:
                raise NameLookupError(
                    f'{cls.__name__} has no parameter "{name}". {suggestion(name, known)}'
                )
        return super().__new__(cls)


def fields_of(model: Any) -> dict[str, dataclasses.Field]:
    """The parameters of a model or model class by name."""
    return {field.name: field for field in dataclasses.fields(model)}
