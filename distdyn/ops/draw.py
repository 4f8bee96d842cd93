"""Numba kernels that draw connectivity, from random words to the rows of the table.

A draw cell is one row and one block of the other end. Every draw is keyed by what it is for: the
Philox counter is (row or node, block or row, k, purpose), so any rows and blocks can be asked for
alone. All decisions are made on integers, but for counts above 4096 (see `_half_binomial`), so
that another processor with the same counters draws the same synapses.

Binomial and hypergeometric numbers come from fair coins: the binary digits of the probability are
compared with the coins of all trials at once, and 64 coins are tossed by counting the bits of one
word. That is exact for any probability that is a ratio of integers.

The k-th synapse of a cell owns the Philox words (row, block, k, SYNAPSE): the first makes its
weight, the second its delay, the others its target where targets may repeat.

All kernels are in this file because Numba's cache of a kernel sees changes in its own file only.
They take plain tuples, not named ones: the cache would hold on to names that may change.
"""

import math

import numpy as np
from numba import njit

from distdyn.ops.cache import cached
from distdyn.ops.values import GUIDE_BITS, KNOT_BITS, UNIT_BITS

# Purposes: the last word of every counter. Two draws of one stream never share a counter.
# As np.int64: Numba would compile its functions once more for each literal.
SYNAPSE, TARGETS, COUNT, SPLIT_BLOCKS, SPLIT_ROWS, PAIR, SOURCES, CHOICE, GRAPH = np.arange(9)

# A stream of random words is an array: key, counter, and the words drawn but not used.
KEY0, KEY1, WORD0, WORD1, PURPOSE, NEXT, SPARE, HAS_SPARE, COINS, N_COINS = range(10)

MOST_COINS = 4096  # above, tossing every coin costs more than rejection
FEW = 8  # up to so many are placed one by one instead of split further
MOST_PLACES = 1 << 48  # ... among so many: 64 random bits choose one uniformly to 2^-16
NARROW = 1 << 16  # below, 32 random bits make a target uniform to 2^-16 of its probability

_U = np.uint64
_M0, _M1 = _U(0xD2511F53), _U(0xCD9E8D57)
_W0, _W1 = _U(0x9E3779B9), _U(0xBB67AE85)
_LOW, _HALF = _U(0xFFFFFFFF), _U(32)
_ZERO, _ONE = _U(0), _U(1)
_NONE = np.int64(0)
_LAST_CELL = (1 << KNOT_BITS) - 1
_COARSE, _FINE = 32 - KNOT_BITS, 32 - 2 * KNOT_BITS  # bits of a word below the cell


kernel = cached(njit, nogil=True)
# loops over philox vectorise only when it is inlined
inlined = cached(njit, nogil=True, forceinline=True)


@inlined
def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 (`distdyn.random.philox`) on words held in uint64, which vectorise better."""
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0, c1, c2, c3


# --- streams -------------------------------------------------------------------------------------


@kernel
def new_stream(key):
    """The state of a stream of random words."""
    stream = np.zeros(10, np.uint64)
    stream[KEY0] = key[0]
    stream[KEY1] = key[1]
    return stream


@inlined
def start_stream(stream, word0, word1, purpose):
    """Begin the random words of one draw."""
    stream[WORD0] = _U(word0)
    stream[WORD1] = _U(word1)
    stream[PURPOSE] = _U(purpose)
    stream[NEXT] = _ZERO
    stream[HAS_SPARE] = _ZERO
    stream[N_COINS] = _ZERO


@kernel
def next_word(stream):
    """64 random bits."""
    if stream[HAS_SPARE] != _ZERO:
        stream[HAS_SPARE] = _ZERO
        return stream[SPARE]
    a, b, c, d = philox(
        stream[WORD0], stream[WORD1], stream[NEXT], stream[PURPOSE], stream[KEY0], stream[KEY1]
    )
    stream[NEXT] += _ONE
    stream[SPARE] = (c << _HALF) | d
    stream[HAS_SPARE] = _ONE
    return (a << _HALF) | b


@inlined
def ones(x):
    """The number of bits that are set; LLVM makes one instruction of it."""
    x = x - ((x >> _ONE) & _U(0x5555555555555555))
    x = (x & _U(0x3333333333333333)) + ((x >> _U(2)) & _U(0x3333333333333333))
    x = (x + (x >> _U(4))) & _U(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * _U(0x0101010101010101)) >> _U(56))


@inlined
def below(word, n):
    """A number in 0 ... n - 1, n < 2^32, from 64 random bits: the high half of word * n."""
    n = _U(n)
    return np.int64(((word >> _HALF) * n + (((word & _LOW) * n) >> _HALF)) >> _HALF)


# --- samplers ------------------------------------------------------------------------------------


@kernel
def heads(stream, n):
    """How many of n fair coins show heads."""
    if n > MOST_COINS:
        return _half_binomial(stream, n)
    count = np.int64(0)
    if n >= 128:  # two words at a time, apart from the rest so that the loop vectorises
        k0, k1, c0, c1 = stream[KEY0], stream[KEY1], stream[WORD0], stream[WORD1]
        first, purpose = stream[NEXT], stream[PURPOSE]
        for i in range(n >> 7):
            a, b, c, d = philox(c0, c1, first + _U(i), purpose, k0, k1)
            count += ones((a << _HALF) | b) + ones((c << _HALF) | d)
        stream[NEXT] += _U(n >> 7)
        n &= 127
    if n >= 64:
        count += ones(next_word(stream))
        n -= 64
    if n > 0:
        if np.int64(stream[N_COINS]) < n:
            stream[COINS] = next_word(stream)
            stream[N_COINS] = _U(64)
        coins = stream[COINS]
        count += ones(coins & ((_ONE << _U(n)) - _ONE))
        stream[COINS] = coins >> _U(n)
        stream[N_COINS] -= _U(n)
    return count


@kernel
def _half_binomial(stream, n):
    """Binomial(n, 1/2) for large n: transformed rejection with squeeze.

    Exact but for the rounding of the acceptance test, below 1e-6 even at n = 2^62.

    Source: Hormann (1993), J. Stat. Comput. Simul. 46, 101, algorithm BTRS.
    """
    sd = math.sqrt(n) / 2
    b = 1.15 + 2.53 * sd
    a = -0.0873 + 0.0248 * b + 0.005
    alpha = (2.83 + 5.1 / b) * sd
    squeeze = 0.92 - 4.2 / b
    mode = _log_half(n, float((n + 1) // 2))
    while True:
        u = (float(next_word(stream) >> _U(11)) + 0.5) * 2.0**-53 - 0.5
        v = (float(next_word(stream) >> _U(11)) + 0.5) * 2.0**-53
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + n / 2 + 0.5)
        if us >= 0.07 and v <= squeeze:
            return np.int64(k)
        # Beyond these limits lie more than 32 standard deviations.
        if k < 0.25 * n or k > 0.75 * n:
            continue
        if math.log(v * alpha / (a / (us * us) + b)) <= _log_half(n, k) - mode:
            return np.int64(k)


@kernel
def _log_half(n, k):
    """Logarithm of Binomial(n, 1/2) at k but for a constant, by Stirling's series; n is large."""
    shift = (2 * k - n) / n
    rest = n - k
    series = 1 / (12 * k) - 1 / (360 * k**3) + 1 / (12 * rest) - 1 / (360 * rest**3)
    return -((k + 0.5) * math.log1p(shift) + (rest + 0.5) * math.log1p(-shift) + series)


@kernel
def binomial(stream, n, a, b):
    """How many of n trials succeed when each does with probability a / b, 0 <= a <= b <= 2^62.

    A trial is a random number whose binary digits are coins; it succeeds when the number is below
    a / b. `open` counts the trials whose digits have agreed with those of a / b so far.
    """
    if a == 0 or n == 0:
        return np.int64(0)
    if a == b:
        return np.int64(n)
    successes = np.int64(0)
    open = np.int64(n)
    rest = a
    while open > 0 and rest > 0:
        rest += rest
        zeros = heads(stream, open)
        if rest >= b:  # the digit is 1: a 0 is below
            rest -= b
            successes += zeros
            open -= zeros
        else:  # the digit is 0: a 1 is above
            open = zeros
    return successes


@kernel
def hypergeometric(stream, k, a, n):
    """How many of k draws without replacement out of n are among a marked ones.

    Many draws: take each of the n with probability k / n, then add or remove one at a time until
    there are k. The set so made is uniform among the sets of k.
    """
    is_complement = 2 * k > n
    if is_complement:
        k = n - k
    x = _few_or_many(stream, k, a, n)
    return a - x if is_complement else x


@kernel
def _few_or_many(stream, k, a, n):
    if k < 16 or (k * 64 < n and n <= MOST_COINS):
        marked = np.int64(0)
        for i in range(k):
            marked += binomial(stream, 1, a - marked, n - i)
        return marked
    x = binomial(stream, a, k, n)
    y = binomial(stream, n - a, k, n)
    while x + y > k:
        x_goes = binomial(stream, 1, x, x + y)
        x -= x_goes
        y -= 1 - x_goes
    while x + y < k:
        x_comes = binomial(stream, 1, a - x, n - x - y)
        x += x_comes
        y += 1 - x_comes
    return x


@kernel
def distinct(stream, count, n, bitmap, out, at):
    """Write `count` distinct numbers of 0 ... n - 1 in ascending order to out[at:]."""
    words = (n + 63) >> 6
    for w in range(words):
        bitmap[w] = _ZERO
    is_complement = 2 * count > n
    missing = n - count if is_complement else count
    word, is_half = _ZERO, False
    while missing > 0:
        if n > NARROW:
            i = below(next_word(stream), n)
        else:
            word = word << _HALF if is_half else next_word(stream)
            is_half = not is_half
            i = np.int64(((word >> _HALF) * _U(n)) >> _HALF)
        bit = _ONE << _U(i & 63)
        if bitmap[i >> 6] & bit == _ZERO:
            bitmap[i >> 6] |= bit
            missing -= 1
    list_bits(bitmap, n, is_complement, out, _U(at))


# --- splits --------------------------------------------------------------------------------------


@inlined
def _places_before(leaf, cum, uniform, excluded):
    """Places of the leaves before this one; `excluded` (sorted) are leaves that have one fewer."""
    before = cum[leaf] if cum.size else leaf * uniform
    return before - _count_below(excluded, leaf) if excluded.size else before


@inlined
def _count_below(numbers, limit):
    """How many of these sorted numbers are below the limit."""
    low, high = 0, numbers.size
    while low < high:
        middle = (low + high) >> 1
        if numbers[middle] < limit:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def split(stream, total, leaves, n_leaves, cum, uniform, excluded, multapses, other, purpose, out):
    """Split a total over leaves in proportion to their places, by a binary tree of draws.

    Leaf i has cum[i + 1] - cum[i] places (`uniform` ones where `cum` is empty). With multapses a
    place is taken any number of times (binomial), without at most once (hypergeometric). A node
    spans an aligned power of two of leaves and draws from its own stream (node, other, purpose),
    so only the ancestors of the `leaves` asked for (sorted) are visited. A node with few draws
    places them itself.
    """
    taken = np.empty(FEW, np.int64)
    width = 1
    while width < n_leaves:
        width *= 2
    stack = np.empty((64, 6), np.int64)
    depth = 0
    node, left, count = np.int64(1), np.int64(0), np.int64(total)
    first, last = np.int64(0), np.int64(leaves.size)  # leaves[first:last] lie in the node
    while True:
        if count == 0 or first == last or width == 1:
            for i in range(first, last):
                out[i] = count
            if depth == 0:
                return
            depth -= 1
            node, left, width = stack[depth, 0], stack[depth, 1], stack[depth, 2]
            count, first, last = stack[depth, 3], stack[depth, 4], stack[depth, 5]
            continue
        stop = min(left + width, n_leaves)
        places = _places_before(stop, cum, uniform, excluded)
        places -= _places_before(left, cum, uniform, excluded)
        start_stream(stream, node, other, purpose)
        if count <= FEW and width > 2 and places < MOST_PLACES:
            for i in range(first, last):
                out[i] = 0
            _choose(stream, count, places, multapses, taken)
            for i in range(count):
                leaf = _leaf_of(taken[i], left, stop, cum, uniform, excluded)
                at = _first_from(leaves, leaf, first, last)
                if at < last and leaves[at] == leaf:
                    out[at] += 1
            first = last  # done with this node
            continue
        width >>= 1
        middle = left + width
        share = count
        if middle < stop:
            mark = _places_before(middle, cum, uniform, excluded)
            mark -= _places_before(left, cum, uniform, excluded)
            if multapses:
                share = binomial(stream, count, mark, places)
            else:
                share = hypergeometric(stream, count, mark, places)
        cut = _first_from(leaves, middle, first, last)
        stack[depth, 0], stack[depth, 1], stack[depth, 2] = 2 * node + 1, middle, width
        stack[depth, 3], stack[depth, 4], stack[depth, 5] = count - share, cut, last
        depth += 1
        node, count, last = 2 * node, share, cut


@kernel
def _choose(stream, count, n, multapses, taken):
    """Choose some of n places."""
    i = 0
    while i < count:
        taken[i] = _high_product(next_word(stream), _U(n))
        is_new = True
        if not multapses:
            for j in range(i):
                is_new &= taken[j] != taken[i]
        i += 1 if is_new else 0


@inlined
def _high_product(a, b):
    """The high 64 bits of the product of two 64-bit numbers."""
    a1, a0, b1, b0 = a >> _HALF, a & _LOW, b >> _HALF, b & _LOW
    middle = a1 * b0 + ((a0 * b0) >> _HALF)
    return np.int64(a1 * b1 + (middle >> _HALF) + ((a0 * b1 + (middle & _LOW)) >> _HALF))


@inlined
def _leaf_of(place, low, high, cum, uniform, excluded):
    """The leaf in low ... high - 1 that has this place, counted from the first of `low`."""
    place += _places_before(low, cum, uniform, excluded)
    while high - low > 1:
        center = (low + high) >> 1
        if _places_before(center, cum, uniform, excluded) <= place:
            low = center
        else:
            high = center
    return low


@inlined
def _first_from(leaves, middle, first, last):
    """The first index in first ... last whose leaf is not below `middle`."""
    high = min(last, first + max(0, middle - leaves[first]))  # the answer when nothing is left out
    if high == first or leaves[high - 1] < middle:
        return high
    low = first
    while low < high:
        center = (low + high) >> 1
        if leaves[center] < middle:
            low = center + 1
        else:
            high = center
    return low


# --- counts of cells -----------------------------------------------------------------------------
# counts[b, r] belongs to block blocks[b] and row first_row + r; own[r] is the place of the row's
# own neuron in the other end where that is excluded, else -1.


@kernel
def bernoulli_counts(key, p, table, first_row, own, blocks, block_start, counts):
    """Every pair is connected with probability p / 2^62; `table` is `values.Binomials`."""
    stream = new_stream(key)
    row_of, length, threshold = table
    k0, k1 = key
    words = np.empty(own.size, np.uint64)
    for b in range(blocks.size):
        block = blocks[b]
        start, stop = block_start[block], block_start[block + 1]
        for r in range(own.size):
            high, low, _, _ = philox(_U(first_row + r), _U(block), _ZERO, _U(COUNT), k0, k1)
            words[r] = (high << _HALF) | low
        for r in range(own.size):
            n = stop - start - (1 if start <= own[r] < stop else 0)
            row = row_of[n]
            if row >= 0:
                counts[b, r] = tabulated(words[r], threshold, row, length[row])
            else:
                start_stream(stream, first_row + r, block, COUNT)
                counts[b, r] = binomial(stream, n, p, np.int64(1 << 62))


@kernel
def toss_cells(key, row, blocks, n, words):
    """The words that `bernoulli_counts` tabulates, of the first n of some blocks of one row."""
    k0, k1 = key
    for b in range(n):
        high, low, _, _ = philox(_U(row), _U(blocks[b]), _ZERO, _U(COUNT), k0, k1)
        words[b] = (high << _HALF) | low


@inlined
def tabulated(word, threshold, row, length):
    """How many thresholds of a row are not above the word."""
    if word < threshold[row, 0]:  # most cells of a sparse projection
        return np.int64(0)
    n, row = np.int64(0), _U(row)
    for k in range(_U(length)):  # without a branch, which could not be foreseen
        n += threshold[row, k] <= word
    return n


@kernel
def outdegree_counts(key, n, multapses, first_row, own, blocks, block_start, counts):
    """Every row has n synapses, split over the blocks."""
    stream = new_stream(key)
    share = np.empty(blocks.size, np.int64)
    excluded = np.empty(1, np.int64)
    n_blocks = block_start.size - 1
    for r in range(own.size):
        n_excluded = 0
        if own[r] >= 0:
            excluded[0] = _count_below(block_start, own[r] + 1) - 1
            n_excluded = 1
        split(
            stream, n, blocks, n_blocks, block_start, _NONE, excluded[:n_excluded], multapses,
            first_row + r, SPLIT_BLOCKS, share,
        )  # fmt: skip
        for b in range(blocks.size):
            counts[b, r] = share[b]


@kernel
def total_counts(
    key, n, multapses, rows, n_rows, blocks, block_start, self_rows, self_start, counts
):
    """A total of n synapses: split over the blocks, then in each block over the rows.

    The rows whose autapse is excluded in block b are self_rows[self_start[b]:self_start[b + 1]].
    """
    stream = new_stream(key)
    n_blocks = block_start.size - 1
    places = np.empty(n_blocks + 1, np.int64)
    for block in range(n_blocks + 1):
        places[block] = n_rows * block_start[block] - self_start[block]
    nothing = np.empty(0, np.int64)
    share = np.empty(blocks.size, np.int64)
    split(
        stream, n, blocks, n_blocks, places, _NONE, nothing, multapses, _NONE, SPLIT_BLOCKS, share
    )
    for b in range(blocks.size):
        block = blocks[b]
        size = block_start[block + 1] - block_start[block]
        excluded = self_rows[self_start[block] : self_start[block + 1]]
        split(
            stream, share[b], rows, n_rows, nothing, size, excluded, multapses,
            block, SPLIT_ROWS, counts[b],
        )  # fmt: skip


# --- sources of post neurons ---------------------------------------------------------------------


@kernel
def indegree_sources(key, n, multapses, posts, own, n_pre, sources):
    """Write the n sources of each post neuron; own[i] is its own place in the pre end, or -1."""
    stream = new_stream(key)
    bitmap = np.empty((n_pre + 63) >> 6, np.uint64)
    k0, k1 = key
    for i in range(posts.size):
        n_open = n_pre - (1 if own[i] >= 0 else 0)
        hole = own[i] if own[i] >= 0 else n_pre
        at = i * n
        if multapses:
            post = _U(posts[i])
            for k in range(n):
                _, _, c, d = philox(post, _ZERO, _U(k), _U(PAIR), k0, k1)
                source = below((c << _HALF) | d, n_open)
                sources[at + k] = source + (1 if source >= hole else 0)
        else:
            start_stream(stream, posts[i], 0, SOURCES)
            distinct(stream, n, n_open, bitmap, sources, at)
            for k in range(at, at + n):
                sources[k] += 1 if sources[k] >= hole else 0


@kernel
def choose_pairs(key, posts, sources, chance, chosen):
    """Whether each pair is chosen, which it is with probability chance[i] / 2^62."""
    k0, k1 = key
    for i in range(posts.size):
        a, b, _, _ = philox(_U(posts[i]), _ZERO, _U(sources[i]), _U(CHOICE), k0, k1)
        chosen[i] = np.int64(((a << _HALF) | b) >> _U(2)) < chance[i]


# --- values and rows -----------------------------------------------------------------------------


@inlined
def delay_index(word, threshold, guide):
    """The delay of a word, counted from the shortest."""
    i = np.int64(guide[word >> _U(32 - GUIDE_BITS)])
    while threshold[i] <= word:
        i += 1
    return i


@kernel
def delay_indices(words, n, threshold, guide, out):
    """`delay_index` of n words: a pass that looks once, and one for those that it misses."""
    for i in range(_U(n)):
        word = _U(words[i])
        first = _U(guide[word >> _U(32 - GUIDE_BITS)])
        out[i] = first + (_ONE if threshold[first] <= word else _ZERO)
    for i in range(_U(n)):
        while threshold[_U(out[i])] <= _U(words[i]):
            out[i] += 1


@inlined
def weight_of(word, knots):
    """The weight of a word, rounded to nearest, half away from zero."""
    cell = np.int64(word >> _U(_COARSE))
    table, bits = 0, _COARSE
    if cell == 0 or cell == _LAST_CELL:
        table, bits = 1 + (cell >> (KNOT_BITS - 1)), _FINE
        cell = np.int64(word >> _U(_FINE)) & _LAST_CELL
    within = np.int64(word) & ((1 << bits) - 1)
    low, high = np.int64(knots[table, cell]), np.int64(knots[table, cell + 1])
    value = (low << (bits + 1)) + (high - low) * (2 * within + 1)
    shift = bits + 1 + UNIT_BITS
    return (value + (np.int64(1) << (shift - 1)) + (value >> 63)) >> shift


# The cells of one row that are drawn together are the columns of a table, the first of a scratch:
# the block's number, how many synapses, the number k of the first of them, how many places are open
# to them, and the place in the block that is not, or one beyond.
NUMBER, N_SYNAPSES, FIRST, N_OPEN, HOLE = range(5)
RUN = 8  # counters entered at once: one store of a vector, beyond the end of the cell's own


@kernel
def new_scratch(key, most, most_cells, widest):
    """Room to draw so many synapses, in so many cells of blocks so wide."""
    return (
        np.empty((5, most_cells), np.int64),  # cells
        np.empty((3, most + RUN), np.uint32),  # block, k and open places of each Philox counter
        np.empty((4, most), np.uint32),  # the words of each synapse
        np.empty(4 * most, np.uint32),  # words for distinct targets
        np.empty((widest + 63) >> 6, np.uint64),
        np.empty(most, np.int64),  # targets
        new_stream(key),
    )


@inlined
def put_cell(cells, c, block, start, stop, own, count, first):
    """Enter a cell: the block start:stop of the post end, in which own (or -1) is excluded."""
    is_excluded = start <= own < stop
    cells[NUMBER, c] = block
    cells[N_SYNAPSES, c] = count
    cells[FIRST, c] = first
    cells[N_OPEN, c] = stop - start - (1 if is_excluded else 0)
    cells[HOLE, c] = own - start if is_excluded else stop - start


@kernel
def draw_cells(key, row, n_cells, multapses, is_drawn, in_order, scratch):
    """Draw the synapses of some cells of one row: their words, and their targets.

    Args:
        key: the stream of the projection.
        row: the number of the row.
        n_cells: how many cells stand in the scratch.
        multapses: whether targets may repeat; else they are distinct within a cell.
        is_drawn: whether delays or weights are read from the words.
        in_order: whether distinct targets must ascend, as the words count them.
        scratch: of `new_scratch`. Written: words 0 and 1, for weights and delays; targets, counted
            from the first place of their block.

    Returns:
        How many synapses there are.
    """
    cells, counters, words, _, _, target, _ = scratch
    k0, k1 = key
    row, n = _U(row), _ZERO
    for c in range(n_cells if is_drawn or multapses else 0):
        count = _U(cells[N_SYNAPSES, c])
        _enter(counters, n, count, cells[NUMBER, c], cells[FIRST, c], cells[N_OPEN, c])
        n += count
    for i in range(n):
        w, d, t, f = philox(row, _U(counters[0, i]), _U(counters[1, i]), _U(SYNAPSE), k0, k1)
        words[0, i], words[1, i], words[2, i], words[3, i] = w, d, t, f
    if multapses:
        for i in range(n):
            target[i] = below((_U(words[2, i]) << _HALF) | _U(words[3, i]), counters[2, i])
        at = _ZERO
        for c in range(n_cells):
            _leave_out(target, at, _U(cells[N_SYNAPSES, c]), cells[N_OPEN, c], cells[HOLE, c])
            at += _U(cells[N_SYNAPSES, c])
        return np.int64(n)
    _start_words(key, row, n_cells, scratch)
    return _draw_distinct(key, row, n_cells, in_order, scratch)


@inlined
def _enter(counters, at, n, block, first, n_open):
    """Enter the counters of n draws of a block, and beyond them what the next will write over."""
    for start in range(_ZERO, n, _U(RUN)):
        for k in range(_U(RUN)):
            to = at + start + k
            counters[0, to] = block
            counters[1, to] = _U(first) + start + k
            counters[2, to] = n_open


@inlined
def _leave_out(target, at, n, n_open, hole):
    """Make room for the place that is not open."""
    if hole < n_open:
        for i in range(at, at + n):
            target[i] += 1 if target[i] >= hole else 0


@inlined
def words_of(count, n_open):
    """How many Philox counters will mostly do for a cell of distinct targets; at most `count`."""
    missing = min(count, n_open - count)
    square, twice = missing * missing, 2 * n_open
    again = square // twice if square >= twice else 0  # most cells need no division
    return (missing + again + 4) >> 2 if missing else 0


@kernel
def _start_words(key, row, n_cells, scratch):
    """The first words of the streams (row, block, TARGETS) of all cells, in one loop."""
    cells, counters, _, draws, _, _, _ = scratch
    k0, k1 = key
    n = _ZERO
    for c in range(n_cells):
        if cells[N_OPEN, c] <= NARROW:
            more = _U(words_of(cells[N_SYNAPSES, c], cells[N_OPEN, c]))
            _enter(counters, n, more, cells[NUMBER, c], 0, 0)
            n += more
    for i in range(n):
        a, b, c, d = philox(row, _U(counters[0, i]), _U(counters[1, i]), _U(TARGETS), k0, k1)
        at = i << _U(2)
        draws[at], draws[at + _ONE], draws[at + _U(2)], draws[at + _U(3)] = a, b, c, d


@kernel
def _draw_distinct(key, row, n_cells, in_order, scratch):
    """Distinct targets of all cells: the numbers of `distinct`, from words drawn by `_start_words`.

    More words are drawn when those do not suffice. Not in order, the numbers come as they are
    drawn, which saves a pass.
    """
    cells, _, _, draws, bitmap, target, stream = scratch
    more = np.empty(4, np.uint32)
    n, at = _ZERO, _ZERO  # synapses, and words, of the cells before
    for c in range(n_cells):
        count, n_open, hole = cells[N_SYNAPSES, c], cells[N_OPEN, c], cells[HOLE, c]
        if n_open > NARROW:
            start_stream(stream, row, cells[NUMBER, c], TARGETS)
            distinct(stream, count, n_open, bitmap, target, np.int64(n))
        else:
            for w in range((_U(n_open) + _U(63)) >> _U(6)):
                bitmap[w] = _ZERO
            is_complement = 2 * count > n_open
            is_listed = not (in_order or is_complement)
            missing = _U(n_open - count if is_complement else count)
            counter, places, to = _U(words_of(count, n_open)), _U(n_open), n
            first, end = at, at + (counter << _U(2))
            at, used = end, _U(4)
            while missing > _ZERO:
                is_more = first == end
                if is_more and used == _U(4):
                    used = _ZERO
                    more[0], more[1], more[2], more[3] = philox(
                        row, _U(cells[NUMBER, c]), counter, _U(TARGETS), key[0], key[1]
                    )
                    counter += _ONE
                run, before = min(missing, _U(4) - used if is_more else end - first), to
                for i in range(run):
                    word = more[used + i] if is_more else draws[first + i]
                    place = (_U(word) * places) >> _HALF
                    bits, turn = bitmap[place >> _U(6)], place & _U(63)
                    if is_listed:
                        target[to] = place
                    bitmap[place >> _U(6)] = bits | (_ONE << turn)
                    to += ((bits >> turn) & _ONE) ^ _ONE
                used = used + run if is_more else used
                first = end if is_more else first + run
                missing -= to - before
            if not is_listed:
                list_bits(bitmap, n_open, is_complement, target, n)
        _leave_out(target, n, _U(count), n_open, hole)
        n += _U(count)
    return np.int64(n)


@inlined
def list_bits(bitmap, n, is_complement, out, at):
    """Write the numbers of 0 ... n - 1 whose bits are set, or are not, in ascending order."""
    words = (_U(n) + _U(63)) >> _U(6)
    for w in range(words):
        bits = bitmap[w]
        if is_complement:
            bits = ~bits
            if w == words - _ONE and n & 63:
                bits &= (_ONE << _U(n & 63)) - _ONE
        while bits != _ZERO:
            lowest = bits & (_ZERO - bits)
            out[at] = (w << _U(6)) + _U(ones(lowest - _ONE))
            at += _ONE
            bits ^= lowest


@kernel
def fill_cells(
    key, multapses, first_row, own, blocks, block_start, counts,
    delays, knots, post_local, n_target, start, stop, offset, weight,
):  # fmt: skip
    """Draw all synapses of some rows and write those of row r to start[r]:stop[r], by delay.

    Args:
        key: the stream of the projection.
        multapses: whether targets may repeat; else they are distinct within a cell.
        first_row: the number of the first row.
        own: the place in the post end that each row's own neuron has, if excluded, else -1.
        blocks: the numbers of the blocks asked for, ascending.
        block_start: where each block of the post end starts.
        counts: int64[b, r], how many synapses each cell has.
        delays: how delays are drawn, the fields of `values.Delays`.
        knots: how weights are drawn; empty when they are not.
        post_local: the place in the ring of each neuron of the post end.
        n_target: the length of a slot of the ring.
        start: where each row starts in the table.
        stop: where each row ends.
        offset: as in `Rows`; written.
        weight: as in `Rows`; written when `knots` are given.
    """
    most, widest = 0, 0
    for r in range(own.size):
        most = max(most, stop[r] - start[r])
    for block in blocks:
        widest = max(widest, block_start[block + 1] - block_start[block])
    scratch = new_scratch(key, most, blocks.size, widest)
    cells, _, words, _, _, target, _ = scratch
    delay = np.empty(most, np.int64)
    shortest, threshold, guide = delays
    n_delays = threshold.size
    cursor = np.empty(n_delays, np.int64)
    is_drawn = n_delays > 1 or knots.shape[0] > 0
    for r in range(own.size):
        n_cells = 0
        for b in range(blocks.size):
            if counts[b, r] > 0:
                block = blocks[b]
                begin, end = block_start[block], block_start[block + 1]
                put_cell(cells, n_cells, block, begin, end, own[r], counts[b, r], 0)
                n_cells += 1
        n = draw_cells(key, first_row + r, n_cells, multapses, is_drawn, True, scratch)
        at = 0
        for c in range(n_cells):
            begin, count = block_start[cells[NUMBER, c]], cells[N_SYNAPSES, c]
            for i in range(at, at + count):
                target[i] = post_local[begin + target[i]]
            at += count
        for i in range(n_delays):
            cursor[i] = 0
        for i in range(n if n_delays > 1 else 0):
            delay[i] = delay_index(_U(words[1, i]), threshold, guide)
            cursor[delay[i]] += 1
        to = start[r]
        for i in range(n_delays):
            to, cursor[i] = to + cursor[i], to
        for i in range(n):
            d = delay[i] if n_delays > 1 else 0
            to = cursor[d]
            cursor[d] = to + 1
            offset[to] = (shortest + d) * n_target + target[i]
            if knots.shape[0] > 0:
                weight[to] = weight_of(_U(words[0, i]), knots)


@kernel
def count_sources(sources, counts):
    """Add to counts[i] how often i is a source."""
    for source in sources:
        counts[source] += 1


@kernel
def scatter_pairs(
    key, items, begin, pre, target, delays, given_delay, knots, given_weight,
    n_target, cursor, nowhere, offset, weight,
):  # fmt: skip
    """Write listed pairs into the segments of their sources, in the order of the list.

    Synapse k of item i has the Philox words (low half of i, high half of i, k, PAIR).

    Args:
        key: the stream of the projection.
        items: the numbers of the items: post neurons or edges.
        begin: where the synapses of each item begin, and where the last one's end.
        pre: the sources of the synapses, item by item.
        target: the place in the ring of each synapse's target.
        delays: how delays are drawn, the fields of `values.Delays`.
        given_delay: int64, the delay of each synapse, or empty.
        knots: how weights are drawn, or empty.
        given_weight: int32, the weight of each synapse, or empty.
        n_target: the length of a slot of the ring.
        cursor: where the next synapse of each source is written; advanced.
        nowhere: the cursor of a source whose synapses are not written.
        offset: as in `Rows`; written.
        weight: as in `Rows`; written when weights are drawn or given.
    """
    k0, k1 = key
    shortest, threshold, guide = delays
    is_drawn = knots.shape[0] > 0
    for i in range(items.size):
        item = _U(items[i])
        first = begin[i]
        for at in range(first, begin[i + 1]):
            w, d, _, _ = philox(item & _LOW, item >> _HALF, _U(at - first), _U(PAIR), k0, k1)
            if given_delay.size:
                delay = given_delay[at]
            else:
                delay = shortest + delay_index(d, threshold, guide)
            source = pre[at]
            to = np.int64(cursor[source])
            if to == nowhere:
                continue
            cursor[source] = to + 1
            offset[to] = delay * n_target + target[at]
            if is_drawn:
                weight[to] = weight_of(w, knots)
            elif given_weight.size:
                weight[to] = given_weight[at]


@kernel
def sort_segments(begin, end, n_target, offset, weight):
    """Sort each segment begin[i]:end[i] by delay; synapses of one delay keep their order."""
    most = 0
    for segment in range(begin.size):
        most = max(most, end[segment] - begin[segment])
    delay, order = np.empty(most, np.int64), np.empty(most, np.int64)
    offset_buffer, weight_buffer = np.empty(most, offset.dtype), np.empty(most, weight.dtype)
    for segment in range(begin.size):
        low, n = begin[segment], end[segment] - begin[segment]
        is_sorted = True
        for i in range(n):
            delay[i] = offset[low + i] // n_target
            is_sorted &= i == 0 or delay[i] >= delay[i - 1]
        if is_sorted:
            continue
        _stable_order(delay, n, order)
        _permute(offset, low, n, order, offset_buffer)
        if weight.size:
            _permute(weight, low, n, order, weight_buffer)


@inlined
def _permute(array, low, n, order, buffer):
    for i in range(n):
        buffer[i] = array[low + i]
    for i in range(n):
        array[low + i] = buffer[order[i]]


@kernel
def _stable_order(delay, n, order):
    """The indices that sort the first n delays: by insertion when few, by counting when many."""
    if n <= 24:
        for i in range(n):
            at = i
            while at > 0 and delay[order[at - 1]] > delay[i]:
                order[at] = order[at - 1]
                at -= 1
            order[at] = i
        return
    shortest, longest = delay[0], delay[0]
    for i in range(n):
        shortest, longest = min(shortest, delay[i]), max(longest, delay[i])
    cursor = np.zeros(longest - shortest + 2, np.int64)
    for i in range(n):
        cursor[delay[i] - shortest + 1] += 1
    for i in range(1, cursor.size):
        cursor[i] += cursor[i - 1]
    for i in range(n):
        order[cursor[delay[i] - shortest]] = i
        cursor[delay[i] - shortest] += 1
