"""`python -m bench.fair`: what everybody else notices while somebody does their worst. Rule: an attack is judged by its victims alone.

The server has one core; attackers and victims share the other, the victims first. Each attack also runs against a program that answers
503 to everything: by what the victims are late there, the machine is late and not Flash.
"""
