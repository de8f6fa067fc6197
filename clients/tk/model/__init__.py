"""What the windows show, as a pure fold of inputs.

Rule: no input and no output happens here; what shall happen is returned as an effect.
"""
