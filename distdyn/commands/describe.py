"""`distdyn describe`: the equations, parameters and source of a model.

distdyn describe                # what there is
distdyn describe AdEx
distdyn describe my_net.py:Balanced --markdown
"""

import argparse

from distdyn.commands.named import found
from distdyn.errors import ExitCode


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = run.__doc__
    add = parser.add_argument
    add(
        "name",
        nargs="?",
        help="a model, a published network, FILE.py:CLASS or PACKAGE.MODULE:CLASS; all by default",
    )
    add("--markdown", action="store_true", help="for a page")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Print what a model is: equations, parameters with units and defaults, state, source."""
    from distdyn import catalogue
    from distdyn.core.describe import describe

    name, families = options.name, catalogue.models()
    if name is None:
        lines = [
            f"{module.rpartition('.')[2]}: {', '.join(names)}" for module, names in families.items()
        ]
        print(catalogue.page() if options.markdown else "\n".join([*lines, ""]), end="")
        return ExitCode.OK
    description = describe(found(name))
    print(description.markdown() if options.markdown else description)
    return ExitCode.OK
