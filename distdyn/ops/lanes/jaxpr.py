"""From a traced function to the flat list of its instructions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from distdyn._jax import Literal
from distdyn.ops import memory
from distdyn.ops.lanes.emission import EMITTERS
from distdyn.ops.lanes.program import Constant, Instruction, Program, Unsupported

CALLS = ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint")
OF_RINGS = {memory.READ: 2, memory.WRITE: 3, memory.SUM: 3}  # how many operands
NAMED = OF_RINGS | {"distdyn_exprel": 1}  # functions that have an emitter of their own
COPIES = ("copy", "copy_p", "broadcast_in_dim", "reshape", "squeeze", "stop_gradient", "pvary")


def flatten(closed: Any) -> Program:
    """The jaxpr of a function of scalars, with every call inlined."""
    instructions: list[Instruction] = []
    counter = iter(range(1 << 31))

    def walk(jaxpr: Any, consts: list, arguments: list) -> list:
        known = dict(zip(jaxpr.constvars, consts, strict=True))
        known |= dict(zip(jaxpr.invars, arguments, strict=True))

        def value(atom: Any) -> int | Constant:
            return Constant(np.asarray(atom.val)) if isinstance(atom, Literal) else known[atom]

        for equation in jaxpr.eqns:
            name, params = equation.primitive.name, equation.params
            inputs = [value(atom) for atom in equation.invars]
            called = params.get("name", "") if name in CALLS else ""
            is_named = NAMED.get(called) == len(inputs)
            is_of_ring = is_named and called in OF_RINGS
            inner = None if is_named else _inner(name, params)
            if inner is not None:
                consts = [Constant(np.asarray(c)) for c in inner.consts]
                known |= dict(zip(equation.outvars, walk(inner.jaxpr, consts, inputs), strict=True))
                continue
            for atom in (*equation.invars, *equation.outvars):
                if atom.aval.shape != () and not is_of_ring:
                    raise Unsupported(f"{name} of shape {atom.aval.shape}")
            name = called if is_named else name
            if len(equation.outvars) != 1:
                raise Unsupported(f"{name} with {len(equation.outvars)} results")
            if name in COPIES:
                known[equation.outvars[0]] = inputs[0]
                continue
            if name == "cond":
                params = {"branches": tuple(flatten(branch) for branch in params["branches"])}
            if name not in EMITTERS and not is_of_ring:
                raise Unsupported(name)
            output = next(counter)
            known[equation.outvars[0]] = output
            instructions.append(
                Instruction(
                    name,
                    {} if is_named else dict(params),
                    tuple(inputs),
                    output,
                    tuple(str(atom.aval.dtype) for atom in equation.invars),
                    str(equation.outvars[0].aval.dtype),
                )
            )
        return [value(atom) for atom in jaxpr.outvars]

    arguments = [next(counter) for _ in closed.jaxpr.invars]
    consts = [Constant(np.asarray(c)) for c in closed.consts]
    outputs = walk(closed.jaxpr, consts, arguments)
    return _once(Program(tuple(arguments), tuple(instructions), tuple(outputs)))


def _once(program: Program) -> Program:
    """The same with nothing computed twice, and nothing that is not used.

    Derivatives by `jvp` evaluate their function again for each direction. LLVM does not see that
    two exponential functions are one: there are branches in them.
    """
    first: dict[Any, int] = {}
    same: dict[int, int] = {}
    kept = []

    def renamed(values: Sequence[int | Constant]) -> tuple[int | Constant, ...]:
        return tuple(v if isinstance(v, Constant) else same.get(v, v) for v in values)

    for instruction in program.instructions:
        instruction = instruction._replace(inputs=renamed(instruction.inputs))
        what = tuple(
            (v.value.dtype.str, v.value.tobytes()) if isinstance(v, Constant) else v
            for v in instruction.inputs
        )
        if instruction.primitive == "cond":  # its branches are not compared
            what = (*what, instruction.output)
        else:
            what = (*what, repr(sorted(instruction.params.items())))
        key = instruction.primitive, instruction.input_dtypes, instruction.dtype, what
        if key in first:
            same[instruction.output] = first[key]
        else:
            first[key] = instruction.output
            kept.append(instruction)
    outputs = renamed(program.outputs)
    used = {v for v in outputs if not isinstance(v, Constant)}
    instructions = []
    for instruction in reversed(kept):
        if instruction.output in used:
            used.update(v for v in instruction.inputs if not isinstance(v, Constant))
            instructions.append(instruction)
    return Program(program.inputs, tuple(reversed(instructions)), outputs)


def _inner(name: str, params: dict[str, Any]) -> Any:
    """The closed jaxpr of a call, or None for a primitive proper."""
    if name in CALLS:
        inner = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
        return inner if hasattr(inner, "consts") else _Closed(inner, [])
    if name in ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"):
        inner = params.get("call_jaxpr") or params["fun_jaxpr"]
        return inner if hasattr(inner, "consts") else _Closed(inner, [])
    return None


class _Closed(NamedTuple):
    jaxpr: Any
    consts: list
