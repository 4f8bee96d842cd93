"""Messages and waiting as far as one process goes; `tests/mpi` has the ranks."""

import numpy as np
import pytest

from distdyn.errors import ExchangeError, ParameterError
from distdyn.parallel.exchange import messages, waiting
from distdyn.parallel.exchange.messages import Messages, who_needs


class Late:
    """A request that is complete when it has been asked `times` times."""

    def __init__(self, times: float):
        self.times = times

    def Test(self) -> bool:
        self.times -= 1
        return self.times < 0

    @classmethod
    def Testall(cls, requests: list) -> bool:
        return all([request.Test() for request in requests])


def test_the_header_keeps_its_fields_and_the_values_behind_it_are_aligned():
    fields = (2**40, 10_000, 8, True, -3)
    assert messages.HEADER.unpack(messages.HEADER.pack(*fields)) == fields
    assert messages.HEADER.size == 4 * messages.HEAD


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 1000])
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_bits_are_cut_into_pieces_without_loss(n, piece):
    need = np.random.default_rng(n).random(n) < 0.5
    parts = messages._parts(np.packbits(need), piece)
    assert all(0 < len(part) <= piece for part in parts)
    bits = np.concatenate([*parts, np.zeros(0, np.uint8)])
    np.testing.assert_array_equal(np.unpackbits(bits, count=n).view(bool), need)


def test_a_rank_alone_exchanges_nothing():
    alone = Messages(None, [], [])
    assert [alone.swap({}) for _ in range(3)] == [{}, {}, {}]
    assert (alone.exchanges, alone.spikes_sent, alone.spikes_received) == (3, 0, 0)
    assert who_needs(None, {}) == {}


@pytest.mark.parametrize("peers", [[0], [1], [-1]])
def test_peers_that_do_not_exist_are_refused(peers):
    for call in (
        lambda: Messages(None, peers, []),
        lambda: Messages(None, [], peers),
        lambda: who_needs(None, {peer: np.ones(3, bool) for peer in peers}),
    ):
        with pytest.raises(ParameterError, match=r"on rank 0 of 1"):
            call()


def test_capacity_must_be_between_one_and_most():
    with pytest.raises(ParameterError, match=r"capacity 0 is not between 1"):
        Messages(None, [], [], capacity=0)
    with pytest.raises(ParameterError, match=r"most = 16"):
        Messages(None, [], [], capacity=17, most=16)


def test_a_list_for_a_stranger_is_refused_not_lost():
    with pytest.raises(ParameterError, match=r"sends to \[\] only"):
        Messages(None, [], []).swap({1: np.zeros(3, np.int32)})


def test_start_and_finish_take_turns():
    alone = Messages(None, [], [])
    with pytest.raises(ExchangeError, match="not started"):
        alone.finish()
    alone.start({})
    with pytest.raises(ExchangeError, match="not finished"):
        alone.start({})


def test_waiting_ends_when_all_requests_are_complete():
    requests = [Late(0), Late(5000)]
    assert waiting.wait(requests, timeout=60.0) == []
    assert requests[1].times < 0


def test_waiting_names_what_is_late():
    assert waiting.wait([Late(3), Late(np.inf), Late(0)], timeout=0.05) == [1]


def test_waiting_calls_now_and_then_and_ends_with_what_the_call_raises():
    seconds = []
    waiting.wait([Late(np.inf)], timeout=0.3, on_wait=seconds.append)
    assert 2 <= len(seconds) <= 6
    assert sorted(seconds) == seconds

    def interrupt(waited):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        waiting.wait([Late(np.inf)], timeout=60.0, on_wait=interrupt)


def test_time_spent_stopped_is_not_time_waited(monkeypatch):
    """A suspended job goes on where it was: the clock jumps an hour, the peer answers after it."""
    readings = iter([0.0, 1e-3, 3600.0])
    clock = lambda: next(readings, 3600.1)  # noqa: E731
    monkeypatch.setattr(waiting.time, "perf_counter", clock)
    assert waiting.wait([Late(10)], timeout=5.0) == []
