"""Derivatives as a transformation of the graph: rules for each op, and the walks that apply them."""
