"""What training came to: epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Score(NamedTuple):
    """The mean loss of some trials, and the part of them that is right, if that is known."""

    loss: float
    accuracy: float | None

    @classmethod
    def of(cls, batches: Sequence[tuple[Any, Any, int]]) -> "Score":
        """The mean over batches of (loss, accuracy, trials)."""
        weight = np.array([count for _, _, count in batches], float)
        weight /= weight.sum()
        loss = float(weight @ [float(x) for x, _, _ in batches])
        if batches[0][1] is None:
            return cls(loss, None)
        return cls(loss, float(weight @ [float(x) for _, x, _ in batches]))


@dataclass
class History:
    """What each epoch of a `fit` came to.

    Attributes:
        epoch: the number of epochs made after it.
        score, validation: of the batches trained on, while they were; of the others after it.
        seconds: that it took, validation included.
        updates: the number made after it.
    """

    epoch: list[int] = field(default_factory=list)
    score: list[Score] = field(default_factory=list)
    validation: list[Score | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    updates: list[int] = field(default_factory=list)

    def add(
        self, epoch: int, score: Score, validation: Score | None, seconds: float, updates: int
    ) -> None:
        """One more epoch."""
        row = epoch, score, validation, seconds, updates
        for column, value in zip(vars(self).values(), row, strict=True):
            column.append(value)

    @property
    def loss(self) -> np.ndarray:
        """Of the batches trained on, by epoch."""
        return np.array([score.loss for score in self.score])

    @property
    def accuracy(self) -> np.ndarray:
        """Of the batches trained on, by epoch; NaN where it is not known."""
        return _accuracy(self.score)

    @property
    def validation_loss(self) -> np.ndarray:
        """Of validation, by epoch; NaN where there was none."""
        return np.array([np.nan if s is None else s.loss for s in self.validation])

    @property
    def validation_accuracy(self) -> np.ndarray:
        """Of validation, by epoch; NaN where it is not known."""
        return _accuracy(self.validation)

    def __repr__(self) -> str:
        rows = [self.line(k) for k in range(len(self.epoch))]
        return "\n".join(rows) if rows else "no epoch yet"

    def line(self, k: int) -> str:
        """One epoch in a line."""
        words = [f"epoch {self.epoch[k]}", _words(self.score[k])]
        judged = self.validation[k]
        if judged is not None:
            words.append(f"validation {_words(judged)}")
        return ", ".join([*words, f"{self.seconds[k]:.1f} s"])


def _words(score: Score) -> str:
    right = "" if score.accuracy is None else f" ({score.accuracy:.1%} right)"
    return f"loss {score.loss:.4g}{right}"


def _accuracy(scores: Sequence[Score | None]) -> np.ndarray:
    found = [np.nan if s is None or s.accuracy is None else s.accuracy for s in scores]
    return np.array(found, float)
