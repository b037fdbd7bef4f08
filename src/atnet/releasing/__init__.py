"""The acts of a release, as the command line and the flow call them: judge, promote, take back, clear away.

Each is imported from its own module, so that a rollback does not wait for what only the gate needs.
"""
