"""The op reference, `docs/ops.md` and `docs/ops/`, written from what the ops state."""
