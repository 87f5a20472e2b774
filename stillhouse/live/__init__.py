"""What is known of answers after they were given: traffic, feedback, and what follows from them.

Belongs here: reading what servers kept, joining feedback to it, keeping it no longer than allowed.
Does not: serving (stillhouse/serving/), the asset's artifact (stillhouse/stages/traffic.py).
"""
