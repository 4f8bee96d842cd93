"""snnTorch trains the classifier, step by step as in its tutorials. Started in PyTorch's Python."""

import math

import snntorch
import torch
from snntorch import surrogate

from peers.classifier import SLOPE, TAU, Sizes, weights
from peers.torch_training import train


class Classifier(torch.nn.Module):
    """A linear layer, recurrent cells, a linear layer, integrators."""

    def __init__(self, sizes: Sizes, seed: int) -> None:
        super().__init__()
        beta = math.exp(-1 / TAU)
        self.enter = torch.nn.Linear(sizes.inputs, sizes.cells, bias=False)
        self.cells = snntorch.RLeaky(
            beta, linear_features=sizes.cells, reset_mechanism="zero",
            spike_grad=surrogate.fast_sigmoid(SLOPE),
        )  # fmt: skip
        self.leave = torch.nn.Linear(sizes.cells, sizes.classes, bias=False)
        self.readout = snntorch.Leaky(beta, reset_mechanism="none")
        given = weights(sizes, seed)
        layers = self.enter, self.cells.recurrent, self.leave
        with torch.no_grad():
            for layer, weight in zip(layers, given, strict=True):
                layer.weight.copy_(torch.from_numpy(weight.T))
            self.cells.recurrent.bias.zero_()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean potential of each readout, and the part of cells that spike in a step."""
        spikes, potential = self.cells.init_rleaky()
        readout = self.readout.init_leaky()
        total, count = 0.0, 0.0
        for step in range(x.shape[0]):
            spikes, potential = self.cells(self.enter(x[step]), spikes, potential)
            _, readout = self.readout(self.leave(spikes), readout)
            total = total + readout
            count = count + spikes.detach().mean()
        return total / x.shape[0], count / x.shape[0]


train(Classifier)
