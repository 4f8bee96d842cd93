"""The names of JAX that are not its stable public interface; nothing else touches them."""

from jax.extend.core import Literal as Literal
