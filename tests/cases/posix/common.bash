# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Transcripts of system calls (bin/posix.c): what is done in a mount and what
# is done beside it must read the same.

posix() {
	"$LARDER_BUILDDIR/tests/cases/bin/posix" "$@"
}

# mount_empty [OPTION...] mounts an empty tree at m.
mount_empty() {
	mkdir -p m
	larder mount -q "$@" --empty m
}

# same_transcript AREA runs it in beside and in m.
same_transcript() {
	mkdir -p beside
	(cd beside && posix "$1") >beside.out
	(cd m && posix "$1") >m.out
	diff beside.out m.out
}
