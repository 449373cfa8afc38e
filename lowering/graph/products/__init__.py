"""Products that read the same tensor, as one."""
