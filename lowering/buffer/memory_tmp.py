from dialects.dims import ZERO, Dim, align
from dialects.loop import FuncOp


def kernel_memory(func: FuncOp) -> tuple[Dim, Dim]:
    def total(space: str) -> Dim:
        size = ZERO
        for op in func.allocs(space):
            size = size + align(op.ref_type.bytes(), 64)
        return size

    return total("scratch"), total("team")
