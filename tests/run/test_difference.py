"""`distdyn diff`: the first spike, sample or number that is not the same, and how much differs."""

import json
from dataclasses import replace

import numpy as np
import pytest

from distdyn.cli import main
from distdyn.errors import CheckpointError, RecordError
from distdyn.parallel.launch import World
from distdyn.parallel.snapshot import Columns
from distdyn.run import difference as runs
from distdyn.run.checkpoint import difference as states
from distdyn.run.checkpoint import writing
from distdyn.run.checkpoint.stored import Stored
from distdyn.run.reader import load
from distdyn.run.stream import together
from tests.run import written


def compared(capsys, a, b, status) -> dict:
    assert main(["diff", str(a), str(b), "--json", "--quiet"]) == status
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def a(tmp_path):
    return written.run(tmp_path / "a")


# --- runs ----------------------------------------------------------------------------------------


def test_runs_that_are_the_same(a, tmp_path, capsys):
    found = compared(capsys, a, written.run(tmp_path / "b"), 0)
    assert found["is_same"] and found["first_spike"] is found["first_sample"] is None
    assert found["spikes"] == {"E": [500, 500], "I": [500, 500]}


@pytest.mark.parametrize("block", [None, 4])
def test_the_first_spike_that_differs(a, tmp_path, capsys, monkeypatch, block):
    """One spike is missing in B, a later one is of another neuron."""
    spikes = load(a).spikes
    missing = "I", int(spikes["I"].step[321]), int(spikes["I"].id[321])
    if block:  # however they are cut into blocks
        monkeypatch.setattr(runs, "together", lambda sources: together(sources, block))

    def change(path, step, id):
        here = (step == missing[1]) & (id == missing[2]) & (path == "I")
        later = (step > missing[1]) & (id == 3)
        return step[~here], np.where(later, 4, id)[~here]

    b = written.run(tmp_path / "b", change=change)
    found = compared(capsys, a, b, 1)
    path, step, id = missing
    assert found["first_spike"] == {"step": step, "path": path, "id": id, "values": [True, False]}
    assert found["spikes"] == {"E": [500, 500], "I": [500, 499]} and not found["is_same"]
    swapped = compared(capsys, b, a, 1)["first_spike"]
    assert swapped == found["first_spike"] | {"values": [False, True]}


def test_a_run_that_ended_early_is_the_same_so_far(a, tmp_path, capsys):
    found = compared(capsys, a, written.run(tmp_path / "b", stop=600), 1)
    assert found["first_spike"] is None and found["common"] == [0, 600]
    assert main(["diff", str(a), str(tmp_path / "b")]) == 1
    assert "the same in the steps 0 to 600" in capsys.readouterr().out


def test_the_first_sample_that_differs(a, tmp_path):
    whole, other = load(a), load(written.run(tmp_path / "b"))
    step, value = whole.trace_rows["E.V"].read(0, 100)
    value[42, 1] = np.nextafter(value[42, 1], 0.0)
    value[50] = np.nan
    changed = replace(other, trace_rows={"E.V": type("R", (), {
        "count": 100, "read": lambda self, a, b: (step[a:b], value[a:b])})()})  # fmt: skip
    event = runs.difference(whole, changed).sample
    assert (event.step, event.path, event.id) == (430, "E.V", 1)
    assert runs.difference(changed, changed).is_same, "NaN is itself"


def test_what_one_has_not_recorded_is_said(a, tmp_path, capsys):
    b = written.run(tmp_path / "b", header=replace(written.HEADER, traces={}))
    assert compared(capsys, a, b, 1)["only"] == [["E.V"], []]


def test_runs_of_other_networks_or_times_are_not_compared(a, tmp_path):
    one = load(a)
    for header in (replace(one.header, dt=0.2), replace(one.header, sizes={"E": 81, "I": 20})):
        with pytest.raises(RecordError, match=r"different networks: (dt|sizes)"):
            runs.difference(one, replace(one, header=header))
    with pytest.raises(RecordError, match="none in common"):
        runs.difference(one, replace(one, start=2000, stop=3000))


# --- checkpoints ---------------------------------------------------------------------------------


def test_states_that_are_the_same(tmp_path, capsys):
    a, b = (written.checkpoint(tmp_path / name) for name in "ab")
    assert compared(capsys, a, b, 0) == {
        "a": str(a), "b": str(b), "is_same": True, "step": 500, "about": {}, "fields": [],
    }  # fmt: skip


def test_the_first_number_that_differs_and_by_how_much(tmp_path, capsys):
    def change(name, fields):
        if name == "cells/I":
            fields["state.V"][[7, 12]] += 0.25, -2.0
            fields["arrivals.0"][5, 3] += 100
        return fields

    a = written.checkpoint(tmp_path / "a")
    b = written.checkpoint(tmp_path / "b", change=change, of={**written.OF, "seed": "8"})
    found = compared(capsys, a, b, 1)
    assert found["about"] == {"seed": ["7", "8"]}
    arrivals, V = found["fields"]
    assert (arrivals["table"], arrivals["field"], arrivals["key"]) == ("cells/I", "arrivals.0", 5)
    assert arrivals["rows"] == 1 and arrivals["largest"] == 100.0
    assert (V["field"], V["key"], V["rows"], V["of"], V["largest"]) == ("state.V", 7, 2, 20, 2.0)
    assert V["values"][1] - V["values"][0] == 0.25
    assert main(["diff", str(a), str(b)]) == 1
    assert "cells/I state.V: 2 of 20 rows, the first of neuron 7" in capsys.readouterr().out


def test_the_last_bit_counts(tmp_path):
    def change(name, fields):
        return {field: np.where(x == 0, -0.0, x) if field == "state.V" else x
                for field, x in zero(name, fields).items()}  # fmt: skip

    def zero(name, fields):
        return {**fields, "state.V": np.zeros(80)} if name == "cells/E" else fields

    a = written.checkpoint(tmp_path / "a", change=zero)
    b = written.checkpoint(tmp_path / "b", change=change)
    (field,) = states.difference(Stored(a), Stored(b)).fields
    assert (field.rows, field.largest) == (80, 0.0)


def test_how_many_parts_wrote_it_does_not_matter(tmp_path):
    whole = written.tables()
    parts = [[(name, Columns(key[key % 2 == k], {f: x[key % 2 == k] for f, x in fields.items()}))
              for name, (key, fields) in whole] for k in range(2)]  # fmt: skip
    one = written.checkpoint(tmp_path / "one")
    two = tmp_path / "two/step-000000000500"
    two.mkdir(parents=True)
    said = [writing._write_part(two / f"part-{k:04}.h5", tables) for k, tables in enumerate(parts)]
    about = {"of": written.OF, "made_by": {}, "changes": [], "counters": written.COUNTERS}
    content = {"format": 1, "step": 500, "parts": said, **about}
    (two / "manifest.json").write_text(json.dumps({**content, "sha256": writing.digest(content)}))
    Stored(two).verify(World())
    assert states.difference(Stored(one), Stored(two)).is_same
    assert states.difference(Stored(two), Stored(one)).is_same


def test_states_of_other_steps_or_networks_are_not_compared(tmp_path, capsys):
    a = written.checkpoint(tmp_path / "a")
    later = written.checkpoint(tmp_path / "b", 600)
    assert main(["diff", str(a), str(later)]) == 2
    assert "is of step 500 and" in capsys.readouterr().err
    other = {
        "rows": lambda name, fields: {f: x[:-1] for f, x in fields.items()},
        "type": lambda name, fields: {f: x.astype(np.float32) for f, x in fields.items()},
        "field": lambda name, fields: {f"{f}x": x for f, x in fields.items()},
    }
    for name in ("type", "field"):
        b = written.checkpoint(tmp_path / name, change=other[name])
        with pytest.raises(CheckpointError, match=r"cells/E.*Give checkpoints of one network"):
            states.difference(Stored(a), Stored(b))


def test_a_run_and_a_checkpoint_are_compared_at_its_step(a, tmp_path, capsys):
    written.checkpoint(a / "checkpoints", 500)
    state = written.checkpoint(tmp_path / "b", 500)
    assert compared(capsys, a, state, 0)["step"] == 500
    assert compared(capsys, state, a, 0)["step"] == 500
    later = written.checkpoint(tmp_path / "b", 600)
    assert main(["diff", str(later), str(a)]) == 2
    assert "no checkpoint of step 600" in capsys.readouterr().err


def test_a_name_that_no_disk_can_have_is_wrong_input(tmp_path, capsys):
    state = written.checkpoint(tmp_path / "b", 500)
    assert main(["diff", str(state), "x" * 300]) == 2
    assert "cannot look for checkpoints in" in capsys.readouterr().err
