"""Yin-Yang, learned by a recurrent network of leaky integrate-and-fire neurons in which all learn.

Task: Kriener, Goeltz & Petrovici (2022), NICE 2022.
"""

from distdyn.network.distributions import Normal
from distdyn.train.recipes.classifier import Classifier, classified
from distdyn.train.recipes.recipe import Recipe
from distdyn.train.tasks.yinyang import YinYang


def yinyang(seed: int = 0) -> Recipe:
    """Three classes of points in the plane, coded by when five neurons spike."""
    network = Classifier(inputs=5, classes=3, weight=Normal(0.3, 0.6))
    return classified(YinYang(seed=seed), network, epochs=80, goal=0.95)
