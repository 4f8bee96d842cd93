"""Numba kernels that draw connectivity: samplers, splits of a total, and the counts of cells.

A draw cell is one row and one block of the other end. Every draw is keyed by what it is for: the
Philox counter is (row or node, block or row, k, purpose), so any rows and blocks can be asked for
alone. All decisions are made on integers, but for counts above 4096 (see `_half_binomial`), so
that another processor with the same counters draws the same synapses.

Binomial and hypergeometric numbers come from fair coins: the binary digits of the probability are
compared with the coins of all trials at once, and 64 coins are tossed by counting the bits of one
word. That is exact for any probability that is a ratio of integers.
"""

import math

import numpy as np
from numba import njit

OPTIONS = {"cache": True, "nogil": True}
INLINE = {**OPTIONS, "forceinline": True}  # loops over philox vectorise only when it is inlined

# Purposes: the last word of every counter. Two draws of one stream never share a counter.
# As np.int64: Numba would compile its functions once more for each literal.
SYNAPSE, TARGETS, COUNT, SPLIT_BLOCKS, SPLIT_ROWS, PAIR, SOURCES = np.arange(7)

# A stream of random words is an array: key, counter, and the words drawn but not used.
KEY0, KEY1, WORD0, WORD1, PURPOSE, NEXT, SPARE, HAS_SPARE, COINS, N_COINS = range(10)

MOST_COINS = 4096  # above, tossing every coin costs more than rejection
NARROW = 1 << 16  # below, 32 random bits make a target uniform to 2^-16 of its probability

_U = np.uint64
_M0, _M1 = _U(0xD2511F53), _U(0xCD9E8D57)
_W0, _W1 = _U(0x9E3779B9), _U(0xBB67AE85)
_LOW, _HALF = _U(0xFFFFFFFF), _U(32)
_ZERO, _ONE = _U(0), _U(1)
_NONE = np.int64(0)


@njit(**INLINE)
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


@njit(**OPTIONS)
def new_stream(key):
    """The state of a stream of random words."""
    stream = np.zeros(10, np.uint64)
    stream[KEY0] = key[0]
    stream[KEY1] = key[1]
    return stream


@njit(**INLINE)
def start_stream(stream, word0, word1, purpose):
    """Begin the random words of one draw."""
    stream[WORD0] = _U(word0)
    stream[WORD1] = _U(word1)
    stream[PURPOSE] = _U(purpose)
    stream[NEXT] = _ZERO
    stream[HAS_SPARE] = _ZERO
    stream[N_COINS] = _ZERO


@njit(**OPTIONS)
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


@njit(**INLINE)
def _ones(x):
    """The number of bits that are set; LLVM makes one instruction of it."""
    x = x - ((x >> _ONE) & _U(0x5555555555555555))
    x = (x & _U(0x3333333333333333)) + ((x >> _U(2)) & _U(0x3333333333333333))
    x = (x + (x >> _U(4))) & _U(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * _U(0x0101010101010101)) >> _U(56))


@njit(**INLINE)
def below(word, n):
    """A number in 0 ... n - 1, n < 2^32, from 64 random bits: the high half of word * n."""
    n = _U(n)
    return np.int64(((word >> _HALF) * n + (((word & _LOW) * n) >> _HALF)) >> _HALF)


# --- samplers ------------------------------------------------------------------------------------


@njit(**OPTIONS)
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
            count += _ones((a << _HALF) | b) + _ones((c << _HALF) | d)
        stream[NEXT] += _U(n >> 7)
        n &= 127
    if n >= 64:
        count += _ones(next_word(stream))
        n -= 64
    if n > 0:
        if np.int64(stream[N_COINS]) < n:
            stream[COINS] = next_word(stream)
            stream[N_COINS] = _U(64)
        coins = stream[COINS]
        count += _ones(coins & ((_ONE << _U(n)) - _ONE))
        stream[COINS] = coins >> _U(n)
        stream[N_COINS] -= _U(n)
    return count


@njit(**OPTIONS)
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


@njit(**OPTIONS)
def _log_half(n, k):
    """Logarithm of Binomial(n, 1/2) at k but for a constant, by Stirling's series; n is large."""
    shift = (2 * k - n) / n
    rest = n - k
    series = 1 / (12 * k) - 1 / (360 * k**3) + 1 / (12 * rest) - 1 / (360 * rest**3)
    return -((k + 0.5) * math.log1p(shift) + (rest + 0.5) * math.log1p(-shift) + series)


@njit(**OPTIONS)
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


@njit(**OPTIONS)
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


@njit(**OPTIONS)
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


@njit(**OPTIONS)
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
    for w in range(words):
        bits = bitmap[w]
        if is_complement:
            bits = ~bits
            if w == words - 1 and n & 63:
                bits &= (_ONE << _U(n & 63)) - _ONE
        while bits != _ZERO:
            lowest = bits & (_ZERO - bits)
            out[at] = (w << 6) + _ones(lowest - _ONE)
            at += 1
            bits ^= lowest


# --- splits --------------------------------------------------------------------------------------


@njit(**INLINE)
def _places_before(leaf, cum, uniform, excluded):
    """Places of the leaves before this one; `excluded` (sorted) are leaves that have one fewer."""
    before = cum[leaf] if cum.size else leaf * uniform
    return before - _count_below(excluded, leaf) if excluded.size else before


@njit(**INLINE)
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


@njit(**OPTIONS)
def split(stream, total, leaves, n_leaves, cum, uniform, excluded, multapses, other, purpose, out):
    """Split a total over leaves in proportion to their places, by a binary tree of draws.

    Leaf i has cum[i + 1] - cum[i] places (`uniform` ones where `cum` is empty). With multapses a
    place is taken any number of times (binomial), without at most once (hypergeometric). A node
    spans an aligned power of two of leaves and draws from its own stream (node, other, purpose),
    so only the ancestors of the `leaves` asked for (sorted) are visited.
    """
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
        width >>= 1
        middle = left + width
        share = count
        if middle < n_leaves:
            start = _places_before(left, cum, uniform, excluded)
            mark = _places_before(middle, cum, uniform, excluded) - start
            stop = _places_before(min(middle + width, n_leaves), cum, uniform, excluded) - start
            start_stream(stream, node, other, purpose)
            if multapses:
                share = binomial(stream, count, mark, stop)
            else:
                share = hypergeometric(stream, count, mark, stop)
        cut = _first_from(leaves, middle, first, last)
        stack[depth, 0], stack[depth, 1], stack[depth, 2] = 2 * node + 1, middle, width
        stack[depth, 3], stack[depth, 4], stack[depth, 5] = count - share, cut, last
        depth += 1
        node, count, last = 2 * node, share, cut


@njit(**INLINE)
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


@njit(**OPTIONS)
def bernoulli_counts(key, p, first_row, own, blocks, block_start, counts):
    """Every pair is connected with probability p / 2^62."""
    stream = new_stream(key)
    for b in range(blocks.size):
        block = blocks[b]
        start, stop = block_start[block], block_start[block + 1]
        for r in range(own.size):
            n = stop - start - (1 if start <= own[r] < stop else 0)
            start_stream(stream, first_row + r, block, COUNT)
            counts[b, r] = binomial(stream, n, p, np.int64(1 << 62))


@njit(**OPTIONS)
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


@njit(**OPTIONS)
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
    split(stream, n, blocks, n_blocks, places, _NONE, nothing, multapses, _NONE, SPLIT_BLOCKS, share)
    for b in range(blocks.size):
        block = blocks[b]
        size = block_start[block + 1] - block_start[block]
        excluded = self_rows[self_start[block] : self_start[block + 1]]
        split(
            stream, share[b], rows, n_rows, nothing, size, excluded, multapses,
            block, SPLIT_ROWS, counts[b],
        )  # fmt: skip


# --- sources of post neurons ---------------------------------------------------------------------


@njit(**OPTIONS)
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
