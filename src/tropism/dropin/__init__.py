"""TRL's DPO trainer by its own names: `from tropism import DPOTrainer, DPOConfig`."""
