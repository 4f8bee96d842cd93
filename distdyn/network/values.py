"""Values: what the user may give for a quantity, checked once, where the description is written."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from typing import Any, Protocol

import equinox as eqx
import numpy as np
from jax.core import Tracer

from distdyn.core.signal import Signal
from distdyn.errors import DistDynError, NetworkError, ParameterError
from distdyn.network.distributions import Distribution
from distdyn.units import real, shown

Value = float | np.ndarray | Distribution


class HasExtremes(Protocol):
    """What has a smallest and a largest value."""

    def extremes(self) -> tuple[float, float]:
        """Both."""
        ...


CHANGING = ("Hz", "pA", "uA/cm2")  # units of what may be a function of time: rates and currents


@dataclass(frozen=True)
class Domain:
    """The numbers that a quantity may be: all finite ones, or fewer, or also +inf."""

    unit: str = ""
    positive: bool = False
    nonnegative: bool = False
    infinite: bool = False

    def admits(self, x: float | np.ndarray) -> np.ndarray:
        """Where x lies inside."""
        x = np.asarray(x)
        inside = ~np.isnan(x) & (x > -np.inf)
        if not self.infinite:
            inside &= x < np.inf
        if self.positive:
            inside &= x > 0
        if self.nonnegative:
            inside &= x >= 0
        return inside

    def __str__(self) -> str:
        sign = " > 0" if self.positive else " >= 0" if self.nonnegative else ""
        infinite = " or inf" if self.infinite else ""
        return f"a finite number{sign} {self.unit}".rstrip() + infinite


def check_value(
    value: Any,
    what: str,
    domain: Domain = Domain(),
    *,
    length: int | None = None,
    cure: str = "",
    error: type[DistDynError] = ParameterError,
) -> Value:
    """The value as a float, a new float64 array of the given length, or the distribution it is.

    A value that JAX is tracing is returned as it is.

    Args:
        value: what the user gave.
        what: the name of object and quantity, for the message: `Population(80, LIF): V`.
        domain: the numbers allowed; a distribution must not be able to draw others.
        length: how long an array must be; with None arrays are refused.
        cure: what else the message of a number outside the domain says.
        error: the type of error to raise.
    """
    if isinstance(value, Tracer):
        return value  # pyright: ignore[reportReturnType]
    if isinstance(value, Distribution):
        check_extremes(value, what, domain, "Set its limit `low`.", error)
        return value
    numbers = real(value, what, error=error)
    if isinstance(numbers, np.ndarray):
        _check_shape(numbers, what, length, error)
    bad = np.flatnonzero(~domain.admits(numbers))
    if bad.size:
        where = what if isinstance(numbers, float) else f"{what}[{bad[0]}]"
        found = f"{where} = {np.atleast_1d(numbers)[bad[0]]:g} {domain.unit}".rstrip()
        more = f" ({bad.size - 1} more like it)" if bad.size > 1 else ""
        raise error(f"{found}{more} is not possible. Give {domain}. {cure}".rstrip())
    return numbers


def check_source(value: Any, what: str, domain: Domain, *, length: int | None = None) -> Any:
    """A rate or current: as `check_value`, and besides a `Signal` or a function of t (ms)."""
    if isinstance(value, Signal):
        has_bound = value.extremes()[0] > -np.inf
        if has_bound or domain.positive or domain.nonnegative:
            check_extremes(value, what, domain, "Change its values.", ParameterError)
        if length is not None and value.count not in (None, length):
            raise ParameterError(
                f"{what} = {shown(value)} has values for {value.count} targets, but there are "
                f"{length}. Give one for all, or one for each."
            )
        return value
    if callable(value) and not isinstance(value, type):
        return value
    return check_value(value, what, domain, length=length)


def check_extremes(
    value: HasExtremes,
    what: str,
    domain: Domain,
    cure: str,
    error: type[DistDynError],
) -> None:
    """Refuse values of which the smallest is outside the domain."""
    lowest, _ = value.extremes()
    if not domain.admits(lowest):
        found = f"{what} = {shown(value)} can be {lowest:g} {domain.unit}".rstrip()
        raise error(f"{found}, but must be {domain}. {cure}")


def _check_shape(
    array: np.ndarray, what: str, length: int | None, error: type[DistDynError]
) -> None:
    if length is None:
        found = f"{what} is an array of shape {array.shape}"
        raise error(f"{found}, which is not possible here. Give one number.")
    if array.shape != (length,):
        found = f"{what} is an array of shape {array.shape}"
        raise error(f"{found}, but its length must be {length}. Give one number, or {length}.")


def check_instance(
    value: Any, kind: type, what: str, cure: str, *, error: type[DistDynError] = NetworkError
) -> None:
    """Raise the error unless the value is an instance of the kind; a class itself is not."""
    if isinstance(value, type) and issubclass(value, kind):
        name = value.__name__
        raise error(f"{what} is the class {name}. Give an instance: {name}(...).")
    if not isinstance(value, kind):
        raise error(f"{what} = {shown(value)} is no {kind.__name__}. {cure}")


def check_model(model: eqx.Module, where: str, *, length: int | None = None) -> None:
    """Check the parameters of a model, and of the models inside it, against their declarations.

    A field's metadata may hold `unit`, `positive`, `nonnegative`, and `per_cell=False` (an array of
    any shape: a table, not one number for each cell). Numbers in fields without metadata must be
    finite. `V_th` may be +inf: no threshold.

    Args:
        model: an equinox module.
        where: the name of the object that holds it, for the message.
        length: how long parameter arrays must be; with None they are refused.
    """
    for field in fields(model):  # pyright: ignore[reportArgumentType]
        value = getattr(model, field.name, None)
        if isinstance(value, eqx.Module) and not isinstance(value, Signal):
            check_model(value, f"{where}.{field.name}", length=length)
        elif isinstance(value, tuple):  # the parts of a composed model, by their names
            for name, part in zip(getattr(value, "_fields", ()), value, strict=False):
                if isinstance(part, eqx.Module):
                    check_model(part, f"{where}.{name}", length=length)
        elif _is_parameter(field, value):
            _check_parameter(field, value, f"{where}: {field.name}", length)
    _check_reset(model, where)


def _is_parameter(field: Field, value: Any) -> bool:
    """Whether a field is to be checked: declared with a unit, or a number anyhow; no switch."""
    if isinstance(value, Tracer) or field.type is bool:
        return False
    if "unit" in field.metadata:
        return True
    number = eqx.is_array_like(value) or isinstance(value, Distribution)
    return number and not isinstance(value, bool) and not field.metadata.get("static", False)


def _check_parameter(field: Field, value: Any, what: str, length: int | None) -> None:
    declared: Mapping[str, Any] = field.metadata
    if not declared.get("per_cell", True):
        length = np.size(value)
        value = np.ravel(value) if np.ndim(value) else value
    if isinstance(value, list | tuple | range):  # the model is used as it is: no conversion
        raise ParameterError(f"{what} = {shown(value)} is not an array. Give numpy.array(...).")
    domain = Domain(
        unit=declared.get("unit", ""),
        positive=declared.get("positive", False),
        nonnegative=declared.get("nonnegative", False),
        infinite=field.name == "V_th",
    )
    check = check_source if domain.unit in CHANGING else check_value
    check(value, what, domain, length=length)


def _check_reset(model: eqx.Module, where: str) -> None:
    """A cell that is reset above its threshold would spike at every step."""
    V_reset: Any = getattr(model, "V_reset", None)
    V_th: Any = getattr(model, "V_th", None)
    if not (_is_known(V_reset) and _is_known(V_th)):
        return
    low, high = np.broadcast_arrays(np.atleast_1d(V_reset), V_th)
    bad = np.flatnonzero(~(low < high))
    if bad.size:
        low, high = low[bad[0]], high[bad[0]]
        raise ParameterError(
            f"{where}: V_reset = {low:g} mV is not below V_th = {high:g} mV. Lower V_reset."
        )


def _is_known(value: Any) -> bool:
    return eqx.is_array_like(value) and not isinstance(value, Tracer)
