"""What people look at: figures, single answers in a terminal, the HTML page, a data set's card."""
