#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Builds with a web server that does something wrong at every second request,
# in front of a tier that is well (unit/test_lazy_faults.c has every call).

load ../helpers
load common

setup() {
	larder_setup
	require_fuse
	need python3 jq
	make_remote_tree tree
	head -c 3000000 /dev/urandom >tree/noise
	mkdir near far
	on one "$LARDER" import -q tree --name web --key k1 >/dev/null
	on one "$LARDER" push -q --to "file://$PWD/near" web@k1
	cp -r near/v1 far
}

# tiers MACHINE far|near...
tiers() {
	local machine=$1 tier
	shift
	{
		echo 'tiers:'
		echo '  - name: local'
		for tier; do
			echo "  - name: $tier"
			echo "    access: rw"
			if [ "$tier" = far ]; then
				echo "    url: http://127.0.0.1:$(cat server.out)"
			else
				echo "    url: file://$PWD/near"
			fi
		done
	} | configure "$machine"
}

stat_of() {
	on "$1" "$LARDER" stats --json | jq -r "$2"
}

# What was wrong is said once of a kind, and all of it is counted.
said_once() {
	local log=machines/$1/state/larder/larderd.log
	[ "$(stat_of "$1" '.tiers[] | select(.name == "far") |
		.failures + .misses + .damaged')" -ge 1 ]
	[ -z "$(grep -o 'tier far: .*are only counted' "$log" |
		sed 's,v1/[^ :]*,PATH,' | sort | uniq -d)" ]
}

# build MACHINE FAULT: mount, read all, run, commit and push.
build() {
	local m=$1
	mkdir "mnt-$m" "out-$m"
	on "$m" "$LARDER" mount -q web@k1 "mnt-$m"
	same_tree tree "mnt-$m"
	on "$m" "$LARDER" run -q --path "out-$m" --name "made-$m" --key k1 \
		-- sh -c "echo made >out-$m/file"
	echo more >"mnt-$m/more"
	# Whoever waits for the upload is told that it failed, and no more.
	on "$m" "$LARDER" commit -q "mnt-$m" --name web --key "k-$m" --wait ||
		[ $? -eq 6 ]
	[ "$(on "$m" "$LARDER" cat "web@k-$m" more)" = more ]
	case $2 in
	slow) ;;
	*) said_once "$m" ;;
	esac
	on "$m" "$LARDER" umount -q --discard "mnt-$m"
	on "$m" "$LARDER" umount -q "out-$m"
	on "$m" "$LARDER" daemon stop -q
}

@test "whatever a server does wrong, no build fails, and no wrong byte is seen" {
	local fault
	for fault in 500 413 507 404 down slow wrong truncated short long \
		endless; do
		echo "# $fault"
		faulty "$fault" 2
		tiers "m-$fault" far near
		build "m-$fault" "$fault"
		exec {server_fd}>&-
		# What it was given is whole or not there.
		rm -rf far
		mkdir far
		cp -r near/v1 far
	done
}

@test "a server that is alone and lies: EIO, no wrong byte, and no other fault" {
	local fault
	for fault in wrong short; do
		faulty "$fault" 1
		tiers "m-$fault" far
		mkdir "mnt-$fault"
		run on "m-$fault" "$LARDER" mount web@k1 "mnt-$fault"
		[ "$status" -ne 0 ]
		exec {server_fd}>&-
	done
	# Entry and tree are right, all that follows is not.
	faulty none 1
	tiers m far
	mkdir mnt
	on m env LARDER_READ_DEADLINE=1 "$LARDER" mount -q web@k1 mnt
	find far -path '*/packs/*' -type f -exec \
		sh -c 'head -c "$(stat -c %s "$1")" /dev/zero >"$1"' sh {} \;
	run cat mnt/lib/numbers
	[ "$status" -eq 1 ]
	[[ $output == *'Input/output error'* ]]
	[ "$(stat_of m '.tiers[0].damaged')" -ge 1 ]
	# It is put right, and the mount goes on.
	cp -r near/v1 far
	wait_until -t 60 same_tree tree mnt
}
