"""What app.py puts together: words, cards, plots, the conversation as it is shown. Computes nothing."""
