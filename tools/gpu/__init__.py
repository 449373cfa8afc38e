"""The generated CUDA kernels on a GPU: built, checked and timed by one script."""
