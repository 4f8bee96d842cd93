"""XLA's call frame, read from jaxlib's header; what happens when that is foreign."""

import ctypes
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.ops import deliver, ffi

HEADER = Path(jax.ffi.include_dir()) / "xla" / "ffi" / "api" / "c_api.h"


@pytest.fixture
def header():
    return HEADER.read_text()


def test_the_layout_of_the_installed_header(header):
    """Offsets of the frame as version 0.x has had them, in bytes."""
    layout = ffi.parse_layout(header)
    assert layout == ffi.frame_layout()
    assert layout.major == 0
    word = ctypes.sizeof(ctypes.c_void_p)
    assert layout.buffer_data % word == layout.buffer_dims % word == 0
    assert layout.extension == word, "size, then the list of extensions"
    assert layout.extension_type == word
    assert layout.metadata_minor == layout.metadata_major + 4
    assert 0 < layout.args < layout.rets


def test_comments_and_fields_elsewhere_do_not_matter(header):
    text = header.replace("struct XLA_FFI_Buffer {", "// int fake;\nstruct XLA_FFI_Buffer {\n")
    assert ffi.parse_layout(text) == ffi.parse_layout(header)
    moved = header.replace("struct XLA_FFI_Buffer {", "struct XLA_FFI_Buffer {\n  int64_t first;\n")
    before, after = ffi.parse_layout(header), ffi.parse_layout(moved)
    assert after.buffer_data == before.buffer_data + 8
    assert after.buffer_dims == before.buffer_dims + 8


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("#define XLA_FFI_API_MAJOR 0", "#define XLA_FFI_API_MAJOR 1"),
        ("#define XLA_FFI_API_MINOR", "#define XLA_FFI_API_OTHER"),
        ("struct XLA_FFI_CallFrame {", "struct XLA_FFI_Renamed {"),
        ("struct XLA_FFI_Buffer {", "struct XLA_FFI_Renamed {"),
        ("extension_start;", "renamed;"),
        ("void* data;", "void* renamed;"),
        ("void* data;", "void (*data)(int);"),
    ],
)
def test_a_foreign_header_is_told(header, old, new):
    assert old in header
    with pytest.raises(ffi.UnknownLayout):
        ffi.parse_layout(header.replace(old, new))


class Pair(dd.Network):
    """A few cells that excite each other."""

    def __init__(self):
        cell = dd.LIF(
            C_m=250.0, tau_m=10.0, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=2.0, I_e=400.0
        )
        self.N = dd.Population(30, cell, V=dd.Normal(-58.0, 5.0))
        self.syn = dd.Projection(
            self.N,
            self.N,
            dd.FixedProb(0.3),
            dd.Exponential(tau=2.0),
            weight=dd.Normal(30.0, 3.0),
            delay=dd.Normal(1.5, 0.5, low=0.1),
        )


def spikes():
    recording = dd.DSRunner(Pair(), dt=0.1, seed=3, record="spikes").run(100.0)
    train = recording.gather().spikes["N"]
    return np.asarray(train.step), np.asarray(train.id)


def test_without_kernels_the_spikes_are_the_same_and_one_warning_says_why(monkeypatch, header):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = spikes()
    assert len(expected[0]) > 100

    def foreign():
        return ffi.parse_layout(
            header.replace("#define XLA_FFI_API_MAJOR 0", "#define XLA_FFI_API_MAJOR 7")
        )

    monkeypatch.setattr(ffi, "frame_layout", foreign)
    deliver.kernels_work.cache_clear()
    try:
        assert "'MAJOR': 7" in deliver.why_no_kernels()
        with pytest.warns(RuntimeWarning, match="without its CPU kernels.*'MAJOR': 7") as told:
            found = [spikes(), spikes()]
        assert len(told) == 1
    finally:
        deliver.kernels_work.cache_clear()
    for step, id in found:
        np.testing.assert_array_equal(step, expected[0])
        np.testing.assert_array_equal(id, expected[1])
    monkeypatch.undo()
    assert deliver.why_no_kernels() == ""


def test_a_missing_llvmlite_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "llvmlite", None)
    monkeypatch.delitem(__import__("sys").modules, "distdyn.ops.ffi", raising=False)
    monkeypatch.delattr("distdyn.ops.ffi", raising=False)
    assert "llvmlite" in deliver.why_no_kernels()
