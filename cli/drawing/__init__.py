"""Draws labelled pictures of birds: species, poses, scenes, and their tight boxes."""
