"""Finds faster schedules by measuring: `irkit tune` (docs/tuning.md).

`search` proposes and decides, and knows nothing of clocks; `bench` builds kernels and times them; `session` goes through
the kernels of a program; `records` keeps what was found; `export` writes it into a `.tg` file.
"""
