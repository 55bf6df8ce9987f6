#!/bin/sh
# npm start: installs and builds what changed, then becomes the node (exec), so that signals reach it.
# What follows -- goes to it: npm start -- --http-addr 127.0.0.1:5050
set -eu
cd "$(dirname "$0")/.."
node scripts/install.mjs
node scripts/build.mjs
exec node_modules/.bin/pyromesh serve --self-profile "$@"
