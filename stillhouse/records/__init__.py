"""Records: what was made of what, who decided what, and proof that nobody changed either afterwards.

Belongs here: artifacts with their manifests, builds, the ledger with its keys, witness and locks, decisions of people,
champions, batches, what a gate is shown as.
Does not: what is made, which gates there are (checks/), walking from one record to the next (audit/).
"""
