"""A seeded world of people, merchants and fraud rings that produces labelled transactions."""
