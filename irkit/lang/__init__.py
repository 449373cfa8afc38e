"""The language: `.tg` text to a syntax tree, and the tree to graph ops."""
