#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Mount points that cannot be used.

load ../helpers

setup() {
	larder_setup
	require_fuse
	mkdir tree m
	echo content >tree/file
	larder import -q tree --name tree --key one
}

# refused STATUS WORD ARGUMENT...
refused() {
	run --separate-stderr larder "${@:3}"
	if [ "$status" -ne "$1" ] || [ -n "$output" ] ||
		[ "$(wc -l <<<"$stderr")" -ne 1 ] ||
		[[ $stderr != *"$2"* ]]; then
		echo "larder ${*:3}: $status, $output, $stderr"
		return 1
	fi
}

@test "one that does not exist" {
	refused 1 "$PWD/none" mount tree@one none
	refused 1 none mount --empty none/at/all
	[ ! -e none ]
}

@test "one that is not empty" {
	refused 1 'not empty' mount tree@one tree
	[ "$(cat tree/file)" = content ]
}

@test "one that is no directory" {
	echo x >file
	refused 1 "$PWD/file" mount tree@one file
	ln -s m link
	refused 1 "$PWD/link" mount tree@one link
}

@test "a pipe or nothing for a run's directory" {
	mkfifo pipe
	refused 1 'pipe is neither a file nor a directory' run --path pipe \
		--key k -- false
	refused 2 'path is empty' run --path '' --key k -- false
	printf 'cache: {key_paths: [tree/file], save_paths: [m, REPO/pipe]}\n' \
		>larder.yml
	refused 1 'pipe is neither a file nor a directory' run -q -- false
	[ -p pipe ]
	! mountpoint -q m
}

@test "one that is mounted already" {
	larder mount -q tree@one m
	echo mine >m/mine
	# The same entry is found mounted, with what was written since.
	larder mount -q tree@one m
	[ "$(cat m/mine)" = mine ]
	refused 8 "$PWD/m" mount -o ro tree@one m
	refused 8 "$PWD/m" mount --empty m
	larder import -q tree --name tree --key two >/dev/null
	refused 8 "$PWD/m" mount tree@two m
	[ "$(cat m/mine)" = mine ]
}

@test "one of another file system" {
	require_root
	mount -t tmpfs larder-test m || skip "nothing can be mounted"
	run --separate-stderr larder mount tree@one m
	umount m
	[ "$status" -eq 8 ]
	[[ $stderr == *"$PWD/m"* ]]
}

@test "the current directory is not unmounted" {
	larder mount -q tree@one m
	cd m
	refused 8 'current directory' umount .
	refused 8 'current directory' umount "$PWD"
	cd ..
	larder umount m
}

@test "one inside another mount: the daemon does not serve itself" {
	larder mount -q tree@one m
	mkdir m/inner
	refused 1 "$PWD/m/inner" mount tree@one m/inner
	[ -z "$(ls -A m/inner)" ]
	larder umount --discard m
}

@test "a directory with an odd name" {
	dir=$'two words \xff and\na line'
	mkdir "$dir"
	larder mount -q tree@one "$dir"
	same_tree tree "$dir"
	echo new >"$dir/new"
	larder commit -q "$dir" --name tree --key two
	larder umount "$dir"
	[ "$(larder cat tree@two new)" = new ]
}

@test "without /dev/fuse" {
	require_root
	unshare -m true 2>/dev/null || skip "no mount namespaces"
	# A daemon is what looks for it, so this one has its own.
	larder daemon stop
	cat >inside <<-'END'
		mount -t tmpfs none /dev
		mknod -m 666 /dev/null c 1 3
		mknod -m 666 /dev/urandom c 1 9
		larder mount tree@one m
		status=$?
		larder cat tree@one file || status=99
		larder run --path out --key one -- sh -c 'echo x >out/x' ||
			status=98
		larder daemon stop
		exit $status
	END
	run --separate-stderr unshare -m bash inside
	[ "$status" -eq 1 ]
	[[ $stderr == *"/dev/fuse"* ]]
	[[ $output == *content* ]]
	# The command ran all the same, on the plain directory.
	[ "$(cat out/x)" = x ]
}

@test "without fusermount3, as an ordinary user" {
	require_root
	unshare -m true 2>/dev/null || skip "no mount namespaces"
	program=$(command -v fusermount3)
	make_user_dir
	cp -r tree "$USER_DIR/"
	mkdir "$USER_DIR/m"
	chown -R "$LARDER_TEST_USER" "$USER_DIR"
	cat >inside <<-END
		mount --bind /dev/null "$program"
		cd "$USER_DIR"
		as="setpriv --reuid $LARDER_TEST_USER --regid
			$LARDER_TEST_USER --clear-groups"
		\$as larder import -q tree --name tree --key one || exit 99
		\$as larder mount tree@one m
		status=\$?
		\$as larder daemon stop
		exit \$status
	END
	# shellcheck disable=SC2046 # assignments without spaces
	run --separate-stderr unshare -m env $(xdg_dirs "$USER_DIR") \
		"LARDERD=$USER_DIR/bin/larderd" \
		"PATH=$USER_DIR/bin:$PATH" bash inside
	[ "$status" -eq 1 ]
	[[ $stderr == *fusermount3* ]]
}
