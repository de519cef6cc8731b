"""Learners, all of one kind: (gradient, state) -> (update, next state)."""
