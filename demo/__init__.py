"""`python -m demo`: a province in small on this machine; a document's whole way, and the proof that nothing is lost."""
