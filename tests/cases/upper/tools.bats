#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The programs that work in build directories, over a base.

load ../helpers
load common

setup_file() {
	upper_setup_file
}

setup() {
	upper_setup
	export GIT_CONFIG_GLOBAL=$PWD/gitconfig GIT_CONFIG_SYSTEM=/dev/null
	git config --file gitconfig user.name Test
	git config --file gitconfig user.email test@localhost
	git config --file gitconfig init.defaultBranch main
	git config --file gitconfig gc.autoDetach false
}

@test "git: init, commit, branch, checkout, gc and clone" {
	cd m
	git init -q
	git add -A
	git commit -q -m 'the base'
	git checkout -q -b topic
	git rm -q -r other
	echo more >>a
	git mv dir moved
	git commit -q -a -m 'a change'
	[ "$(git status --porcelain | wc -l)" -eq 0 ]
	git checkout -q main
	[ -e other/n7 ]
	[ -e dir/file ]
	git merge -q topic
	git gc -q --aggressive --prune=now
	git fsck --strict
	cd ..
	git clone -q m/ clone
	git clone -q --no-hardlinks m/ m/inside
	diff -r --exclude=.git m/dir clone/dir 2>/dev/null || diff -r m/moved \
		clone/moved
	git -C m/inside fsck
	settles
	git -C m fsck
	[ "$(git -C m status --porcelain)" = '?? inside/' ]
}

@test "tar extracts and archives the same" {
	need tar
	tar -c -C "$base" --format=pax --xattrs . >base.tar
	mkdir m/extracted plain/extracted
	tar -x -p --xattrs -C m/extracted -f base.tar
	same_tree "$base" m/extracted
	rm -r m/extracted plain/extracted
	# Over what is there already.
	tar -x -p -C m -f base.tar
	tar -x -p -C plain -f base.tar
	same_tree "$base" m
	tar -c -C m --format=pax . | tar -x -p -C plain
	same_tree plain m
}

@test "cp -a into the mount, within it, and out of it" {
	cp -a "$base" m/copy
	same_state "$base" m/copy
	cp -a m/copy m/copy2
	same_state "$base" m/copy2
	cp -a --reflink=auto m/copy2 out
	same_state "$base" out
	settles
}

@test "rsync -aHAX into the mount and back" {
	need rsync
	rsync -aHAX "$base/" m/synced/
	same_state "$base" m/synced
	rsync -aHAX m/synced/ out/
	same_state "$base" out
	echo changed >>m/synced/a
	rm m/synced/b
	rsync -aHAX --delete "$base/" m/synced/
	same_state "$base" m/synced
	[ -z "$(rsync -aHAXi --delete "$base/" m/synced/)" ]
	settles
}

@test "sqlite: a database with a write-ahead log, and one without" {
	need sqlite3
	for journal in wal delete; do
		sqlite3 "m/$journal.db" >/dev/null <<-END
			PRAGMA journal_mode = $journal;
			CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB);
			WITH RECURSIVE n(i) AS
				(SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000)
				INSERT INTO t SELECT i, randomblob(200) FROM n;
			UPDATE t SET v = randomblob(300) WHERE id % 3 = 0;
			DELETE FROM t WHERE id % 5 = 0;
			VACUUM;
		END
	done
	# Two writers at a time.
	for writer in 1 2; do
		for i in $(seq 20); do
			echo ".timeout 20000"
			echo "INSERT INTO t (v) VALUES ('$writer-$i');"
		done | sqlite3 m/wal.db 3>&- &
	done
	wait
	[ "$(sqlite3 m/wal.db 'PRAGMA integrity_check;')" = ok ]
	[ "$(sqlite3 m/wal.db 'SELECT count(*) FROM t;')" -eq 2440 ]
	[ "$(sqlite3 m/delete.db 'PRAGMA integrity_check;')" = ok ]
	settles
	[ "$(sqlite3 m/wal.db 'PRAGMA integrity_check;')" = ok ]
}

@test "editors: write and rename, in place, sed -i" {
	in_both '
		printf "edited\n" >.a.swp
		cat a >a~
		mv .a.swp a
		sed -i s/beta/gamma/ b
		perl -i -pe s/deep/shallow/ dir/sub/deep/file
	'
	if command -v vim >/dev/null; then
		for dir in plain m; do
			vim -es -u NONE -c 'set backup backupdir=.' \
				-c '%s/in-dir/by vim/' -c 'wq' "$dir/dir/file"
		done
		same_done
		[ "$(cat m/dir/file)" = 'by vim' ]
	fi
	settles
}

@test "ar, ld and strip write at random places" {
	need cc ar strip make
	cat >m/one.c <<-'END'
		int one(void) { return 1; }
	END
	cat >m/main.c <<-'END'
		int one(void);
		int main(void) { return one() - 1; }
	END
	cat >m/Makefile <<-'END'
		.RECIPEPREFIX = >
		main: main.o libone.a
		> $(CC) -g -o $@ main.o libone.a
		libone.a: one.o
		> ar rcs $@ one.o
	END
	make -s -C m
	m/main
	make -q -C m
	strip m/main
	m/main
	touch m/one.c
	make -s -C m
	m/main
	settles
	m/main
	make -q -C m
}

@test "rm -rf of everything while it is walked" {
	cp -a "$base" m/copy
	rm -rf m/copy m/dir m/other
	mkdir m/dir
	[ -z "$(ls -A m/dir)" ]
	find m -delete 2>/dev/null || true
	[ -z "$(ls -A m)" ]
	cp -a "$base/." m/
	same_tree "$base" m
}

@test "processes write side by side" {
	cd m
	for i in 1 2 3 4; do
		(
			mkdir "by-$i"
			for j in $(seq 200); do
				echo "$i $j" >"by-$i/$j"
				mv "by-$i/$j" "by-$i/renamed-$j"
			done
			rm by-$i/renamed-1*
		) 3>&- &
	done
	wait
	for i in 1 2 3 4; do
		[ "$(ls "by-$i" | wc -l)" -eq 89 ]
		[ "$(cat "by-$i/renamed-42")" = "$i 42" ]
	done
	cd ..
	settles
}
