"""Speed of the serving path: requests, directives, the society."""
