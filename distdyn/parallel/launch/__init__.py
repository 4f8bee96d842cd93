"""How this program was started, who runs it with us, and how all of us end."""

from distdyn.parallel.launch.ranks import World as World
from distdyn.parallel.launch.ranks import check_same as check_same
from distdyn.parallel.launch.ranks import own_mpirun as own_mpirun
from distdyn.parallel.launch.ranks import ranks_text as ranks_text
from distdyn.parallel.launch.ranks import world as world
