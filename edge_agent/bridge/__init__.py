"""The adapters to the local system: watched folders, its SOAP service, and the service that it calls."""
