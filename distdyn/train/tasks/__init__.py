"""Tasks: data to train on. Nothing is downloaded.

task = dd.tasks.YinYang(seed=1)
trainer.fit(task, epochs=40, validation=task.testing)

drawn once (Split)             YinYang, Randman, MovingBars
drawn for every batch (Fresh)  Evidence, PerceptualDecision, DelayedMatch, FlipFlop
read from files (Stored)       SpikingHeidelberg, NMNIST
given as arrays                Dataset
signals                        lorenz, double_scroll, mackey_glass, sines
"""

from distdyn.train.tasks.dataset import Dataset as Dataset
from distdyn.train.tasks.delayed_match import DelayedMatch as DelayedMatch
from distdyn.train.tasks.evidence import Evidence as Evidence
from distdyn.train.tasks.flip_flop import FlipFlop as FlipFlop
from distdyn.train.tasks.fresh import Fresh as Fresh
from distdyn.train.tasks.heidelberg import SpikingHeidelberg as SpikingHeidelberg
from distdyn.train.tasks.moving_bars import MovingBars as MovingBars
from distdyn.train.tasks.nmnist import NMNIST as NMNIST
from distdyn.train.tasks.perceptual_decision import PerceptualDecision as PerceptualDecision
from distdyn.train.tasks.randman import Randman as Randman
from distdyn.train.tasks.signals import double_scroll as double_scroll
from distdyn.train.tasks.signals import lorenz as lorenz
from distdyn.train.tasks.signals import mackey_glass as mackey_glass
from distdyn.train.tasks.signals import sines as sines
from distdyn.train.tasks.split import Split as Split
from distdyn.train.tasks.stored import Stored as Stored
from distdyn.train.tasks.yinyang import YinYang as YinYang
