#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# After the build: what it changed in the build cache is committed, and the
# image for other machines is written anew where something changed. A fault is
# a warning, never the build's.
#
# OPEN_RUNTIMES_BUILD_CACHE_SAVE_TIMEOUT_SECONDS and _MAX_SIZE_BYTES bound the
# image; LARDER_BUILD_CACHE_IMAGE=no leaves it out, for machines that keep the
# store.

# shellcheck source=contrib/open-runtimes/build-cache-env.sh
. "$(dirname "${BASH_SOURCE[0]}")/build-cache-env.sh"

root=$OPEN_RUNTIMES_BUILD_CACHE_ROOT
artifact=$OPEN_RUNTIMES_BUILD_CACHE_ARTIFACT
image=$artifact.tmp

if ! command -v "${LARDER:-larder}" >/dev/null; then
	build_cache_log 'Warning: larder is missing, continuing without cache save.'
	exit 0
fi
if [ ! -d "$root" ]; then
	build_cache_log 'Save skipped: cache root missing.'
	exit 0
fi

latest() {
	build_cache_larder show build-cache@latest --json 2>/dev/null |
		sed -n 's/^ *"catalog": "\([0-9a-f]*\)".*/\1/p'
}

key=build-$(date +%s)-$$
before=$(latest)
if build_cache_mounted; then
	build_cache_larder commit "$root" --name build-cache --key "$key" -q
else
	build_cache_larder import "$root" --name build-cache --key "$key" -q
fi >/dev/null || {
	build_cache_log 'Warning: failed to save cache, build result preserved.'
	exit 0
}
after=$(latest)

if [ "$before" = "$after" ] && [ -f "$artifact" ]; then
	build_cache_log 'Save skipped: unchanged.'
	exit 0
fi
if [ "${LARDER_BUILD_CACHE_IMAGE:-yes}" = no ]; then
	build_cache_log 'Saved.'
	exit 0
fi

trap 'rm -f "$image"' EXIT
export -f build_cache_larder
limit=${OPEN_RUNTIMES_BUILD_CACHE_SAVE_TIMEOUT_SECONDS:-0}
timeout "$limit" bash -c 'build_cache_larder "$@"' larder \
	export build-cache@latest --format squashfs --compressor lz4 \
	--block-size 1048576 -o "$image" -q
status=$?
if [ $status -eq 124 ]; then
	build_cache_log "Warning: the image took more than $limit s, build result preserved."
elif [ $status -ne 0 ]; then
	build_cache_log "Warning: failed to write the image ($status), build result preserved."
elif [ "$(stat -c %s "$image")" -gt \
	"${OPEN_RUNTIMES_BUILD_CACHE_MAX_SIZE_BYTES:-9223372036854775807}" ]; then
	build_cache_log "Save skipped: the image is too large ($(stat -c %s "$image") bytes, at most $OPEN_RUNTIMES_BUILD_CACHE_MAX_SIZE_BYTES)."
elif mv -f "$image" "$artifact"; then
	build_cache_log "Saved ($(stat -c %s "$artifact") bytes)."
else
	build_cache_log 'Warning: failed to put the image in its place.'
fi
exit 0
