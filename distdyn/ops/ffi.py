"""From a machine-code kernel to a JAX operator: the one place that knows XLA's call frame.

A kernel is a C function at some address that does one share of an operator's work:

    void kernel(void* buffer_0, int64* shape_0, void* buffer_1, ..., int64 member, int64 members,
                int64* tally)

The buffers are arguments, then results; the first argument of every operator is its team
(`ops.team`). XLA calls a *handler* with one pointer, the call frame; a trampoline of a few
instructions, generated here, takes the frame apart and has the team do all shares. Then the
operator's `join`, if it has one, is called once with the same buffers, `members` and the tally, of
which each share may have written its own place. The offsets inside the frame are read from
jaxlib's own header, so that a layout that changed is found before the first call and not by a
crash.

Source: jaxlib/include/xla/ffi/api/c_api.h
"""

# llvmlite is not typed:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportAssignmentType=false

import ctypes
import functools
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import llvmlite.binding as llvm
from llvmlite import ir

from distdyn.ops import team

POINTER = ir.PointerType()
INT64, INT32 = ir.IntType(64), ir.IntType(32)
SUPPORTED_MAJOR = 0
INTERNAL = 13  # the code of an error that is neither the caller's nor the machine's
METADATA = 1  # the type of the extension by which XLA asks for the API version
CAN_BE_RECORDED = 1  # the trait of a handler that does nothing but launch on the stream it is given


class FrameLayout(NamedTuple):
    """Byte offsets inside XLA's call frame, and the API version they belong to."""

    major: int
    minor: int
    extension: int  # of the extension list in the frame
    args: int  # of the array of argument buffers in the frame
    rets: int  # of the array of result buffers in the frame
    extension_type: int
    extension_metadata: int
    metadata_major: int
    metadata_minor: int
    metadata_traits: int
    buffer_data: int
    buffer_dims: int
    api: int  # of the table of XLA's own functions in the frame
    error_create: int  # of the function in that table that makes an error
    error_message: int  # of the message in what it is given
    error_code: int
    error_size: int
    context: int  # of what XLA knows of this execution, in the frame
    stream_get: int  # of the function in the table that gives the stream of a GPU
    stream_context: int  # of the context in what it is given
    stream_found: int  # of the stream in what it fills in
    stream_size: int


class UnknownLayout(Exception):
    """The header of this jaxlib does not describe the frame that we know."""


@functools.cache
def frame_layout() -> FrameLayout:
    """The layout of the installed jaxlib; UnknownLayout with the reason when foreign."""
    header = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"
    try:
        text = header.read_text()
    except OSError as error:
        raise UnknownLayout(f"{header.name} cannot be read: {error}") from error
    return parse_layout(text)


def parse_layout(text: str) -> FrameLayout:
    """Read the offsets from the text of the header, with the sizes of the 64-bit C ABI."""
    text = re.sub(r"//[^\n]*", "", text)
    text = re.sub(r"_XLA_FFI_API_STRUCT_FIELD\((\w+)\)", r"\1* \1", text)
    version = {
        name: int(value) for name, value in re.findall(r"#define XLA_FFI_API_(M\w+) (\d+)", text)
    }
    if version.get("MAJOR") != SUPPORTED_MAJOR or "MINOR" not in version:
        raise UnknownLayout(f"XLA FFI API version {version}, not {SUPPORTED_MAJOR}.x")
    structs = dict(re.findall(r"struct (XLA_FFI_\w+) \{([^}]*)\}", text))
    known: dict[str, tuple[dict[str, int], int, int]] = {}

    def layout(name: str) -> tuple[dict[str, int], int, int]:
        if name in known:
            return known[name]
        if name not in structs:  # an enumeration, or a type that the frame cannot hold by value
            raise UnknownLayout(f"struct {name} is not in the header")
        offsets, size, alignment = {}, 0, 1
        for field in filter(None, (part.strip() for part in structs[name].split(";"))):
            kind, stars, label = re.fullmatch(r"([\w\s]+?)\s*(\**)\s*(\w+)", field, re.S).groups()
            kind = re.sub(r"\b(const|struct)\b", "", kind).strip()
            width, align = _size(kind, bool(stars), structs, layout)
            size = -(-size // align) * align
            offsets[label] = size
            size, alignment = size + width, max(alignment, align)
        known[name] = offsets, -(-size // alignment) * alignment, alignment
        return known[name]

    try:
        frame, args, rets = (layout(f"XLA_FFI_{name}")[0] for name in ("CallFrame", "Args", "Rets"))
        extension = layout("XLA_FFI_Metadata_Extension")[0]
        # the type of an extension's head was renamed in API 0.4
        base = layout(structs["XLA_FFI_Metadata_Extension"].split()[0])[0]
        metadata, api = layout("XLA_FFI_Metadata")[0], layout("XLA_FFI_Api_Version")[0]
        buffer = layout("XLA_FFI_Buffer")[0]
        functions = layout("XLA_FFI_Api")[0]
        error, error_size, _ = layout("XLA_FFI_Error_Create_Args")
        stream, stream_size, _ = layout("XLA_FFI_Stream_Get_Args")
        return FrameLayout(
            major=version["MAJOR"],
            minor=version["MINOR"],
            extension=frame["extension_start"],
            args=frame["args"] + args["args"],
            rets=frame["rets"] + rets["rets"],
            extension_type=base["type"],
            extension_metadata=extension["metadata"],
            metadata_major=metadata["api_version"] + api["major_version"],
            metadata_minor=metadata["api_version"] + api["minor_version"],
            metadata_traits=metadata["traits"],
            buffer_data=buffer["data"],
            buffer_dims=buffer["dims"],
            api=frame["api"],
            error_create=functions["XLA_FFI_Error_Create"],
            error_message=error["message"],
            error_code=error["errc"],
            error_size=error_size,
            context=frame["ctx"],
            stream_get=functions["XLA_FFI_Stream_Get"],
            stream_context=stream["ctx"],
            stream_found=stream["stream"],
            stream_size=stream_size,
        )
    except (KeyError, AttributeError) as error:
        raise UnknownLayout(f"field {error} is not where it was") from error


def _size(kind: str, is_pointer: bool, structs: dict, layout) -> tuple[int, int]:
    if is_pointer or kind in ("size_t", "int64_t", "uint64_t", "double"):
        return 8, 8
    if kind in ("int", "int32_t", "uint32_t", "XLA_FFI_Handler_TraitsBits", "float"):
        return 4, 4
    if kind in structs:
        _, size, alignment = layout(kind)
        return size, alignment
    return 4, 4  # the enumerations; C gives them an int


class Code:
    """Machine code in memory; it lives as long as the process, because XLA keeps its address."""

    def __init__(self, assembly: str) -> None:
        _initialize()
        module = llvm.parse_assembly(assembly)
        module.verify()
        machine = _target_machine()
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(3))
        builder.getModulePassManager().run(module, builder)
        self.engine = llvm.create_mcjit_compiler(module, machine)
        self.engine.finalize_object()

    def address(self, name: str) -> int:
        """Where the function of this name begins."""
        return self.engine.get_function_address(name)


@functools.cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


def _target_machine() -> llvm.TargetMachine:
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        jit=True,
    )


@functools.cache
def fuses() -> bool:
    """Whether this processor multiplies and adds in one instruction, with one rounding."""
    _initialize()
    if llvm.get_default_triple().startswith(("aarch64", "arm64")):
        return True
    return bool(llvm.get_host_cpu_features().get("fma"))


@functools.cache
def compile_module(assembly: str) -> Code:
    """The machine code of a module; equal text is compiled once per process."""
    return Code(assembly)


class Target(str):
    """The name by which XLA calls an operator, and where its code is."""

    kernel: int
    join: int
    failure: str


@functools.cache
def register(
    name: str, kernel: int, n_args: int, n_rets: int, join: int = 0, failure: str = ""
) -> Target:
    """Make the kernel at this address callable as `jax.ffi.ffi_call(name, ...)` on CPU.

    A kernel that can fail has one share, and says in the tally whether it has: the call then ends
    with the message `failure`.
    """
    operator = Target(name)
    operator.kernel, operator.join, operator.failure = kernel, join, failure
    _register(name, ((operator, tuple(range(n_args + n_rets))),), n_args, n_rets)
    return operator


@functools.cache
def register_chain(name: str, steps: Any, n_args: int, n_rets: int, halt: int | None = None) -> str:
    """Make operators callable as one: each with the numbers of its buffers, args before results.

    They are called once, or over and over until the buffer `halt` holds another int64 than 0.
    """
    _register(name, steps, n_args, n_rets, halt)
    return name


def _register(name: str, steps: Any, n_args: int, n_rets: int, halt: int | None = None) -> None:
    code = compile_module(_trampoline(frame_layout(), steps, n_args, n_rets, halt))
    handler = jax.ffi.pycapsule(ctypes.c_void_p(code.address("handler")))
    jax.ffi.register_ffi_target(name, handler, platform="cpu")


def _trampoline(
    layout: FrameLayout, steps: Any, n_args: int, n_rets: int, halt: int | None = None
) -> str:
    """The handler: answer a question for metadata, otherwise unpack the buffers and call."""
    builder, frame = begin_handler(layout)
    module = builder.module
    load = functools.partial(load_at, builder)
    found = buffers_of(builder, layout, frame, n_args, n_rets)
    lead = external(module, team.code().address("team_lead"), [POINTER, POINTER, POINTER, INT64])
    tally = room(builder, team.MOST_MEMBERS)
    calls = []
    for number, (operator, buffers) in enumerate(steps):
        pointers = [pointer for k in buffers for pointer in found[k]]
        shared = room(builder, len(pointers) + 1)
        for index, pointer in enumerate([*pointers, tally]):
            builder.store(pointer, at(builder, shared, 8 * index))
        share = _share(module, number, operator.kernel, len(pointers))
        calls.append((operator, pointers, shared, share))
    if halt is not None:
        look, again, done = (builder.append_basic_block(x) for x in ("look", "again", "done"))
        builder.branch(look)
        builder.position_at_end(look)
        goes_on = builder.icmp_unsigned("==", load(found[halt][0], 0, INT64), INT64(0))
        builder.cbranch(goes_on, again, done)
        builder.position_at_end(again)
    for operator, pointers, shared, share in calls:
        memory, members = load(pointers[0], 0), load(pointers[0], 8, INT64)
        builder.call(lead, [memory, share, shared, members])
        if operator.join:
            kind = [POINTER] * len(pointers) + [INT64, POINTER]
            join = external(module, operator.join, kind)
            builder.call(join, [*pointers, members, tally])
        if operator.failure:
            has_failed = builder.icmp_unsigned("!=", load(tally, 0, INT64), INT64(0))
            with builder.if_then(has_failed, likely=False):
                builder.ret(error_of(builder, layout, load(frame, layout.api), operator.failure))
    if halt is not None:
        builder.branch(look)
        builder.position_at_end(done)
    builder.ret(ir.Constant(POINTER, None))
    return str(module)


def begin_handler(layout: FrameLayout, traits: int = 0) -> tuple[ir.IRBuilder, ir.Value]:
    """A handler that has answered a question for metadata, and the call frame that it is given."""
    module = ir.Module("handler")
    module.triple = llvm.get_process_triple()
    handler = ir.Function(module, ir.FunctionType(POINTER, [POINTER]), "handler")
    builder = ir.IRBuilder(handler.append_basic_block("entry"))
    frame = handler.args[0]
    extension = load_at(builder, frame, layout.extension)
    with builder.if_then(builder.icmp_unsigned("!=", builder.ptrtoint(extension, INT64), INT64(0))):
        kind = load_at(builder, extension, layout.extension_type, INT32)
        with builder.if_then(builder.icmp_unsigned("==", kind, INT32(METADATA))):
            metadata = load_at(builder, extension, layout.extension_metadata)
            builder.store(INT32(layout.major), at(builder, metadata, layout.metadata_major))
            builder.store(INT32(layout.minor), at(builder, metadata, layout.metadata_minor))
            builder.store(INT32(traits), at(builder, metadata, layout.metadata_traits))
            builder.ret(ir.Constant(POINTER, None))
    return builder, frame


def buffers_of(
    builder: ir.IRBuilder, layout: FrameLayout, frame: ir.Value, n_args: int, n_rets: int
) -> list[tuple[ir.Value, ir.Value]]:
    """Of the arguments, then the results: where the data are, and where the shape is."""
    found = []
    for offset, count in ((layout.args, n_args), (layout.rets, n_rets)):
        array = load_at(builder, frame, offset)
        for index in range(count):
            buffer = load_at(builder, array, 8 * index)
            data = load_at(builder, buffer, layout.buffer_data)
            found.append((data, load_at(builder, buffer, layout.buffer_dims)))
    return found


def at(builder: ir.IRBuilder, base: ir.Value, offset: int) -> ir.Value:
    """The address so many bytes behind another."""
    return builder.gep(base, [INT64(offset)], source_etype=ir.IntType(8))


def load_at(
    builder: ir.IRBuilder, base: ir.Value, offset: int, type: ir.Type = POINTER
) -> ir.Value:
    """What stands so many bytes behind an address."""
    return builder.load(at(builder, base, offset), typ=type)


# llvmlite's builder cannot call an address that is known only when it runs
_FAIL = """
define ptr @fail(ptr %api, ptr %message) {{
  %given = alloca i8, i64 {error_size}, align 8
  call void @llvm.memset.p0.i64(ptr %given, i8 0, i64 {error_size}, i1 false)
  store i64 {error_size}, ptr %given, align 8
  %to_message = getelementptr i8, ptr %given, i64 {error_message}
  store ptr %message, ptr %to_message, align 8
  %to_code = getelementptr i8, ptr %given, i64 {error_code}
  store i32 {internal}, ptr %to_code, align 4
  %entry = getelementptr i8, ptr %api, i64 {error_create}
  %create = load ptr, ptr %entry, align 8
  %error = call ptr %create(ptr %given)
  ret ptr %error
}}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""


def error_of(builder: ir.IRBuilder, layout: FrameLayout, api: ir.Value, message: str) -> ir.Value:
    """An error of XLA's with this message."""
    code = compile_module(_FAIL.format(internal=INTERNAL, **layout._asdict()))
    text = bytearray(message.encode() + b"\0")
    kind = ir.ArrayType(ir.IntType(8), len(text))
    held = ir.GlobalVariable(builder.module, kind, builder.module.get_unique_name("message"))
    held.global_constant, held.linkage, held.initializer = True, "internal", kind(text)
    fail = external(builder.module, code.address("fail"), [POINTER, POINTER], POINTER)
    return builder.call(fail, [api, builder.bitcast(held, POINTER)])


def room(builder: ir.IRBuilder, words: int) -> ir.Value:
    """Memory for so many pointers or integers, as long as the handler runs."""
    place = builder.ptrtoint(builder.alloca(INT64, words), INT64)
    return builder.inttoptr(place, POINTER)


def _share(module: ir.Module, number: int, kernel: int, n_pointers: int) -> ir.Function:
    """`share(pointers, member, members)`: one share, from the pointers that the handler left."""
    kind = ir.FunctionType(ir.VoidType(), [POINTER, INT64, INT64])
    share = ir.Function(module, kind, f"share{number}")
    share.linkage = "internal"
    builder = ir.IRBuilder(share.append_basic_block("entry"))
    shared, member, members = share.args
    pointers = [
        builder.load(builder.gep(shared, [INT64(index)], source_etype=POINTER), typ=POINTER)
        for index in range(n_pointers + 1)
    ]
    function = external(module, kernel, [POINTER] * n_pointers + [INT64, INT64, POINTER])
    builder.call(function, [*pointers[:-1], member, members, pointers[-1]])
    builder.ret_void()
    return share


def external(
    module: ir.Module, address: int, arguments: list[ir.Type], returns: ir.Type | None = None
) -> ir.Function:
    """The function at an address, as a symbol of the module."""
    symbol = f"at_{address:x}"
    if symbol in module.globals:
        return module.globals[symbol]
    llvm.add_symbol(symbol, address)
    return ir.Function(module, ir.FunctionType(returns or ir.VoidType(), arguments), symbol)
