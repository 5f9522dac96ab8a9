"""What the programs beside this folder are made of; nothing in here runs by itself."""
