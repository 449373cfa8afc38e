"""The header of a program's CUDA text: the C back end's interface, with a stream in place of a team of threads."""

from __future__ import annotations

from lowering.c.abi import ProgramSpec, interface_text, struct_lines


def cuda_header_text(spec: ProgramSpec, waits: bool) -> str:
    """The header of a program; uses all of a spec but `source` and `header`. One that waits for numbers of the device has no
    graph."""
    prefix, upper = spec.name, spec.name.upper()
    lines = [
        "// Arrays are memory of the device, aligned to 16 bytes.",
        *struct_lines(spec),
        "",
        "// The bytes of the device that a run needs for its intermediates.",
        f"size_t {prefix}_arena_bytes(const {prefix}_args *args);",
        "",
        *(_init_text(spec) if spec.prepared_bytes else []),
        "// Launches the program on a stream, a cudaStream_t; NULL is the default stream. The arena is memory of the device,",
        "// aligned to 64 bytes, which no other run may use before this one is done. Results are there when the stream is done.",
        f"// Returns {upper}_OK, one of the codes above, or the number of CUDA's error, which is greater than 0.",
        f"int {prefix}_run(const {prefix}_args *args, void *arena, void *stream);",
        "",
        *([] if waits else _graph_text(spec)),
        "// What CUDA says of an error of its own.",
        f"const char *{prefix}_error(int code);",
    ]
    return interface_text(spec, lines)


def _init_text(spec: ProgramSpec) -> list[str]:
    """The declarations of the entries of a program that prepares what depends on its parameters alone."""
    prefix, field = spec.name, spec.prepared_field
    return [
        f"// The bytes of prepared memory of the device, to which `{field}` points; runs read it, so that several may share it.",
        f"size_t {prefix}_prepared_bytes(const {prefix}_args *args);",
        "",
        "// Fills the prepared memory from the parameters, on a stream: to be called before the first run, and again whenever",
        "// what a parameter holds changes. Inputs and outputs may be NULL. Returns what a run returns.",
        f"int {prefix}_init(const {prefix}_args *args, void *arena, void *stream);",
        "",
    ]


def _graph_text(spec: ProgramSpec) -> list[str]:
    """The declarations of the entries that take a run down as a graph."""
    prefix = spec.name
    return [
        "// Takes down what a run launches, with these arrays and this arena, as a CUDA graph, and runs nothing. To be called",
        "// after a first run. A replay launches it all at once, with what the arrays hold then; `forget` frees it.",
        f"int {prefix}_capture(const {prefix}_args *args, void *arena, void **graph);",
        f"int {prefix}_replay(void *graph, void *stream);",
        f"void {prefix}_forget(void *graph);",
        "",
    ]
