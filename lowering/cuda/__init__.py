"""CUDA text of functions that are mapped to blocks and threads."""
