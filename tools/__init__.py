"""Everything that touches weights: opens, measures, decides, reports; knows no chat, agents or articles."""
