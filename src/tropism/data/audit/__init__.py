"""The data contract: what is wrong with preference data, found and put right before it costs a training run."""
