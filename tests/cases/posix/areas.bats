#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A mount does what the local file system does: contents, names, events, locks,
# attributes, and what has no name.

load ../helpers
load common

setup() {
	larder_setup
	require_fuse
}

# has LINE...: each of them is in the transcript.
has() {
	local line
	for line in "$@"; do
		grep -qxF -- "$line" m.out || {
			echo "not in the transcript: $line" >&2
			return 1
		}
	done
}

@test "holes, 4 GiB, mappings, appends and copies read the same" {
	mount_empty
	same_transcript data
	has 'size: 5368709128' 'lines in order: 600' \
		'stored elsewhere: 16 '\''----else--------'\' \
		'store behind the end: signal 7' 'into a large hole: 1000'
	[ "$(grep -c 'hidden 0, backwards 0' m.out)" -eq 6 ]
}

@test "20,000 names, read while names come and go" {
	mount_empty
	same_transcript dir
	has 'entries: 20002' 'not seen once: 0' 'marks: 40' \
		'marks that led elsewhere: 0' 'came: 2000'
	[ "$(grep -cx 'staying names not seen once: 0' m.out)" -eq 2 ]
}

@test "names of any bytes and lengths, and every kind of wrong one" {
	mount_empty
	same_transcript errors
	has 'names made: 507' 'names listed: 509' '40 links: ok' \
		'41 links: ELOOP' \
		''\''dir'\'' rename a full over: ok' 'unlink a directory: EISDIR' \
		'rmdir full: ENOTEMPTY' 'rename into itself: EINVAL' \
		'rename to another file system: EXDEV' \
		'link to another file system: EXDEV'
	grep -q '^statfs: size 1, .*, sane 1$' m.out
	[ "$(grep -c '^statfs:.* 0' m.out)" -eq 0 ]
	[ "$(grep -c ENAMETOOLONG m.out)" -gt 8 ]
	[ "$(grep -c ENOTDIR m.out)" -gt 50 ]
	[ "$(grep -c EISDIR m.out)" -gt 10 ]
}

@test "inotify tells of local changes" {
	mount_empty
	same_transcript events
	[ "$(grep -c '^  file' m.out)" -gt 20 ]
	[ "$(grep -c '^  dir' m.out)" -gt 40 ]
	has '  file delete-self: itself' '  dir moved-to: over'
}

@test "locks of processes and of open files" {
	mount_empty
	same_transcript locks
	has '  other write 10 after a close of the file: EAGAIN' \
		'  other write 10 after a close of the file: ok' \
		'  waited for the killed: ok' '  told: 1'
}

@test "files and directories without a name" {
	mount_empty
	same_transcript unlinked
	has 'link it: ENOENT' 'link it: ok' 'rmdir of where it is: ok' \
		'create in it: ENOENT'
	grep -q '^  and there: links 0 mode 100640 size 100010 .*again' m.out
	grep -q '^named twice: links 2 mode 100600 size 3 ' m.out
}

@test "extended attributes: name spaces, flags, limits, users" {
	require_root
	mount_empty -o suid,dev,allow_other
	chmod 755 m .
	same_transcript xattrs
	[ "$(grep -c EPERM m.out)" -ge 9 ]
	[ "$(grep -c ERANGE m.out)" -gt 4 ]
	[ "$(grep -c ENODATA m.out)" -gt 10 ]
}

@test "an attribute's value is as long as the set of them may be" {
	need setfattr getfattr
	mount_empty
	touch m/f
	setfattr -n user.long -v "$(printf '%060000d' 7)" m/f
	larder umount -q m
	larder mount -q --resume m
	[ "$(getfattr --only-values -n user.long m/f)" = \
		"$(printf '%060000d' 7)" ]
	run setfattr -n user.more -v "$(printf '%06000d' 8)" m/f
	[ "$status" -ne 0 ]
	[[ $output == *'No space left'* ]]
	[ "$(getfattr --only-values -n user.long m/f | wc -c)" -eq 60000 ]
}

@test "an ordinary user's ACLs, and what inherits them" {
	need setfacl getfacl
	cat >acls <<-'END'
		set -e
		umask 027
		touch before
		setfacl -m u:1234:rw,g:1235:r before
		getfacl -cn before
		chmod 604 before
		getfacl -cn before
		setfacl -m m::rw before
		stat -c %a before
		mkdir top
		setfacl -d -m u:1234:rwx,g:1235:rx,o::- top
		getfacl -cn top
		touch top/file
		mkdir -p top/sub/deeper
		ln -s file top/link
		mkfifo top/fifo
		(umask 077; touch top/closed; mkdir top/closed-dir)
		mv before top/sub/moved
		ln top/file top/sub/hard
		cp -a top copy
		setfacl -k top/sub
		touch top/sub/later
		setfacl -b top/file
		! setfacl -d -m u:1234:r top/file
		setfacl -x u:1234 top/closed
		setfacl -R -m u:1236:rX top
		cd top
		getfacl -Rcn . ../copy
		find . ../copy -printf '%p %m\n' | sort
	END
	make_user_dir
	cp acls "$USER_DIR/acls"
	chmod 755 "$USER_DIR/acls"
	as_user mkdir beside m
	as_user larder mount -q --empty m
	as_user sh -c 'cd beside && sh ../acls' >beside.out
	as_user sh -c 'cd m && sh ../acls' >m.out
	diff <(sort beside.out) <(sort m.out)
	[ "$(grep -c '^user:1234:' m.out)" -gt 6 ]
	[ "$(grep -c '^default:user:1234:' m.out)" -gt 3 ]

	# They are in what is committed, and in what is mounted again.
	as_user larder commit -q m --name acls --key one
	as_user larder umount -q m
	as_user mkdir again
	as_user larder mount -q -o ro acls@one again
	as_user sh -c 'cd again/top && getfacl -Rcn . ../copy' >again.out
	[ "$(grep -c '^user:1234:' again.out)" -gt 4 ]
	diff <(as_user sh -c 'cd beside/top && getfacl -Rcn . ../copy' | sort) \
		<(sort again.out)
}

@test "ACLs decide who may" {
	require_root
	need setfacl setpriv
	make_user_dir
	chmod 711 "$USER_DIR"
	mkdir "$USER_DIR"/{m,beside}
	larder mount -q -o rw,allow_other --empty "$USER_DIR/m"
	cat >decide <<-'END'
		umask 022
		chmod 755 .
		for f in read write none masked; do
			echo "$f" >"$f"
			chmod 600 "$f"
		done
		setfacl -m u:larder-test:r read
		setfacl -m u:larder-test:rw write
		setfacl -m g:larder-test:rw,m::r masked
		mkdir dir
		setfacl -m u:larder-test:rwx dir
		mkdir closed
		setfacl -m u:larder-test:- closed
	END
	cat >try <<-'END'
		for f in read write none masked; do
			cat "$f" 2>/dev/null && echo "$f: read"
			(echo x >>"$f") 2>/dev/null && echo "$f: written"
		done
		touch dir/new && echo made
		touch new 2>/dev/null && echo made here
		ls closed 2>/dev/null && echo listed
		true
	END
	for where in beside m; do
		(cd "$USER_DIR/$where" && sh "$BATS_TEST_TMPDIR/decide")
		(cd "$USER_DIR/$where" &&
			setpriv --reuid "$LARDER_TEST_USER" --regid \
				"$LARDER_TEST_USER" --clear-groups \
				sh -c "$(cat "$BATS_TEST_TMPDIR/try")") >"$where.out"
	done
	diff beside.out m.out
	has 'read: read' 'write: written' 'masked: read' made
	[ "$(wc -l <m.out)" -eq 8 ]
}
