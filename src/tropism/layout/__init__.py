"""Where groups become tensors: rendering to token ids, and the layouts of a batch."""
