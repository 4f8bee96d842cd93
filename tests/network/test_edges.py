"""Edges from lists, matrices and files, and the values that they bring."""

import numpy as np
import pytest
from scipy import sparse

import distdyn as dd
from distdyn.errors import DelayError, RuleError, WeightError
from tests.network.toys import Cell, Decay

A = np.array([[0.0, 2.0, 0.0], [-1.5, 0.0, 4.0]])
PAIRS = [(0, 1), (1, 0), (1, 2)]


def pairs(edges):
    return list(zip(edges.pre.tolist(), edges.post.tolist(), strict=True))


def project(rule, n_pre=2, n_post=3, **values):
    pre, post = dd.Population(n_pre, Cell()), dd.Population(n_post, Cell())
    return dd.Projection(pre, post, rule, Decay(), **({"delay": 1.0} | values))


@pytest.mark.parametrize(
    "make", [np.asarray, np.ndarray.tolist, sparse.csr_array, sparse.csc_matrix, sparse.lil_array]
)
def test_entries_of_a_matrix_are_edges_with_weights(make):
    edges = dd.Edges.from_matrix(make(A))
    assert sorted(pairs(edges)) == PAIRS and edges.delay is None
    dense = np.zeros((2, 3))
    dense[edges.pre, edges.post] = edges.weight
    assert np.array_equal(dense, A)
    projection = project(edges)
    assert np.array_equal(projection.weight, edges.weight)
    assert np.array_equal(projection.matrix(1, path="p").todense(), A)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array])
def test_truth_values_say_who_is_connected(make):
    edges = dd.Edges.from_matrix(make(A) != 0)
    assert pairs(edges) == PAIRS and edges.weight is None
    assert project(edges, weight=3.0).weight == 3.0
    with pytest.raises(WeightError, match=r"weight = None: give a number"):
        project(edges)


def test_integers_are_weights():
    edges = dd.Edges.from_matrix((A * 2).astype(np.int8))
    assert edges.weight.tolist() == [4.0, -3.0, 8.0] and edges.weight.dtype == np.float64


def test_stored_entries_of_a_sparse_matrix_are_edges():
    """Zeros that are stored, and pairs that are stored twice, are what they are."""
    row, column = [1, 0, 1, 1], [2, 1, 2, 0]
    edges = dd.Edges.from_matrix(sparse.coo_array(([1.0, 0.0, 5.0, 2.0], (row, column)), (2, 3)))
    assert pairs(edges) == [(1, 2), (0, 1), (1, 2), (1, 0)]
    assert edges.weight.tolist() == [1.0, 0.0, 5.0, 2.0]


def test_weights_are_given_once():
    with pytest.raises(WeightError, match=r"weight = 1.0 is given, but the edges bring theirs"):
        project(dd.Edges.from_matrix(A), weight=1.0)
    with pytest.raises(DelayError, match=r"delay = 1.0 is given, but the edges bring theirs"):
        project(dd.Edges([0], [0], delay=[2.0]), weight=1.0)
    assert project(dd.Edges([0], [0], delay=[2.0]), weight=1.0, delay=None).delay.tolist() == [2.0]


@pytest.mark.parametrize(
    "matrix",
    [np.zeros(3), np.zeros((2, 3, 1)), np.zeros((2, 3), complex), np.array([["a"]]), 1.0, None],
)
def test_what_is_no_matrix(matrix):
    with pytest.raises(RuleError, match="Give real numbers or truth values of shape"):
        dd.Edges.from_matrix(matrix)


def test_a_matrix_fits_its_ends():
    for n_pre, n_post in ((3, 2), (2, 4), (3, 3)):
        with pytest.raises(RuleError, match=rf"shape \(2, 3\), but joins {n_pre} pre to {n_post}"):
            project(dd.Edges.from_matrix(A), n_pre, n_post)
    with pytest.raises(WeightError, match=r"weight\[1\] = nan"):
        project(dd.Edges.from_matrix(np.where(A == -1.5, np.nan, A)))
    with pytest.raises(RuleError, match="weight is an array of shape"):
        dd.Edges([0, 1], [1, 0], weight=[1.0])


# --- files ---------------------------------------------------------------------------------------


def test_a_table_of_edges(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("post, delay,pre,weight\n1,1.5,0,2.0\n0,0.5,1,-1.5\n2,1,1,4\n")
    edges = dd.Edges.from_file(path)
    assert pairs(edges) == PAIRS
    assert edges.weight.tolist() == [2.0, -1.5, 4.0] and edges.delay.tolist() == [1.5, 0.5, 1.0]
    projection = project(edges, delay=None)
    assert projection.delay.tolist() == [1.5, 0.5, 1.0]
    path.write_text("pre,post\n1,2\n")
    edges = dd.Edges.from_file(str(path))
    assert pairs(edges) == [(1, 2)] and edges.weight is edges.delay is None


def test_arrays_of_edges(tmp_path):
    path = tmp_path / "edges.npz"
    np.savez(path, pre=np.array([0, 1], np.uint8), post=[2, 1], weight=np.float32([1.0, 0.5]))
    edges = dd.Edges.from_file(path)
    assert pairs(edges) == [(0, 2), (1, 1)] and edges.weight.tolist() == [1.0, 0.5]


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.coo_matrix])
def test_a_matrix_in_a_file(tmp_path, make):
    sparse.save_npz(tmp_path / "matrix.npz", make(A))
    edges = dd.Edges.from_file(tmp_path / "matrix.npz")
    assert pairs(edges) == PAIRS and edges.weight.tolist() == [2.0, -1.5, 4.0]
    assert edges.shape == (2, 3)


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("none.csv", None, "No such file"),
        ("none.npz", None, "No such file"),
        ("edges.txt", "pre,post\n", "the format '.txt' is unknown. Use .csv or .npz"),
        ("a.csv", "from,to\n0,1\n", "the columns are from, to"),
        ("b.csv", "pre,post,pre\n0,1,0\n", "the columns are pre, post, pre"),
        ("c.csv", "pre,post\n0,1.5\n", "cannot be read"),
        ("d.csv", "pre,post,weight\n0,1\n", "cannot be read"),
        ("e.csv", "", "the columns are"),
        ("f.npz", "text", "cannot be read"),
    ],
)
def test_files_that_hold_something_else(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(RuleError, match=rf"Edges.from_file\('.*{name}'\): .*{message}"):
        dd.Edges.from_file(tmp_path / name)


@pytest.mark.parametrize("row", ["-1,0,1.0", "0,3,1.0", "0,1,nan"])
def test_what_a_file_names_is_checked(tmp_path, row):
    path = tmp_path / "edges.csv"
    path.write_text(f"pre,post,weight\n0,0,1.0\n{row}\n")
    with pytest.raises((RuleError, WeightError), match=r"\[1\] = (-1|3|nan)"):
        project(dd.Edges.from_file(path))


def test_a_runner_has_the_edges_of_a_matrix():
    class Net(dd.Network):
        def __init__(self):
            self.E = dd.Population(3, dd.LIF())
            matrix = np.array([[0.0, 2.0, 0.0], [-1.5, 0.0, 4.0], [0.0, 0.0, 1.0]])
            rule = dd.Edges.from_matrix(matrix)
            self.p = dd.Projection(self.E, self.E, rule, dd.Delta(), delay=1.0)

    runner = dd.DSRunner(Net(), dt=0.1)
    edges = runner["p"].edges()
    assert edges.pre.tolist() == [0, 1, 1, 2] and edges.post.tolist() == [1, 0, 2, 2]
    assert edges.weight.tolist() == [2.0, -1.5, 4.0, 1.0]
    runner["p"].weight = np.array([1.0, 2.0, 3.0, 4.0])
    assert runner["p"].edges().weight.tolist() == [1.0, 2.0, 3.0, 4.0]
