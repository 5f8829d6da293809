"""Sets of pictures: which are there, what they show, what is known of them, and their frames."""
