"""Raw feedback (votes; later ratings, rankings, choices) to preference groups, as Ibis expressions."""
