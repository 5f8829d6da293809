"""What passes from training to the edge."""
