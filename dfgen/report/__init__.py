"""Holds what people look at: figures, answers in a terminal, the HTML page, a data set's card."""
