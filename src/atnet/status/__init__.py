"""The state of the whole project at a glance: model, releases, data, service, monitoring, backups."""
