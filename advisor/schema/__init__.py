"""Every record that crosses a module boundary.

Base units throughout: s, bytes, flop, usd, fraction 0..1. One name end to end: the key in the YAML, the field here, the key in
the JSON and the word in a template are the same string. A record holds what it was given; nothing is looked up or guessed here.
"""
