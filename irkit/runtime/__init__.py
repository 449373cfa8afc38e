"""The run time: finds a C compiler, keeps what it compiled, loads it, and calls it with NumPy arrays."""
