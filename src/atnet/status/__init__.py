"""The state of the whole project at one glance: model, releases, data, service, monitoring, backups."""
