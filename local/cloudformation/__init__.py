"""CloudFormation types that MiniStack does not know and the template uses."""
