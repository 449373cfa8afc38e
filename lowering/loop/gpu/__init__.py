"""How nests are mapped to the blocks and threads of a GPU: point by point, row by row, tile by tile."""
