#!/bin/sh
# When the files are in their place.
set -eu
echo "$LIFECYCLE_EVENT: deployed by $DEPLOYMENT_ID"
