"""The running Home Server and Global Server, without HTTP."""
