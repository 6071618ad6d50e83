"""The console: a server's projects, builds and pipelines in a browser, as they are now.

`pages.console_app` makes the ASGI application, `session.login_link` the address that lets a browser in. It knows them
by AWS's API alone, called within the process, and logs by `codeyard.logs`. All that it shows was written by builds and
by those who start them: it is escaped by the templates, and nothing of it is ever a script, a style or a scheme.
"""
