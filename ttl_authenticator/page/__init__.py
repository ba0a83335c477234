"""What reaches a browser: the timer, its style and its way into a page.

Used by the hub and by the user's server; imports neither half.
"""
