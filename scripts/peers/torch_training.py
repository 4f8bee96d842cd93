"""A program of PyTorch that trains the classifier, whoever's cells it has."""

import time
from collections.abc import Callable, Generator

import torch

from peers.answering import answer
from peers.classifier import LEARNING_RATE, Sizes, batch, timed

# [step, trial, input] -> the mean potential of each readout, and the part of cells that spike.
Net = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def train(made: Callable[[Sizes, int], torch.nn.Module], scale: float = 1.0) -> None:
    """Answer as a worker.

    Args:
        made: the network, of sizes and a seed.
        scale: how many times larger its weights are than those of the others.
    """

    def prepare(request: dict) -> Generator[dict, dict, None]:
        if request["threads"] is not None:
            torch.set_num_threads(request["threads"])
        is_on_gpu = request["platform"] == "gpu"
        device = torch.device("cuda" if is_on_gpu else "cpu")
        sizes, began = Sizes(*request["sizes"]), time.perf_counter()
        given, target = batch(sizes, request["seed"])
        x = torch.from_numpy(given).to(torch.float32).swapaxes(0, 1).contiguous()
        x, y = x.to(device), torch.from_numpy(target).to(device)
        net = made(sizes, request["seed"]).to(device)
        optimizer = torch.optim.Adam(net.parameters(), scale * LEARNING_RATE)
        loss = torch.nn.CrossEntropyLoss()

        def update() -> float:
            optimizer.zero_grad()
            output, spiking = net(x)
            loss(output, y).backward()
            optimizer.step()
            if is_on_gpu:
                torch.cuda.synchronize()
            return float(spiking)

        spiking = update()
        first = time.perf_counter() - began
        update()  # some programs compile the second anew
        yield from timed(first, spiking, update)

    answer(prepare)
