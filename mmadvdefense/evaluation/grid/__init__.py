"""What is run: every defense under every attack and threat model."""
