"""The agent beside each agency: seals and sends, receives and checks, keeps a copy, speaks to the local system."""
