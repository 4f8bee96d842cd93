"""What the words of a command line stand for: networks, models and their arguments.

network_of("microcircuit", ["scale=0.1"])       # published, by name
found("my_net.py:Balanced")                     # a class of a file, or of what is installed
assignment("scale=0.1")                         # ("scale", 0.1)
"""

import argparse
import ast
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from distdyn.errors import DistDynError, NameLookupError, NetworkError, ParameterError, suggestion
from distdyn.network.network import Network
from distdyn.run.record import every

VALUE = "NAME=VALUE"
NETWORK = "a published network by name, FILE.py:CLASS, or PACKAGE.MODULE:CLASS of what is installed"
VARIABLE = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


def add_network(parser: argparse.ArgumentParser) -> None:
    """The words that `network_of` takes."""
    add = parser.add_argument
    add("network", help=NETWORK)
    add("--set", action="append", default=[], metavar=VALUE, help="an argument of the network")


def network_of(name: str, assignments: Sequence[str] = ()) -> Network:
    """A published network by name, or a class of one's own, with `NAME=VALUE` arguments."""
    factory = _from_user(name) if ":" in name or name.endswith(".py") else _from_zoo(name)
    found = made(name, factory, assignments)
    if not isinstance(found, Network):
        raise NetworkError(f'"{name}" makes a {type(found).__name__}, no network.')
    return found


def made(name: str, factory: Any, assignments: Sequence[str]) -> Any:
    """What a class or function makes of `NAME=VALUE` arguments."""
    arguments: dict[str, Any] = {}
    for key, value in map(assignment, assignments):
        if key in arguments:
            raise ParameterError(f"--set {key} is given twice. Give it once.")
        arguments[key] = value
    known = _parameters(name, factory)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    for key in arguments:
        if key not in known and not takes_any:
            raise NameLookupError(
                f'{name} has no argument "{key}" (--set). {suggestion(key, known)}'
            )
    needed = (k for k, p in known.items() if p.default is p.empty and p.kind not in VARIABLE)
    missing = [name for name in needed if name not in arguments]
    if missing:
        raise ParameterError(f"{name} needs {', '.join(missing)}. Use --set {missing[0]}=VALUE.")
    try:
        return factory(**arguments)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, DistDynError) or factory.__module__.partition(".")[0] != "distdyn":
            raise  # of a user's own network the place counts
        said = ", ".join(assignments)
        raise ParameterError(f"{name} takes no {said}: {error}. See distdyn describe.") from error


def _parameters(name: str, factory: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except ValueError:  # of some that are not written in Python
        raise NetworkError(f'"{name}" is no network.') from None


def found(name: str) -> Any:
    """A model or a published network by name, or a class of one's own."""
    from distdyn import catalogue
    from distdyn.zoo import CLASSES

    if ":" in name or name.endswith(".py"):
        return _from_user(name)
    if name in CLASSES:
        return _from_zoo(name)
    known = {name: model for names in catalogue.models().values() for name, model in names.items()}
    if name not in known:
        raise NameLookupError(f'There is no "{name}". {suggestion(name, [*known, *CLASSES])}')
    return known[name]


def _from_zoo(name: str) -> Any:
    from distdyn.zoo import by_name

    return by_name(name)


def _from_user(text: str) -> Any:
    """A class of a file, `FILE.py:CLASS`, or of an installed package, `PACKAGE.MODULE:CLASS`."""
    place, _, name = text.rpartition(":") if ":" in text else (text, "", "")
    is_module = not place.endswith(".py") and all(map(str.isidentifier, place.split(".")))
    module = _module(text, place) if is_module else _file(text, place)
    top = module.__name__.partition(".")[0]  # a package may say in one module what another defines
    classes = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Network)
        and value.__module__.partition(".")[0] == top
    }
    if not name and len(classes) == 1:
        return next(iter(classes.values()))
    found = getattr(module, name, None) if name else None
    if not callable(found):
        raise NameLookupError(
            f'network "{text}": "{place}" has no network "{name}". {suggestion(name, classes)}'
        )
    return found


def _module(text: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise NetworkError(
                f'network "{text}": there is no module "{missing}". Install its package into the '
                f"environment of {sys.executable}, or use FILE.py:CLASS."
            ) from error
        raise NetworkError(
            f'network "{text}": "{name}" cannot be imported: {error}. Make `import {name}` work.'
        ) from error


def _file(text: str, file: str) -> ModuleType:
    path = Path(file)
    if not path.is_file():
        raise NetworkError(
            f'network "{text}": there is no file "{file}". Use FILE.py:CLASS, or '
            "PACKAGE.MODULE:CLASS."
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise NetworkError(f'network "{text}": "{file}" is not a Python file. Use FILE.py:CLASS.')
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError) as error:
        raise NetworkError(f'network "{text}": "{file}" cannot be read: {error}.') from error
    return module


def assignment(text: str) -> tuple[str, Any]:
    """An argument of `--set`: a name, and a number or other literal, or else the text itself."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ParameterError(f"--set {text}: use NAME=VALUE, e.g. --set scale=0.1.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # of what is nested too deep
        return name, value


def recorded(names: Sequence[str]) -> list[Any]:
    """What `--record` asks for, as `DSRunner(record=)` takes it: `E.V@1` is sampled every ms."""
    if list(names) == ["none"]:
        return []
    record: list[Any] = []
    for name in names:
        variable, at, interval = name.partition("@")
        if at:
            try:
                record.append(every(float(interval), variable))
            except ValueError as error:
                raise ParameterError(
                    f'--record {name}: "{interval}" is not an interval in ms. Use {variable}@1.'
                ) from error
        else:
            record.append(name)
    return record
