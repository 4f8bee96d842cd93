"""Published networks by name: each file is one network and reads like its methods section.

The files are imported when they are asked for, so that `python -m distdyn.zoo.microcircuit` runs
the module once.
"""

from collections.abc import Callable
from importlib import import_module

from distdyn.errors import NameLookupError, suggestion
from distdyn.network.network import Network

CLASSES = {
    "microcircuit": "Microcircuit",
    "coba": "COBA",
    "cuba": "CUBA",
    "cobahh": "COBAHH",
    "gamma": "Gamma",
    "thalamus": "Thalamocortical",
    "brunel": "Brunel",
    "whole_brain": "WholeBrain",
    "joglekar": "Joglekar",
    "cann": "CANN",
    "ei_oscillation": "EIOscillation",
    "hpc_benchmark": "HPCBenchmark",
    "decision": "Decision",
}


def by_name(name: str) -> Callable[..., Network]:
    """The network class that is published under `name`: `by_name("coba")(n=4000)`.

    Raises:
        NameLookupError: there is no network of this name.
    """
    if name not in CLASSES:
        tail = suggestion(name, CLASSES)
        raise NameLookupError(f'There is no published network "{name}". {tail}')
    return getattr(import_module(f"distdyn.zoo.{name}"), CLASSES[name])
