"""Looking at good pictures before a training: what they tell, and the settings that they dictate."""
