"""The audit: walking a champion back to the rows and weights it was made from, and proving that the rules were kept.

    audit.py       the one call
    records.py     what it is held against, and what it finds
    walk.py        link by link from the promotion back: manifests, verdicts, decisions of people
    content.py     the bytes of one artifact
    history.py     the ledger in memory, as the audit asks it
    remembered.py  that history held against what remembers it: anchors, signatures, the witness, a noted head
    words.py       clauses that several of these share

Belongs here: what counts as a problem, and what cannot be proven.
Does not: which gates a stage has (it is given), what a witness or a key is (records/witness.py, records/keys.py),
printing (orchestration/commands/).

docs/audit.md says who is found by which of these and who is not.
"""
