"""The pages: what people at the line see, and what monitors ask for."""
