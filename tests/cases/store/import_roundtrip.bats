#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A tree goes into the store and comes back the same by every way out.

load ../helpers
load tree

setup_file() {
	make_tree "$BATS_FILE_TMPDIR/tree" 3000
}

setup() {
	larder_setup
	tree=$BATS_FILE_TMPDIR/tree
}

# regular_files DIR: a file with several names is one.
regular_files() {
	find "$1" -type f -printf '%i\n' | sort -u | wc -l
}

@test "a mounted entry equals the imported tree, cold and warm" {
	require_fuse
	larder import "$tree" --name tree --key one
	mkdir m
	larder mount -o ro tree@one m
	same_state "$tree" m
	drop_caches
	same_state "$tree" m
	same_tree "$tree" m
}

@test "a mounted entry keeps owners: the importer's become the mounter's" {
	require_fuse
	require_root
	mkdir owned
	echo a >owned/mine
	echo b >owned/other
	ln -s x owned/link
	chown 1234:5678 owned/other
	chown -h 12:34 owned/link
	larder import owned --name owned --key one
	mkdir m
	larder mount -o ro owned@one m
	run find m -mindepth 1 -printf '%f %U:%G\n'
	[ "$(sort <<<"$output")" = "$(printf '%s\n' 'link 12:34' 'mine 0:0' \
		'other 1234:5678')" ]
}

@test "devices are kept, sockets left out" {
	require_fuse
	require_root
	mkdir odd
	(cd odd && fsops socket socket)
	mknod odd/null c 1 3 || skip "no devices can be made here"
	mknod odd/block b 7 200
	larder import odd --name odd --key one
	mkdir m
	larder mount -o ro odd@one m
	[ "$(find m -mindepth 1 -printf '%f %y\n' | sort | tr '\n' ,)" = \
		'block b,null c,' ]
	[ "$(stat -c %t:%T m/null)" = 1:3 ]
	[ "$(stat -c %t:%T m/block)" = 7:c8 ]
}

@test "a materialized entry equals the imported tree" {
	larder import "$tree" --name tree --key one
	mkdir out
	larder materialize tree@one out
	same_state "$tree" out
}

@test "a materialized file keeps its holes" {
	larder import "$tree/large" --name large --key one
	mkdir out
	larder materialize large@one out
	cmp "$tree/large/holes" out/holes
	[ "$(du -k out/holes | cut -f1)" -lt 4096 ]
}

@test "export writes a tar of the same tree" {
	larder import "$tree" --name tree --key one
	mkdir out
	larder export tree@one >tree.tar
	tar -x -p --xattrs --xattrs-include='user.*' -C out -f tree.tar
	same_state "$tree" out
}

@test "a tree and its tar have one identity" {
	run_json import "$tree" --name tree --key one
	catalog=$(json .entry.catalog)
	larder export tree@one >tree.tar

	run_json import tree.tar --name tree --key two
	[ "$(json .entry.catalog)" = "$catalog" ]
	[ "$(json .result.new_chunks)" -eq 0 ]

	zstd -q tree.tar -o tree.tar.zst
	run_json import tree.tar.zst --name tree --key three
	[ "$(json .entry.catalog)" = "$catalog" ]
}

@test "a tar by GNU tar is imported as the tree it was made from" {
	require_fuse
	tar -c -C "$tree" --format=pax --xattrs --xattrs-include='user.*' . |
		larder import - --name tree --key one
	mkdir m
	larder mount -o ro tree@one m
	same_state "$tree" m
}

@test "what is in the store is not stored again" {
	run_json import "$tree" --name tree --key one
	catalog=$(json .entry.catalog)
	[ "$(json .result.new_chunks)" -gt 1000 ]
	[ "$(json .result.files)" -eq "$(regular_files "$tree")" ]

	run_json import "$tree" --name tree --key two
	[ "$(json .entry.catalog)" = "$catalog" ]
	[ "$(json .result.new_chunks)" -eq 0 ]
	[ "$(json .result.new_bytes)" -eq 0 ]
	[ "$(json .result.stored_bytes)" -eq 0 ]
	[ "$(json .result.new_files)" -eq 0 ]

	# Nor for another name, nor with one file more than that file.
	cp -a "$tree" more
	echo 'not seen before' >more/new
	run_json import more --name other --key one
	[ "$(json .result.new_files)" -eq 1 ]
	[ "$(json .result.new_bytes)" -eq 16 ]
}

@test "a time before 1970 keeps its fraction" {
	require_fuse
	mkdir old m
	echo x >old/file
	touch -d '1960-01-01 00:00:00.25 UTC' old/file
	touch -d '1969-12-31 23:59:59.75 UTC' old
	larder import old --name old --key one
	larder mount -o ro old@one m
	same_tree old m
	larder materialize old@one out
	same_tree old out
}

@test "an empty directory is an entry" {
	require_fuse
	mkdir nothing m
	touch -d '2011-11-11 11:11:11.111111111 UTC' nothing
	larder import nothing --name nothing --key one
	larder mount -o ro nothing@one m
	same_tree nothing m
}
