"""The hub (trục liên thông): takes documents into custody, keeps them, hands them to their recipients, proves it."""
