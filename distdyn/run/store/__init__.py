"""The one room of h5py, but for data to train on (`train/tasks/heidelberg.py`).

recording       spikes and traces, appended to while a run goes
arrays          some arrays by name, written at once
tables          a checkpoint: columns by key, read in part
opening         how all of them are opened, and what is refused
"""

from distdyn.run.store.arrays import read_arrays as read_arrays
from distdyn.run.store.arrays import write_arrays as write_arrays
from distdyn.run.store.opening import attribute as attribute
from distdyn.run.store.opening import check_free as check_free
from distdyn.run.store.opening import dataset as dataset
from distdyn.run.store.opening import found as found
from distdyn.run.store.opening import opened as opened
from distdyn.run.store.opening import read_text as read_text
from distdyn.run.store.opening import to_disk as to_disk
from distdyn.run.store.opening import unusable as unusable
from distdyn.run.store.opening import write_text as write_text
from distdyn.run.store.recording import StoredSpikes as StoredSpikes
from distdyn.run.store.recording import StoredTrace as StoredTrace
from distdyn.run.store.recording import append_spikes as append_spikes
from distdyn.run.store.recording import append_trace as append_trace
from distdyn.run.store.recording import create_spikes as create_spikes
from distdyn.run.store.recording import create_trace as create_trace
from distdyn.run.store.recording import link_spikes as link_spikes
from distdyn.run.store.recording import link_trace as link_trace
from distdyn.run.store.recording import read_columns as read_columns
from distdyn.run.store.recording import read_committed as read_committed
from distdyn.run.store.recording import read_trace as read_trace
from distdyn.run.store.tables import StoredTables as StoredTables
from distdyn.run.store.tables import append_table as append_table
from distdyn.run.store.tables import create_tables as create_tables
