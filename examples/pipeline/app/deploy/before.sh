#!/bin/sh
# Before the files are put in their place. `$LIFECYCLE_EVENT` is the hook that runs.
set -eu
echo "$LIFECYCLE_EVENT: a deployment of $APPLICATION_NAME to $DEPLOYMENT_GROUP_NAME begins"
