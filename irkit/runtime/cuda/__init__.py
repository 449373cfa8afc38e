"""Programs on a GPU: what emitted CUDA text is compiled by, the memory it works on, the callable.

One host program walks the tasks, the C++ function of the emitted text (`lowering/cuda/program.py`): `irkit compile` writes it,
and the run time has it compiled to a shared library and calls it with addresses of the device. A machine (`machine.py`) gives
memory and moves data; it is a GPU by PyCUDA (`device.py`), or this CPU, on which the same text runs compiled by a C++ compiler.
"""
