"""Terms of adversarial training that have something to learn."""
