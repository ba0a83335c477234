"""What the tests stand on: real hubs, clients as browsers send, clocks."""
