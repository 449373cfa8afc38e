"""Benchmarks: `python -m tools.bench [--rows PATTERN] [--threads 1 2] [--peers numpy,torch] [--json FILE]`.

measure     interleaved timing, paired ratios, their interval
speed       rows that race the peers: a program, its inputs, the same thing in each peer
budgets     rows that have so many seconds: compile time, the command line, the lit tests
programs    the `.tg` text of the rows
compiling   the compiler's own time, step by step
worker      runs rows in a process of its own, pinned, with its thread count set before NumPy is loaded
"""
