"""Agreement, strengths and confounders of raw feedback."""
