"""How a purifier is trained: recipes, the attack of a step, and what travels through it."""
