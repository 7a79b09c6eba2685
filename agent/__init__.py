"""The one who is spoken to: understands a question, has it measured, and words what was found in English or Chinese."""
