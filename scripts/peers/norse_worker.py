"""Norse trains the classifier with its recurrent cells. Started in PyTorch's Python.

Its cells have a current that decays; here it is gone after a step, so that what arrives moves the
potential once, by dt / tau of it: weights are as many times larger.
"""

import norse.torch as norse
import torch

from peers.classifier import SLOPE, TAU, Sizes, weights
from peers.torch_training import train

DT = 1e-3  # s


class Classifier(torch.nn.Module):
    """Recurrent cells, a linear layer, integrators."""

    def __init__(self, sizes: Sizes, seed: int) -> None:
        super().__init__()
        rate = torch.tensor(1000 / TAU)
        of_cells = norse.LIFParameters(
            tau_syn_inv=torch.tensor(1 / DT), tau_mem_inv=rate, alpha=torch.tensor(SLOPE)
        )
        of_readouts = norse.LIParameters(tau_syn_inv=torch.tensor(1 / DT), tau_mem_inv=rate)
        self.cells = norse.LIFRecurrentCell(sizes.inputs, sizes.cells, p=of_cells, dt=DT)
        self.leave = torch.nn.Linear(sizes.cells, sizes.classes, bias=False)
        self.readout = norse.LICell(p=of_readouts, dt=DT)
        enter, recurrent, leave = (torch.from_numpy(w.T) for w in weights(sizes, seed))
        with torch.no_grad():
            self.cells.input_weights.copy_(TAU * enter)
            self.cells.recurrent_weights.copy_(TAU * recurrent)
            self.leave.weight.copy_(TAU * leave)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The mean potential of each readout, and the part of cells that spike in a step."""
        state, of_readout, total, count = None, None, 0.0, 0.0
        for step in range(x.shape[0]):
            spikes, state = self.cells(x[step], state)
            potential, of_readout = self.readout(self.leave(spikes), of_readout)
            total = total + potential
            count = count + spikes.detach().mean()
        return total / x.shape[0], count / x.shape[0]


train(Classifier, scale=TAU)
