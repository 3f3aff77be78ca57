"""Learning: what any training needs, whatever is trained."""
