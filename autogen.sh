#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes configure and the Makefile.in from configure.ac and the fragments.
# Run it once in a fresh checkout and then build in a directory of its own:
#
#	./autogen.sh && mkdir build && cd build && ../configure && make

set -e
cd "$(dirname "$0")"

for tool in autoreconf automake pkg-config; do
	if ! command -v "$tool" >/dev/null; then
		echo "autogen.sh: $tool is missing: install autoconf," \
			"automake and pkg-config" >&2
		exit 1
	fi
done

exec autoreconf --install --force
