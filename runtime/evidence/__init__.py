"""Pictures of the parts that were not passed."""
