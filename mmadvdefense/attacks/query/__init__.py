"""Black-box attacks that query the model for scores or decisions."""
