"""Lessons for a class: plans, cards, roles and a quiz, filled with what a run on the exhibits measured."""
