#!/bin/sh
# Whether what was deployed works on this machine: it is asked to greet, with the settings that it finds here.
set -eu
cd "$(dirname "$0")/.."
said=$(python3 -B -m greeter 'health check' 2>&1) || {
    echo "it does not greet: $said"
    exit 1
}
echo "version $(cat VERSION) says: $said"
