"""Points where a system stands still: all in a box, and what is slow in large ones."""
