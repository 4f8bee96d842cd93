"""Who is connected to whom: the matrix of a projection, and how many synapses neurons have."""

from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from distdyn.errors import RecordError
from distdyn.plot.style import EXCITATORY, GREY, INHIBITORY, INK, Figure, clear, new_figure


def connectivity(
    edges: Any,
    n_pre: int | None = None,
    n_post: int | None = None,
    *,
    max_cells: int = 400,
    title: str | None = None,
) -> Figure:
    """The synapses of a projection: their matrix, and the degrees of both ends.

        dd.plot.connectivity(runner["exc"].edges())

    Small matrices show the weights; where several neurons share a dot, it shows how many synapses
    there are per pair.

    Args:
        edges: with `pre`, `post` and `weight`, as `runner[path].edges()` gives them.
        n_pre: how many neurons the pre end has; by default up to the last with a synapse.
        n_post: of the post end, the same.
        max_cells: of rows and of columns that are shown.
        title: of the page.

    Raises:
        RecordError: there are no neurons, or an index is beyond them.
    """
    pre, post = (np.asarray(x, np.int64) for x in (edges.pre, edges.post))
    n_pre, n_post = _size(pre, n_pre, "pre"), _size(post, n_post, "post")
    is_whole = max(n_pre, n_post) <= max_cells
    matrix = _blocks(pre, post, np.asarray(edges.weight, np.float64), n_pre, n_post, max_cells)
    figure = new_figure(8.0, 5.0)
    grid = figure.add_gridspec(2, 2, width_ratios=(2.2, 1.0))
    axes = figure.add_subplot(grid[:, 0])
    most = float(np.abs(matrix).max(initial=0.0)) or 1.0
    image = axes.imshow(
        matrix, cmap="RdBu" if is_whole else "Blues", vmin=-most if is_whole else 0.0, vmax=most,
        extent=(0, n_post, n_pre, 0), aspect="auto", interpolation="nearest",
    )  # fmt: skip
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("weight" if is_whole else "synapses per pair", fontsize=8.5, color=INK)
    bar.ax.tick_params(labelsize=8)
    axes.set_xlabel("post", fontsize=9, color=INK)
    axes.set_ylabel("pre", fontsize=9, color=INK)
    axes.tick_params(labelsize=8, color=GREY, labelcolor=INK)
    about = f"{len(pre):,} synapses"
    axes.set_title(title or about, loc="left", fontsize=11, fontweight="bold", color=INK)
    ends = ((pre, n_pre, "out-degree", INHIBITORY), (post, n_post, "in-degree", EXCITATORY))
    for row, (end, size, name, color) in enumerate(ends):
        panel = figure.add_subplot(grid[row, 1])
        degree = np.bincount(end, minlength=size)
        panel.hist(degree, bins=min(30, int(np.ptp(degree)) + 1), color=color, alpha=0.8)
        clear(panel)
        panel.spines["bottom"].set_visible(True)
        panel.set_yticks([])
        panel.tick_params(labelsize=8, color=GREY, labelcolor=INK, length=2.5)
        panel.set_title(
            f"{name}: {degree.mean():.4g} ± {degree.std():.3g}", loc="left", fontsize=8.5, color=INK
        )
    return figure


def _size(end: Int64[np.ndarray, "_"], n: int | None, what: str) -> int:
    most = int(end.max(initial=-1)) + 1
    size = most if n is None else n
    if size < 1 or most > size:
        raise RecordError(
            f"plot: connectivity: n_{what} = {size}, but there is a synapse of {most - 1}. Give at "
            f"least {max(1, most)}."
        )
    return size


def _blocks(
    pre: Int64[np.ndarray, "_"],
    post: Int64[np.ndarray, "_"],
    weight: Float64[np.ndarray, "_"],
    n_pre: int,
    n_post: int,
    most: int,
) -> Float64[np.ndarray, "rows columns"]:
    """Summed weights, of each pair; or synapses per pair in blocks of neurons."""
    rows, columns = min(n_pre, most), min(n_post, most)
    matrix = np.zeros((rows, columns))
    is_whole = (rows, columns) == (n_pre, n_post)
    place = pre * rows // n_pre, post * columns // n_post
    np.add.at(matrix, place, weight if is_whole else 1.0)
    if is_whole:
        return matrix
    per_row = np.bincount(np.arange(n_pre) * rows // n_pre)
    per_column = np.bincount(np.arange(n_post) * columns // n_post)
    return matrix / np.outer(per_row, per_column)
