"""Tasks: data that need no download.

task = dd.tasks.YinYang(seed=1)
trainer.fit(task, epochs=40, validation=task.testing)
"""

from distdyn.train.tasks.dataset import Dataset as Dataset
from distdyn.train.tasks.yinyang import YinYang as YinYang
