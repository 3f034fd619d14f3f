"""Repairs wrong answers: who is asked for what, how an answer is judged, what is kept."""
