"""Compiled kernels: NumPy in, NumPy out. Import the module you need; nothing is imported here on purpose."""
