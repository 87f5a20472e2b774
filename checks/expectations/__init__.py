"""Great Expectations suites, one module per stage, one named gate for each expectation.

Belongs here: suites, and running one.
Does not: gates that need more than the columns of one table (the stage modules beside this folder).
"""
