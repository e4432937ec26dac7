"""Reinforcement-learning stages by verl's `main_ppo`, or by another program on verl's trainers.

Other rooms use `trainer`, for its rewards `reward`, and for the code of another program `entry`.
"""
