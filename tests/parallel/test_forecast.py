"""What fits costs no forecast; what does not is refused with numbers, of machine or device."""

from types import SimpleNamespace

import pytest

import distdyn as dd
from distdyn.errors import CapacityError
from distdyn.network.network import graph
from distdyn.parallel.launch import World
from distdyn.parallel.plan import forecast
from distdyn.zoo import by_name

CPU = SimpleNamespace(platform="cpu")


def check(network, device=CPU, devices=1):
    given = {"dt": 0.1, "precision": "float32"}
    forecast.check_room(graph(network), World(), [device] * devices, **given)


def gpu(limit):
    return SimpleNamespace(platform="gpu", memory_stats=lambda: limit)


def test_of_a_small_network_no_plan_is_made(monkeypatch):
    monkeypatch.setattr(forecast, "make_plan", None)
    check(by_name("coba")(n=4000))
    check(dd.Network())


def test_the_machine_must_hold_all_parts(monkeypatch):
    monkeypatch.setattr(forecast, "memory_of_this_machine", lambda: 2e9)
    network = by_name("hpc_benchmark")(scale=2.0)
    with pytest.raises(CapacityError, match=r"rank 0 of 1 needs .* but has 2 GB; the largest item"):
        check(network)
    monkeypatch.setattr(forecast, "memory_of_this_machine", lambda: 64e9)
    check(network)


def test_what_is_drawn_again_needs_room_for_its_state_only(monkeypatch):
    """A billion synapses."""

    class Procedural(dd.Network):
        def __init__(self, storage):
            self.E = dd.Population(100_000, dd.LIF())
            self.exc = dd.Projection(
                self.E, self.E, dd.FixedProb(0.1), dd.Exponential(tau=5.0), weight=1.0, delay=1.0,
                storage=storage,
            )  # fmt: skip

    monkeypatch.setattr(forecast, "memory_of_this_machine", lambda: 4e9)
    check(Procedural("procedural"))
    with pytest.raises(CapacityError, match="room for synapses"):
        check(Procedural("stored"))


def test_a_device_must_hold_its_part(monkeypatch):
    monkeypatch.setattr(forecast, "memory_of_this_machine", lambda: 64e9)
    network = by_name("hpc_benchmark")(scale=1.0)
    with pytest.raises(CapacityError, match=r"part of this network needs .* its device has 400 MB"):
        check(network, gpu({"bytes_limit": 4e8}))
    check(network, gpu({"bytes_limit": 4e8}), devices=8)
    check(network, gpu(None))  # a device that does not say
