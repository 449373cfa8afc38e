"""The IR levels: graph (what is computed), kernel (what runs as one unit), loop (how a unit runs), buffer (where and when)."""
