"""Many models: measured on many machines, advised on by the thousand, and shown together."""
