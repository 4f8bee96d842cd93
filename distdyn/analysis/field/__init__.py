"""Vector fields: of models, and of networks of rate models."""

from distdyn.analysis.field.flat import Flat as Flat
from distdyn.analysis.field.flat import State as State
from distdyn.analysis.field.flat import VectorField as VectorField
from distdyn.analysis.field.vector_field import vector_field as vector_field
