"""Discrete active inference: perception, learning, planning and action as functions over tensors."""
