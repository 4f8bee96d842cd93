"""Files of others: what they may hide is refused before it is read, in no time and little memory.

S1 to S4 and S6 of the checks of robustness. `judge.py` reads them in a process of its own, so that
its memory is that of the readers.
"""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from distdyn.errors import RunDirectoryError
from distdyn.jobscript import Job, script
from distdyn.parallel.exchange.counters import NAMES
from distdyn.run import columns, store
from distdyn.run.checkpoint.writing import checksum, digest
from distdyn.run.directory import RunDirectory
from distdyn.run.provenance import write_json
from distdyn.run.store import opening
from tests.run import written

ROOT = Path(__file__).parents[2]
LIMIT, MEMORY = 5.0, 500e6  # s, bytes
SECRET = "the content of another file"


@pytest.fixture(scope="module")
def judge():
    """`judge(kind, path)`: the error and the message with which a reading ended."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("judge.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "ready\n"

    def ask(kind, path):
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps([kind, str(path)]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"the reader of {kind} died: {process.wait()}"
        found = json.loads(line)
        assert found["seconds"] < LIMIT and found["rss"] < MEMORY, found
        assert SECRET not in found["text"]
        return found["error"], found["text"]

    yield ask
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()


# --- what every reader of HDF5 refuses -----------------------------------------------------------


def reseal(path: Path) -> Path:
    """Let the manifest of a checkpoint say what its files now are."""
    said = json.loads((path / "manifest.json").read_text())
    del said["sha256"]
    for part in said["parts"]:
        file = path / part["file"]
        part |= {"bytes": file.stat().st_size, "sha256": checksum(file)}
    write_json(path / "manifest.json", {**said, "sha256": digest(said)})
    return path


def of_recording(tmp_path):
    path = written.run(tmp_path / "run")
    return path, path / "spikes.h5"


def of_trace(tmp_path):
    path = written.run(tmp_path / "run")
    return path, path / "E.V.h5"


def of_state(tmp_path):
    path = written.checkpoint(tmp_path / "checkpoints")
    return path, path / "part-0000.h5"


def of_arrays(tmp_path):
    path = tmp_path / "arrays.h5"
    store.write_arrays(path, {"exc.weight": np.arange(300.0)}, kind="branches", about="{}")
    return path, path


def of_sweep(tmp_path):
    path = tmp_path / "sweep.h5"
    column = np.arange(300.0)
    state = np.zeros(300, np.int32)
    columns.write(path, columns.Table({}, {"parameters": {"g": column}}, state, []))
    return path, path


def of_heidelberg(tmp_path):
    path = tmp_path / "shd.h5"
    with h5py.File(path, "w") as file:
        file["labels"] = np.arange(3)
        for name, kind in (("times", "f4"), ("units", "i4")):
            each = file.create_dataset(f"spikes/{name}", (3,), h5py.vlen_dtype(kind))
            each[:] = [np.ones(4, kind)] * 3
    return path, path


FILES = {  # a kind of file: how one is made, and a dataset in it that is read
    "recording": (of_recording, "spikes/E/node_ids"),
    "trace": (of_trace, "report/E/data"),
    "state": (of_state, "cells/E/fields/state.V"),
    "arrays": (of_arrays, "exc.weight"),
    "sweep": (of_sweep, "parameters/g"),
    "heidelberg": (of_heidelberg, "labels"),
}


def elsewhere(path: Path, shape, dtype) -> Path:
    """A file of the same numbers, which only who follows a link will read."""
    with h5py.File(path.with_name("secret.h5"), "w") as file:
        file["secret"] = np.zeros(shape, dtype)
    return path.with_name("secret.h5")


def external_storage(file, name, old, path):
    raw = path.with_name("secret.raw")
    raw.write_bytes(SECRET.encode() * 9000)
    file.create_dataset(name, old.shape, old.dtype, external=[(str(raw), 0, h5py.h5f.UNLIMITED)])


def external_link(file, name, old, path):
    file[name] = h5py.ExternalLink(str(elsewhere(path, old.shape, old.dtype)), "secret")


def external_link_to_a_pipe(file, name, old, path):
    os.mkfifo(path.with_name("pipe"))
    file[name] = h5py.ExternalLink(str(path.with_name("pipe")), "secret")


def link_of_a_group(file, name, old, path):
    group = name.split("/")[0]
    if group != name:
        del file[group]
    file[group] = h5py.ExternalLink(str(elsewhere(path, old.shape, old.dtype)), "/")


def soft_link(file, name, old, path):
    file["aside"] = np.zeros(old.shape, old.dtype)
    file[name] = h5py.SoftLink("/aside")


def soft_link_to_itself(file, name, old, path):
    file[name] = h5py.SoftLink(f"/{name}")


def virtual(file, name, old, path):
    layout = h5py.VirtualLayout(old.shape, old.dtype)
    layout[...] = h5py.VirtualSource(elsewhere(path, old.shape, old.dtype), "secret", old.shape)
    file.create_virtual_dataset(name, layout)


def compressed(file, name, old, path):
    """1 GiB in a megabyte."""
    shape = (1 << 27, *old.shape[1:])
    chunks = (1 << 21, *old.shape[1:])
    data = file.create_dataset(name, shape, "f8", chunks=chunks, compression="gzip")
    data[: 1 << 21] = 0.0


def unknown_filter(file, name, old, path):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk(tuple(max(1, n) for n in old.shape))
    plist.set_filter(h5py.h5z.FILTER_SZIP + 300, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    space = h5py.h5s.create_simple(old.shape)
    kind = h5py.h5t.py_create(old.dtype)
    h5py.h5d.create(file.id, name.encode(), kind, space, plist)


def eight_tebibytes(file, name, old, path):
    shape = (1 << 40, *old.shape[1:])
    file.create_dataset(name, shape, old.dtype, chunks=(64, *old.shape[1:]))


def large_chunks(file, name, old, path):
    rest = old.shape[1:]
    file.create_dataset(name, (3, *rest), "f8", chunks=(1 << 28, *rest), maxshape=(None, *rest))


def objects(file, name, old, path):
    file.create_dataset(name, old.shape, h5py.string_dtype())


def references(file, name, old, path):
    file.create_dataset(name, old.shape, h5py.ref_dtype)


def compound(file, name, old, path):
    file.create_dataset(name, old.shape, [("a", "f8"), ("b", "i4")])


def text(file, name, old, path):
    file.create_dataset(name, old.shape, "S8")


def no_space(file, name, old, path):
    file[name] = h5py.Empty("f8")


def a_group(file, name, old, path):
    file.create_group(name)


def a_type(file, name, old, path):
    file[name] = np.dtype("f8")


def nothing(file, name, old, path):
    pass


def itself(file, name, old, path):
    """A group that holds itself."""
    file[name] = file["/"]


HIDDEN = (
    external_storage, external_link, external_link_to_a_pipe, link_of_a_group, soft_link,
    soft_link_to_itself, virtual, compressed, unknown_filter, eight_tebibytes, large_chunks,
    objects, references, compound, text, no_space, a_group, a_type, nothing, itself,
)  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_what_a_file_hides_is_refused_before_it_is_read(tmp_path, judge, kind):
    """S2, S3: the message names the object, or the file."""
    make, name = FILES[kind]
    reader = {"trace": "recording"}.get(kind, kind)
    for hide in (None, *HIDDEN):
        folder = tmp_path / getattr(hide, "__name__", "whole")
        folder.mkdir()
        path, file = make(folder)
        if hide is None:
            assert judge(reader, path) == ("", "")
            continue
        with h5py.File(file, "r+") as opened:
            old = opened[name]
            del opened[name]
            hide(opened, name, old, file)
        if kind == "state":
            reseal(path)
        error, text = judge(reader, path)
        where = kind, hide.__name__, error, text
        if (kind, hide) == ("state", nothing):
            continue  # what must be there the network knows: `snapshot.put` asks for it
        assert error in ("RunDirectoryError", "CheckpointError", "TrainError"), where
        assert file.name in text and len(text) < 1000, where
        if kind not in ("heidelberg", "arrays") and hide not in (no_space, itself):
            assert f'object "/{name.split("/")[0]}' in text, where


def test_text_and_numbers_without_end_in_attributes(tmp_path):
    """S3: an attribute is as large as it says; of text without a length only reading tells."""
    path, _ = of_arrays(tmp_path)
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["kind"] = np.zeros(opening.LARGEST_ATTRIBUTE + 1, np.uint8)
    with pytest.raises(RunDirectoryError, match='attribute "kind" has type uint8 and 1048577'):
        store.read_arrays(path)
    for value in ("text", ["some", "text"], h5py.Empty("f8"), (1, 2.5)):
        path.unlink()
        store.write_arrays(
            path, {"x": np.arange(9.0)}, kind=3, names=["a", "\u00e9"], about="t" * 99_999
        )
        _, attributes = store.read_arrays(path)
        assert attributes["kind"] == 3 and attributes["about"] == "t" * 99_999
        assert attributes["names"] == ["a", "\u00e9"]
        with h5py.File(path, "r+") as file:
            file.attrs["kind"] = np.array([1.0, 2.5]) if isinstance(value, tuple) else value
        with pytest.raises(RunDirectoryError):
            store.read_arrays(path)
    with h5py.File(path, "r+") as file:
        file.attrs["kind"] = file.ref
    with pytest.raises(RunDirectoryError, match='attribute "kind" has type object'):
        store.read_arrays(path)


def test_more_groups_than_any_file_has(tmp_path, judge, monkeypatch):
    """S3: in one group, or by groups in groups."""
    path, _ = of_arrays(tmp_path)
    state = written.checkpoint(tmp_path / "checkpoints")
    for file in (path, state / "part-0000.h5"):
        with h5py.File(file, "r+") as opened:
            for k in range(200):
                opened.create_group(f"many/{k}")
    monkeypatch.setattr(opening, "MOST_OBJECTS", 100)
    for read in (lambda: store.read_arrays(path), store.StoredTables(state / "part-0000.h5").names):
        with pytest.raises(RunDirectoryError, match="holds 200 objects"):
            read()
    monkeypatch.setattr(opening, "MOST_OBJECTS", 250)
    with h5py.File(path, "r+") as opened:
        for k in range(200):
            opened.create_group(f"more/{k}")
    with pytest.raises(RunDirectoryError, match="holds too much"):
        store.read_arrays(path)


@pytest.mark.slow
def test_a_million_groups(tmp_path, judge):
    path = tmp_path / "many.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for k in range(10**6):
            file.create_group(f"{k}")
    error, text = judge("arrays", path)
    assert error == "RunDirectoryError" and "holds 1000000 objects" in text


# --- JSON ----------------------------------------------------------------------------------------

TEXTS = {
    "nothing": "",
    "no JSON": "{",
    "other": "[]",
    "NaN": "NaN",
    "null": "null",
    "deep": "[" * 200_000,
    "deep objects": '{"a":' * 200_000,
    "many lists": "[" + "[]," * (1 << 22) + "0]",
    "many numbers": "[" + "999," * (1 << 23) + "0]",
    "wide": '"\U0001f600' + " " * (1 << 25) + '"',
    "large": " " * (1 << 27),
    "not UTF-8": b"\xff\xfe{}",
    "a long number": "[" + "9" * 10**6 + "]",
}


@pytest.mark.parametrize("kind", ["recording", "state", "verify"])
def test_json_that_is_none_of_ours(tmp_path, judge, kind):
    """C5, S3: of manifests and run.json."""
    if kind == "recording":
        path = written.run(tmp_path / "run")
        file = path / "run.json"
    else:
        path = written.checkpoint(tmp_path / "checkpoints")
        file = path / "manifest.json"
    for what, content in TEXTS.items():
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        error, text = judge(kind, path)
        assert error in ("RunDirectoryError", "CheckpointError"), (what, error, text)
        assert file.name in text and len(text) < 700, what
    for make in (
        lambda: os.mkfifo(file),
        lambda: file.mkdir(),
        lambda: file.symlink_to("/dev/zero"),
    ):
        file.unlink(missing_ok=True)
        make()
        assert judge(kind, path)[0] in ("RunDirectoryError", "CheckpointError")
        file.rmdir() if file.is_dir() else file.unlink()


WRONG = {  # of a manifest
    ("step",): ["7", 7.0, True, -1, 1 << 63, float("nan"), None],
    ("format",): [2, "1", None, [1]],
    ("parts",): [[], {}, None, 7, ["part-0000.h5"], [{}]],
    ("parts", 0, "file"): [
        "../part-0000.h5", "/etc/passwd", "part-0000.h5/", ".", "part-0000.h5\0", "part-0001.h5",
        "part-\u0660\u0660\u0660\u0660.h5", 7, None, ["part-0000.h5"],
    ],
    ("parts", 0, "bytes"): ["9", 9.5, -1, None, 1 << 70],
    ("parts", 0, "sha256"): ["", None, 7, "0" * 64],
    ("of",): [None, [], "x"],
    ("made_by",): [None, []],
    ("counters",): [
        None, 7, {}, {"emitted": 1}, dict.fromkeys(NAMES, 0.5), dict.fromkeys(NAMES, -1),
    ],
    ("changes",): [None, 7, [7], ["ab"], [["E", 7]], [["E"]]],
}  # fmt: skip


def test_a_manifest_of_wrong_types(tmp_path, judge):
    path = written.checkpoint(tmp_path / "checkpoints")
    whole = (path / "manifest.json").read_text()
    for where, values in WRONG.items():
        for value in values:
            said = json.loads(whole)
            del said["sha256"]
            inner = said
            for key in where[:-1]:
                inner = inner[key]
            inner[where[-1]] = value
            (path / "manifest.json").write_text(json.dumps({**said, "sha256": digest(said)}))
            error, text = judge("state", path)
            assert error == "CheckpointError" and str(path) in text, (where, value, error, text)
    said = json.loads(whole)
    del said["sha256"]
    said["parts"] *= 2  # one file, read as often as it is named
    (path / "manifest.json").write_text(json.dumps({**said, "sha256": digest(said)}))
    assert "several times" in judge("state", path)[1]


def test_a_part_that_is_no_file(tmp_path, judge):
    """A link, a pipe that would be waited for, a directory."""
    path = written.checkpoint(tmp_path / "checkpoints")
    part = path / "part-0000.h5"
    part.rename(tmp_path / "aside.h5")
    for make in (
        lambda: part.symlink_to(tmp_path / "aside.h5"),
        lambda: os.mkfifo(part),
        part.mkdir,
    ):
        make()
        error, text = judge("state", path)
        assert error == "CheckpointError" and "is a link, or no file" in text, text
        part.rmdir() if part.is_dir() else part.unlink()


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("dt",), float("inf")), (("dt",), 5e-324), (("dt",), 10**400), (("t0",), float("nan")),
        (("populations", "E", "size"), -1), (("populations", "E", "size"), 1 << 70),
        (("populations", "E", "offset"), 1e300), (("populations",), {"E" * 10**6: {"size": 1}}),
        (("recorded", "traces", "E.V", "interval"), 1 << 70), (("rank_files",), 1 << 70),
        (("recorded", "spikes"), 7), (("recorded", "spiking"), 7),
        (("recorded", "spiking"), [[]]), (("format",), "\x1b[31m" * 99),
    ],
)  # fmt: skip
def test_nonsense_in_run_json(tmp_path, judge, where, value):
    path = written.run(tmp_path / "run")
    run = json.loads((path / "run.json").read_text())
    inner = run
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    (path / "run.json").write_text(json.dumps(run))
    error, text = judge("recording", path)
    assert error == "RunDirectoryError" and "\x1b" not in text and len(text) < 700, text


def test_rows_without_order_are_not_waited_for(tmp_path, judge):
    path = written.run(tmp_path / "run")
    with h5py.File(path / "spikes.h5", "r+") as file:
        file["spikes/E/timestamps"][...] = np.random.default_rng(1).permutation(500) * 0.1
    error, text = judge("recording", path)
    assert error == "RunDirectoryError" and "out of order" in text


# --- archives and tables -------------------------------------------------------------------------


class _Sentinel:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def npz(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


def head(descr: str, shape) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("kind", ["edges", "decomposition"])
def test_archives_that_are_not_what_they_seem(tmp_path, judge, kind):
    """S1, S3: of edges and of decompositions; 128 MiB in 130 kB, 8 TiB in a head, code."""
    sentinel = tmp_path / "sentinel"
    pickled = np.empty(1, object)
    pickled[0] = _Sentinel(sentinel)
    np.savez(tmp_path / "objects.npz", pre=pickled, post=pickled, head=pickled)
    zeros = head("'<i8'", (1 << 24,)) + bytes(1 << 27)
    bad = [
        tmp_path / "objects.npz",
        npz(tmp_path / "bomb.npz", pre=zeros),
        npz(tmp_path / "claim.npz", pre=head("'<i8'", (1 << 40,)), head=head("'|u1'", (1 << 43,))),
        npz(tmp_path / "many.npz", **{f"x{k}": head("'<i8'", (1 << 40,)) for k in range(99)}),
        npz(tmp_path / "type.npz", pre=head("[('a', 'O')]", (1,)), head=head("'O'", (1,))),
        npz(tmp_path / "code.npz", pre=head(f"open('{sentinel}', 'w')", (1,)), head=b""),
        npz(tmp_path / "deep.npz", pre=head("(" * 90, (1,)), head=head("'|u1'", "-1")),
        npz(tmp_path / "empty.npz"),
    ]
    (tmp_path / "cut.npz").write_bytes(bad[1].read_bytes()[:-100])
    (tmp_path / "none.npz").write_bytes(b"")
    (tmp_path / "dir.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    bad += [tmp_path / f"{name}.npz" for name in ("cut", "none", "dir", "pipe", "missing")]
    for path in bad:
        error, text = judge(kind, path)
        wanted = ("RuleError", "DecompositionError")
        if kind == "decomposition" and path.stem in ("dir", "pipe", "missing"):
            wanted = ("UNLISTED FileNotFoundError", "UNLISTED OSError")  # which `load` announces
        assert error in wanted and len(text) < 1000, (path.name, error, text)
        assert path.name in text, (path.name, text)
    assert not sentinel.exists()


def test_tables_that_are_not_what_they_seem(tmp_path, judge):
    table = tmp_path / "edges.csv"
    rows = b"1,x", b"1e999,1", b"\0", b"99999999999999999999,1", b"1"
    for content in (b"", b"\xff\xff\n", b"a" * 10**7, *(b"pre,post\n%b\n" % row for row in rows)):
        table.write_bytes(content)
        error, text = judge("edges", table)
        assert error == "RuleError" and "edges.csv" in text and len(text) < 1000, content[:9]
    table.unlink()
    os.mkfifo(table)
    assert judge("edges", table)[0] == "RuleError"


# --- names, links, text --------------------------------------------------------------------------


def test_names_of_directories_that_would_command_a_terminal(tmp_path, capsys, monkeypatch):
    """S5."""
    from distdyn.cli import main

    monkeypatch.chdir(tmp_path)
    for name in ("a\nERROR forged", "\x1b[31mred", "right\u202eleft", "\udc80"):
        with pytest.raises(RunDirectoryError, match="cannot be shown") as error:
            RunDirectory(name)
        assert str(error.value).isprintable()
        for words in (["verify", name], ["diff", name, name], ["plot", name]):
            assert main(words) == 2
            out, err = capsys.readouterr()
            assert not out and "\x1b" not in err and "\u202e" not in err, words
    assert list(tmp_path.iterdir()) == []


def test_values_are_not_code(tmp_path, capsys, monkeypatch):
    """S4: there is no other configuration than `--set`."""
    from distdyn.commands.named import assignment

    monkeypatch.chdir(tmp_path)
    for text in ("__import__('os').system('touch sentinel')", "().__class__", "!!python/object:x",
                 "open('sentinel', 'w')", "(" * 10**4, "-" * 10**5 + "1", "9" * 10**5):  # fmt: skip
        name, value = assignment(f"kind={text}")
        assert (name, value) == ("kind", text)
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_someone_else_has_made_is_not_followed(tmp_path):
    """S6: one's own is."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    RunDirectory(tmp_path / "link").close()
    if os.geteuid() != 0:
        pytest.skip("only root can give a link away")
    os.lchown(tmp_path / "link", 12345, 12345)
    with pytest.raises(RunDirectoryError, match="someone else has made"):
        RunDirectory(tmp_path / "link")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_links_that_were_planted_are_not_written_through(tmp_path):
    """S6: under every name that is known beforehand."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (f".run.json.{os.getpid()}", "lock"):
        (folder / name).symlink_to(victim)
    with pytest.raises(RunDirectoryError):
        written.run(folder)
    (folder / "lock").unlink()
    written.run(folder)
    for name in ("arrays.h5", "sweep.h5", "d.npz"):
        (folder / f".{name}.{os.getpid()}").symlink_to(victim)
    of_arrays(folder)
    of_sweep(folder)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/.step-000000000500.draft").symlink_to(tmp_path)
    with pytest.raises(RunDirectoryError):
        written.checkpoint(folder / "checkpoints")
    assert victim.read_text() == "mine"


def test_nothing_that_is_read_is_run():
    """S1, S4: no call that makes code of data, but for our own kernels."""
    import ast

    for package in ("distdyn", "partition"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call):
                    called = ast.unparse(node.func)
                    is_kernel = file.parent.name == "ops"
                    assert called != "eval" and (called != "exec" or is_kernel), file
                    assert called.split(".")[0] not in ("yaml", "joblib", "torch", "dill"), file
                    given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    assert given.get("allow_pickle", "False") == "False", file


def test_a_network_of_one_machine_listens_to_nobody_else():
    """S7."""
    script = """
import socket
from distdyn.parallel.launch.distributed import Meeting, start_distributed
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
start_distributed(Meeting(f"127.0.0.1:{port}", 1, 0))
found = []
for table in ("tcp", "tcp6"):
    for line in open(f"/proc/net/{table}").read().splitlines()[1:]:
        address, _, state = line.split()[1:4]
        if state == "0A" and int(address.rpartition(":")[2], 16) == port:
            found.append(address.rpartition(":")[0])
print(found)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] in ("['0100007F']", "['0000000000000000FFFF00000100007F']")


def test_words_of_a_job_stay_words():
    """S9: whatever they are, bash hands them on as they were given."""
    words = ("net.py:N; touch sentinel", "--set", "a=$(id) `id`", "--set", "b='\"\n#SBATCH x", "*")
    text = script(Job(words))
    given = text.partition("    set -- ")[2].partition("\nfi\njob=")[0]
    ended = subprocess.run(
        ["bash", "-c", f"set -- {given}\nprintf '%s\\0' \"$@\""], capture_output=True, check=True
    )
    assert ended.stdout.decode().split("\0")[:-1] == list(words)
