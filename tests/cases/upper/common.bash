# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# A base, a writable mount of it at m, and a plain copy of it at plain, to which
# the same is done.

# base_tree DIR
base_tree() {
	mkdir -p "$1"/{dir/sub/deep,empty,other}
	echo alpha >"$1/a"
	echo beta >"$1/b"
	echo deep >"$1/dir/sub/deep/file"
	echo in-dir >"$1/dir/file"
	echo other >"$1/other/file"
	echo linked >"$1/hard1"
	ln "$1/hard1" "$1/dir/hard2"
	ln -s a "$1/link"
	ln -s dir "$1/to-dir"
	printf '#!/bin/sh\necho ran\n' >"$1/script"
	chmod 755 "$1/script"
	head -c 5000000 /dev/urandom >"$1/large"
	awk 'BEGIN { for (i = 0; i < 60; i++) print i }' | while read -r i; do
		echo "$i" >"$1/other/n$i"
	done
	touch -d '2020-02-02 20:20:20.123456789 UTC' "$1/a"
	find "$1" -depth -type d -exec \
		touch -d '2019-01-01 01:01:01.987654321 UTC' {} +
}

upper_setup_file() {
	base_tree "$BATS_FILE_TMPDIR/base"
	tree_state "$BATS_FILE_TMPDIR/base" >"$BATS_FILE_TMPDIR/base.state"
}

upper_setup() {
	larder_setup
	require_fuse
	need jq setfattr
	base=$BATS_FILE_TMPDIR/base
	larder import -q "$base" --name base --key one
	mkdir m
	larder mount -q base@one m
	cp -a "$base" plain
}

# same_done fails when m and plain differ in more than times.
same_done() {
	same_shape plain m
	diff <(tree_links plain) <(tree_links m)
	diff <(tree_xattrs plain) <(tree_xattrs m)
}

# in_both SCRIPT runs the script in m and in plain; both must do the same.
in_both() {
	(cd plain && bash -euo pipefail -c "$1") >plain.out
	(cd m && bash -euo pipefail -c "$1") >m.out
	diff plain.out m.out
	same_done
}

# settles: what m shows is the same without the kernel's caches, after it was
# unmounted and mounted again, as a commit, and the base is as it was.
settles() {
	mkdir -p first again
	tree_state m >seen
	drop_caches
	is_state m seen

	run_json umount m
	[ "$(json .kept)" = true ]
	larder mount -q --resume m
	is_state m seen

	larder commit -q m --name base --key two
	is_state m seen
	larder mount -q -o ro base@two again
	is_state again seen
	larder mount -q -o ro base@one first
	is_state first "$BATS_FILE_TMPDIR/base.state"
	larder umount -q again
	larder umount -q first
}
