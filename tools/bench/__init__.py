"""Benchmarks: `python -m tools.bench [--rows PATTERN] [--threads 1 2] [--peers ort,numpy] [--cc gcc,clang]`.

rows        the races as data: program, dims, goals
tg          their programs
data        their arrays
formulas    the same in NumPy: the reference, and a peer under jit
ours        our side of a race
models      whole models, from ONNX files
peers       the others
candidate   what takes part in a race
race        one race: results checked, times taken in turn, goals
measure     interleaved timing, paired ratios, their interval
limits      what bounds a row: FLOPs, bytes, exp
memory      peak memory of a candidate, in a process of its own
budgets     rows that have so many seconds: compile time, the command line, the lit tests
compiling   the compiler's own time, step by step
programs    large programs as text
worker      runs rows in a process of its own, pinned, with its thread count set before NumPy is loaded
report      tables, on the terminal and as Markdown
scale       how time and memory grow with one size
plot        drawings, with matplotlib
"""
