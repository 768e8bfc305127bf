"""Who may speak: province CA, enrolment, trust and revocation, signers, the log's key, verification of receipts."""
