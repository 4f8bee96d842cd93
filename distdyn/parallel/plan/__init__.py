"""What a run will need, told before it: by formulas (plan), or by playing some of its ranks."""
