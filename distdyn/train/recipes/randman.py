"""Randman, learned by the network that learns Yin-Yang: what counts is when each neuron spikes.

Task: Zenke & Vogels (2021), Neural Comput. 33, 899.
"""

from distdyn.network.distributions import Normal
from distdyn.train.recipes.classifier import Classifier, classified
from distdyn.train.recipes.recipe import Recipe
from distdyn.train.tasks.randman import Randman


def randman(seed: int = 0) -> Recipe:
    """Ten smooth random manifolds, each point of which is when twenty neurons spike."""
    task = Randman(seed=seed, steps=60)
    network = Classifier(task.neurons, task.classes, weight=Normal(0.1, 0.3))
    return classified(task, network, epochs=12, goal=0.9)
