"""The embedded default: a simulated gardening forum, its hidden taste, and a pocket language model that imitates it."""
