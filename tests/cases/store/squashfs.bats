#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# SquashFS images in and out, against the kernel's own tools for them, which
# share no code with those that Larder uses.

load ../helpers
load tree

setup_file() {
	make_tree "$BATS_FILE_TMPDIR/tree" 300
	# What sqfs2tar makes two of, and what the format has no room for:
	# fractions of seconds.
	rm "$BATS_FILE_TMPDIR/tree/types/dangling twice"
	find "$BATS_FILE_TMPDIR/tree" -depth -exec touch -h -d @1700000000 {} +
}

setup() {
	need mksquashfs sqfs2tar tar2sqfs
	larder_setup
	tree=$BATS_FILE_TMPDIR/tree
}

@test "an image becomes an entry of the same tree" {
	mksquashfs "$tree" tree.sqfs -comp lz4 -b 1M -no-progress -quiet
	run -0 larder import tree.sqfs --name tree --key one
	[ "${lines[-1]}" = tree@one ]
	larder materialize tree@one out
	same_state "$tree" out
}

@test "an entry becomes an image of the same tree" {
	larder import "$tree" --name tree --key one
	larder export tree@one -o tree.sqfs
	[ -z "$(find . -maxdepth 1 -name '*.partial')" ]
	unsquashfs -s tree.sqfs | grep -q '^Compression zstd'
	unsquashfs -quiet -no-progress -d out tree.sqfs
	same_state "$tree" out
}

@test "an image takes compressor and block size" {
	larder import "$tree" --name tree --key one
	larder export tree@one -o image --format squashfs --compressor lz4 \
		--block-size 1048576
	unsquashfs -s image >about
	grep -q '^Compression lz4' about
	grep -q '^Block size 1048576' about
	run -0 larder export tree@one -o t.sqfs --format tar
	tar -tf t.sqfs >/dev/null
	run -2 larder export tree@one -o t --format zip
	[[ $output == *"tar or squashfs"* ]]
	run -2 larder export tree@one --format squashfs
	[[ $output == *"use -o FILE"* ]]
}

@test "a damaged image makes no entry" {
	mksquashfs "$tree" tree.sqfs -comp gzip -no-progress -quiet
	truncate -s $(($(stat -c %s tree.sqfs) / 2)) tree.sqfs
	run larder import tree.sqfs --name tree --key one
	[ "$status" -eq 1 ]
	run larder list
	[[ $output != *tree* ]]
}

@test "an image whose data are damaged makes no entry" {
	head -c 4000000 /dev/urandom >big
	mkdir dir
	cp big dir/a
	seq 400000 >dir/b
	mksquashfs dir tree.sqfs -comp gzip -no-progress -quiet
	printf '%100s' x | dd of=tree.sqfs bs=1 seek=4200000 conv=notrunc status=none
	run larder import tree.sqfs --name tree --key one
	[ "$status" -eq 1 ]
	run larder list
	[[ $output != *tree* ]]
}

@test "an export that fails leaves no image" {
	larder import "$tree" --name tree --key one
	run larder export tree@two -o tree.sqfs
	[ "$status" -eq 3 ]
	run larder export tree@one -o tree.sqfs --compressor nonsense
	[ "$status" -eq 1 ]
	[ -z "$(find . -maxdepth 1 -name 'tree.sqfs*')" ]
	echo old >tree.sqfs
	run larder export tree@two -o tree.sqfs
	[ "$(cat tree.sqfs)" = old ]
}

@test "without squashfs-tools-ng one sentence says what is to be installed" {
	larder import "$tree" --name tree --key one
	printf hsqs >tree.sqfs
	mkdir bin
	ln -s "$(command -v larder)" bin/larder
	PATH=$PWD/bin run larder import tree.sqfs --name tree --key two
	[ "$status" -eq 1 ]
	[[ $output == *"package squashfs-tools-ng"* ]]
	PATH=$PWD/bin run larder export tree@one -o out.sqfs
	[ "$status" -eq 1 ]
	[[ $output == *"package squashfs-tools-ng"* ]]
}
