"""Kernels and the host program in the dialects of MLIR itself: func, scf, memref, vector, arith, math."""
