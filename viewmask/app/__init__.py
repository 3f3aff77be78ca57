"""The web page of `viewmask app`: orders, one worker, a server, and what the browser loads."""
