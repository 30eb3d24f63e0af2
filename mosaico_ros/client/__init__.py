"""The client side: connections, writers, readers and queries."""
