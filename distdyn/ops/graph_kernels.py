"""Numba kernels that rewire and grow graphs, edge by edge, from keyed random words.

What happens to an edge depends on the edges before it, so every part of a network replays the whole
process; the words of each node, or edge, are a stream of their own (`draw.GRAPH`).
"""

import numpy as np

from distdyn.ops.draw import GRAPH, below, kernel, new_stream, next_word, start_stream

_U = np.uint64


@kernel
def _is_hit(stream, chance):
    """True with probability chance / 2^62."""
    return np.int64(next_word(stream) >> _U(2)) < chance


@kernel
def ring_sources(key, k, chance, n, posts, sources):
    """The k sources of each post neuron: its neighbours on a ring of n, some of them exchanged.

    A neighbour is exchanged with probability chance / 2^62 for one of the neurons that are neither
    the target nor its sources at that moment.
    """
    stream = new_stream(key)
    for i in range(posts.size):
        post, first = posts[i], i * k
        for j in range(k):
            step = j // 2 + 1
            sources[first + j] = (post + (step if j % 2 else -step)) % n
        start_stream(stream, post, 0, GRAPH)
        for j in range(k if k < n - 1 else 0):
            if not _is_hit(stream, chance):
                continue
            while True:
                source, is_new = below(next_word(stream), n), True
                for other in range(k):
                    is_new &= sources[first + other] != source
                if is_new and source != post:
                    break
            sources[first + j] = source


@kernel
def rewire_ring(key, half, chance, n, ends):
    """Rewire the edges of a ring: ends[i * half + j] becomes the other end of node i's edge j.

    Source: Watts and Strogatz (1998), Nature 393, 440: lap by lap, nearest neighbours first.
    """
    stream = new_stream(key)
    degree = np.full(n, 2 * half, np.int64)
    for i in range(n):
        for j in range(half):
            ends[i * half + j] = (i + j + 1) % n
    for j in range(half):
        for i in range(n):
            start_stream(stream, i, j, GRAPH)
            if degree[i] >= n - 1 or not _is_hit(stream, chance):
                continue
            while True:
                other = below(next_word(stream), n)
                if other != i and not _is_edge(ends, half, i, other):
                    break
            degree[ends[i * half + j]] -= 1
            degree[other] += 1
            ends[i * half + j] = other


@kernel
def _is_edge(ends, half, a, b):
    for j in range(half):
        if ends[a * half + j] == b or ends[b * half + j] == a:
            return True
    return False


@kernel
def numbers_of_edges(key, first, m, m2, chance, number):
    """How many edges the nodes from `first` on bring: m with probability chance / 2^62, else m2."""
    stream = new_stream(key)
    for node in range(first, first + number.size):
        start_stream(stream, node, 1, GRAPH)
        number[node - first] = m if _is_hit(stream, chance) else m2


@kernel
def grow(key, core, begin, triangle, young, old):
    """Grow a graph by preferential attachment from a star of node 0 and `core` others.

    Node v > core brings the edges begin[v]:begin[v + 1] to distinct older nodes, each chosen with a
    probability in proportion to the degrees before v came. With `triangle` > 0 an edge after the
    first leads, with probability triangle / 2^62, to a neighbour of the node that was last chosen
    in this way, if it has one that is not yet joined to v.

    Sources: Barabasi and Albert (1999), Science 286, 509; Holme and Kim (2002), Phys. Rev. E 65,
        026107.
    """
    n = begin.size - 1
    stream = new_stream(key)
    for v in range(1, core + 1):
        young[v - 1], old[v - 1] = v, 0
    n_lists = young.size if triangle > 0 else 0
    head = np.full(n if triangle > 0 else 0, -1, np.int32)  # of each node: its last half-edge
    next = np.full(2 * n_lists, -1, np.int32)  # half-edges 2 e and 2 e + 1 leave young and old
    for e in range(begin[core + 1] if triangle > 0 else 0):
        _link(head, next, young, old, e)
    joined = np.zeros(n, np.int32)  # to which node each one was joined last: 0 is never asked about
    for v in range(core + 1, n):
        start_stream(stream, v, 0, GRAPH)
        first, last = begin[v], begin[v + 1]
        chosen = np.int64(-1)
        for e in range(first, last):
            node = np.int64(-1)
            if triangle > 0 and chosen >= 0 and _is_hit(stream, triangle):
                node = _neighbour(stream, head, next, young, old, joined, v, chosen)
            if node < 0:
                while True:
                    half = below(next_word(stream), 2 * first)
                    node = np.int64(old[half >> 1] if half & 1 else young[half >> 1])
                    if joined[node] != v:
                        break
                chosen = node
            joined[node] = v
            young[e], old[e] = v, node
        for e in range(first, last if triangle > 0 else first):
            _link(head, next, young, old, e)


@kernel
def _link(head, next, young, old, e):
    a, b = young[e], old[e]
    next[2 * e], head[a] = head[a], 2 * e
    next[2 * e + 1], head[b] = head[b], 2 * e + 1


@kernel
def _neighbour(stream, head, next, young, old, joined, v, node):
    """A neighbour of the node that is not joined to v yet; -1 if there is none."""
    n_open = 0
    half = head[node]
    while half >= 0:
        other = young[half >> 1] if half & 1 else old[half >> 1]
        n_open += joined[other] != v
        half = next[half]
    if n_open == 0:
        return np.int64(-1)
    turn = below(next_word(stream), n_open)
    half = head[node]
    while True:
        other = young[half >> 1] if half & 1 else old[half >> 1]
        if joined[other] != v:
            if turn == 0:
                return np.int64(other)
            turn -= 1
        half = next[half]


@kernel
def adjacency(a, b, is_both, begin, sources):
    """List the sources of each node: those of edge e are a[e] of b[e], and if both, b[e] of a[e].

    Written: begin[v]:begin[v + 1] are the places in `sources` of those of node v, in the order of
    edges.
    """
    n = begin.size - 1
    begin[:] = 0
    for e in range(a.size):
        begin[b[e] + 1] += 1
        if is_both:
            begin[a[e] + 1] += 1
    for v in range(n):
        begin[v + 1] += begin[v]
    cursor = begin.copy()
    for e in range(a.size):
        sources[cursor[b[e]]] = a[e]
        cursor[b[e]] += 1
        if is_both:
            sources[cursor[a[e]]] = b[e]
            cursor[a[e]] += 1
