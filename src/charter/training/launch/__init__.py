"""Trainings in processes that ``accelerate launch`` starts: what they are told, how they are begun and watched."""
