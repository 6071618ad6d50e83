"""Who may do what: access keys, roles and their policies, sessions; the handlers of IAM and STS.

IAM knows no regions: all of it is kept by account alone.
"""
