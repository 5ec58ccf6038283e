#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Names over a base: made, renamed, linked and removed.

load ../helpers
load common

setup_file() {
	upper_setup_file
}

setup() {
	upper_setup
}

@test "files are renamed, also over others" {
	in_both '
		mv a renamed
		mv b dir/file
		echo new >new
		mv new hard1
		mv other/file dir/
		mv -n renamed dir/hard2
		ls -1 . dir
	'
	settles
}

@test "a base directory is renamed with all below it" {
	in_both '
		mv dir moved
		cat moved/sub/deep/file
		[ ! -e dir ]
		mv moved/sub/deep moved/up
		mv moved/up/file top
		mv moved dir2
		mv other dir2/sub/
		cat dir2/sub/other/n7
		ls -R
	'
	settles
}

@test "a directory made in the place of a renamed one is empty" {
	in_both '
		mv dir away
		mkdir dir
		[ -z "$(ls -A dir)" ]
		echo x >dir/file
		mkdir dir/sub
		[ -z "$(ls -A dir/sub)" ]
	'
	settles
}

@test "a directory is renamed over an empty one, and not over a full one" {
	in_both '
		mv -T dir empty
		cat empty/file
		! mv -T other empty 2>/dev/null
		rm -r other
		mv -T empty other
		ls -R other
	'
	settles
}

@test "names are exchanged: files, directories, one of each" {
	for dir in plain m; do
		fsops exchange "$dir/a" "$dir/b"
		fsops exchange "$dir/dir" "$dir/other"
		fsops exchange "$dir/link" "$dir/dir/n1"
		fsops exchange "$dir/empty" "$dir/script"
	done
	same_done
	settles
}

@test "RENAME_NOREPLACE does not replace" {
	run fsops noreplace m/a m/b
	[ "$status" -eq 1 ]
	[[ $output == *"File exists"* ]]
	fsops noreplace m/a m/c
	mv plain/a plain/c
	same_done
}

@test "a directory is not moved into itself" {
	run mv m/dir m/dir/sub/
	[ "$status" -ne 0 ]
	same_done
}

@test "hard links share their inode, those of the base too" {
	in_both '
		ln a a2
		ln dir/file file2
		echo more >>a2
		cat a
		echo through-hard2 >>dir/hard2
		cat hard1
		rm hard1
		cat dir/hard2
		stat -c "%h %n" a a2 dir/hard2
		ln link link2
		perl -e "rename(q(a2), q(a)) or die"
		ls
	'
	settles
}

@test "symbolic links are made, read, replaced and followed" {
	in_both '
		ln -s b soft
		ln -sfn other to-dir
		readlink soft link to-dir
		cat soft
		ls to-dir/ | head -n 3
		rm link
		ln -s /nowhere/at/all dangling
		ln -s "$(printf "long/%.0s" $(seq 800))" long
		readlink long | wc -c
	'
	settles
}

@test "names are removed, and made again as something else" {
	in_both '
		rm a link
		rmdir empty
		rm -r dir
		mkdir a
		echo x >a/in
		echo now a file >dir
		ln -s dir empty
		! rmdir other 2>/dev/null
		! rm other 2>/dev/null
		! mkdir other 2>/dev/null
		ls -lR --time-style=+ | grep -v ^total | tr -s " "
	'
	settles
}

@test "everything can be removed, and the root stays" {
	in_both 'rm -rf ./* && [ -z "$(ls -A)" ]'
	settles
}

@test "10,000 names in a directory" {
	in_both '
		mkdir many
		(cd many && seq 10000 | xargs touch)
		ls many | wc -l
		ls -f many | sort | uniq -d
		(cd many && seq 1 3 10000 | xargs rm)
		ls many | wc -l
	'
	settles
}

@test "reading a directory while names are removed misses none" {
	mkdir m/many
	(cd m/many && seq 0 4999 | xargs touch)
	fsops remove-half m/many 5000
	[ "$(ls m/many | wc -l)" -eq 2500 ]
	(cd m/other && rm file && for i in {0..59}; do mv "n$i" "$i"; done)
	fsops remove-half m/other 60
	[ "$(ls m/other | wc -l)" -eq 30 ]
	rm -rf m/many m/other
	[ ! -e m/many ]
}

@test "100,000 names: read while half of them go, kept over a new worker" {
	mkdir m/many
	fsops make-many m/many 100000
	fsops remove-half m/many 100000
	[ "$(ls -f m/many | wc -l)" -eq 50002 ]
	larder umount -q m
	larder mount -q --resume m
	ls -f m/many | sort | uniq >names
	[ "$(wc -l <names)" -eq 50002 ]
	[ "$(grep -c '[13579]$' names)" -eq 0 ]
	[ "$(stat -c %h m/many/99998)" -eq 1 ]
	[ ! -e m/many/99999 ]
	mv m/many m/moved
	[ -e m/moved/0 ]
	rm -r m/moved
	[ ! -e m/moved ]
}

@test "a directory is renamed while a file in it is written" {
	hold hold-write m/dir/file 'written after
'
	mv m/dir m/moved
	echo 'into the new one' >m/other/file
	mv m/moved/file m/moved/again
	release
	[ "$(cat m/moved/again)" = $'in-dir\nwritten after' ]
	mv plain/dir plain/moved
	mv plain/moved/file plain/moved/again
	echo 'written after' >>plain/moved/again
	echo 'into the new one' >plain/other/file
	same_done
	settles
}

@test "a process whose directory is renamed or removed goes on" {
	(
		cd m/dir/sub
		mv ../../dir ../../elsewhere
		[ "$(cat deep/file)" = deep ]
		echo x >new
		[ "$(cat ../../elsewhere/sub/new)" = x ]
		rm -r ../../elsewhere
		run ! touch more
	)
	rm -r plain/dir
	same_done
}

@test "fifos are made" {
	in_both '
		mkfifo fifo
		stat -c "%F" fifo
		(echo through the fifo >fifo) &
		cat fifo
		wait
	'
	settles
}

@test "a socket is made and used, and is no part of a commit" {
	(cd m && fsops socket socket)
	[ -S m/socket ]
	larder commit -q m --name base --key two
	[ -S m/socket ]
	larder ls base@two >listed
	run ! grep socket listed
}

@test "a device is made by root" {
	require_root
	mknod plain/null c 1 3 || skip "no devices can be made here"
	mknod m/null c 1 3
	[ "$(stat -c '%F %t:%T' m/null)" = 'character special file 1:3' ]
	same_done
	settles
}
