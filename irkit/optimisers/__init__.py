"""Optimisers, schedules and ways of clipping gradients, as ops of the language; irkit.lang.minimize calls them."""
