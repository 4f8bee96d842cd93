"""The catalogue: what the library has by name, and the page docs/models.md.

The page is made of what classes say of themselves: `distdyn describe --markdown > docs/models.md`.
"""

import inspect
import sys
from typing import Any

import distdyn
from distdyn.core.describe import describe
from distdyn.core.integrators import Integrator

ROOMS = ("distdyn.models.", "distdyn.core.receptor", "distdyn.core.integrators.")

HEAD = """\
# Models

What the library has at the scales of channels, cells, synapses and populations, and the methods
that integrate them; a family for each file. This page is made by `distdyn describe --markdown`; the
same of one of them is printed by `distdyn describe AdEx`, or in Python by `dd.describe(dd.AdEx)`.

Units are ms, mV, pA, nS, pF and Hz, or per area mV, uA/cm2, mS/cm2 and uF/cm2.
"""


def models() -> dict[str, dict[str, Any]]:
    """Everything public that can be described and is not abstract: by module, then by name."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in sorted({**vars(distdyn.inputs), **vars(distdyn)}.items()):
        module = getattr(value, "__module__", "")
        if not module.startswith(ROOMS) or inspect.isabstract(value):
            continue
        returned = inspect.signature(value).return_annotation if inspect.isfunction(value) else None
        is_scheme = isinstance(returned, type) and issubclass(returned, Integrator)
        if (inspect.isclass(value) and hasattr(value, "__dataclass_fields__")) or is_scheme:
            found.setdefault(module, {})[name] = value
    order = {module: [module.startswith(room) for room in ROOMS].index(True) for module in found}
    return {module: found[module] for module in sorted(found, key=lambda m: (order[m], m))}


def page() -> str:
    """The text of docs/models.md."""
    blocks = [HEAD]
    for module, members in models().items():
        title = module.rpartition(".")[2].replace("_", " ")
        first = (sys.modules[module].__doc__ or "").split("\n\n")[0]
        blocks.append(f"## {title[:1].upper()}{title[1:]}\n\n{' '.join(first.split())}\n")
        blocks += [describe(member).markdown() for member in members.values()]
    return "\n".join(blocks)
