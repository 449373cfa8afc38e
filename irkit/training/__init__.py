"""Training: data in batches, the loop of steps, validation, checkpoints, and what is written of the losses."""
