"""Recipes: networks that learn a task, with all that it takes, by name.

recipe = recipes.named("yinyang")(seed=1)
recipe.trainer(devices=2).fit(recipe.task, recipe.epochs)
"""

from collections.abc import Callable

from distdyn.errors import NameLookupError, suggestion
from distdyn.train.recipes.delayed_match import delayed_match
from distdyn.train.recipes.evidence import evidence
from distdyn.train.recipes.moving_bars import moving_bars
from distdyn.train.recipes.perceptual_decision import perceptual_decision
from distdyn.train.recipes.randman import randman
from distdyn.train.recipes.recipe import Recipe as Recipe
from distdyn.train.recipes.yinyang import yinyang

RECIPES: dict[str, Callable[..., Recipe]] = {
    "delayed_match": delayed_match,
    "evidence": evidence,
    "moving_bars": moving_bars,
    "perceptual_decision": perceptual_decision,
    "randman": randman,
    "yinyang": yinyang,
}


def named(name: str) -> Callable[..., Recipe]:
    """The recipe of this name, a function of its seed.

    Raises:
        NameLookupError: there is none.
    """
    if name not in RECIPES:
        raise NameLookupError(f'there is no task "{name}". {suggestion(name, RECIPES)}')
    return RECIPES[name]
