"""Recipes: each is found by its name, and learns its task."""

import pytest

from distdyn.errors import NameLookupError
from distdyn.train import recipes


def test_a_name_that_does_not_exist():
    with pytest.raises(NameLookupError, match='Did you mean "yinyang"'):
        recipes.named("yingyang")


@pytest.mark.slow  # three minutes a seed
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", list(recipes.RECIPES))
def test_the_goal_is_reached(name, seed):
    recipe = recipes.named(name)(seed=seed)
    trainer = recipe.trainer(progress="off")
    trainer.fit(recipe.task, recipe.epochs)
    assert trainer.evaluate(recipe.testing).accuracy >= recipe.goal
