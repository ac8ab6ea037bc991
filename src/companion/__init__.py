"""Remind, Attend, Ponder: three mechanisms of recurrent networks, their baselines and their tasks."""
