"""What fuzz.py is made of: cases, what is changed in them, the process that runs one, and what counts against it."""
