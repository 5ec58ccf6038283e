#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# larder trace: each read of a mount, where its bytes came from, and the end.

load ../helpers
load ../remote/common

setup() {
	larder_setup
	require_fuse
	need jq
	mkdir -p tree/lib m
	echo one >tree/lib/one
	seq 1 200000 >tree/large
	larder import -q tree --name tree --key one
}

# begin ARGUMENT... traces m into trace.out, from when this returns on; of the
# machine in $machine. What a script starts behind it ignores SIGINT otherwise.
begin() {
	local where=()
	[ -z "${machine-}" ] || mapfile -t where < <(
		xdg_dirs "$BATS_TEST_TMPDIR/machines/$machine")
	rm -f trace.err
	env --default-signal=INT "${where[@]}" "$LARDER" trace "$@" m >trace.out 2>trace.err 3>&- &
	tracer=$!
	wait_until grep -q 'tracing' trace.err
}

# end [SIGNAL] ends it, as Ctrl-C does, and is its exit code.
end() {
	kill -"${1:-INT}" "$tracer"
	wait "$tracer"
}

# has FILTER: whether a line of the trace is so.
has() {
	jq -es "any(.[]; $1)" trace.out >/dev/null
}

@test "each read is an object on a line, with path, bytes and place" {
	larder mount -q tree@one m
	mkdir m/dir
	echo new >m/dir/new
	mv m/lib/one m/lib/moved
	begin --json
	[ "$(head -n 1 trace.out | jq -r .trace)" = "$PWD/m" ]
	cat m/lib/moved m/large m/dir/new >/dev/null
	wait_until has '.path == "dir/new"'
	end
	has '.path == "lib/moved" and .bytes == 4 and .from == {"local": 4}
		and .tier == null and .waited_us == 0 and .offset == 0'
	has '.path == "dir/new" and .from == {"upper": 4}'
	[ "$(jq -s 'map(select(.path == "large").bytes) | add' trace.out)" -eq \
		"$(stat -c %s tree/large)" ]
	[ "$(jq -s '.[-1] | [.end, .lost] | join(" ")' -r trace.out)" = \
		'asked 0' ]
	[ "$(jq -s '.[-1].reads' trace.out)" -eq \
		"$(jq -s 'map(select(.took_us)) | length' trace.out)" ]
	# A warm file is the kernel's.
	begin --json --for 1
	cat m/lib/moved
	wait "$tracer"
	[ "$(jq -s '.[-1] | [.end, .reads] | join(" ")' -r trace.out)" = \
		'time 0' ]
}

@test "as text, a line a read" {
	larder mount -q -o ro tree@one m
	begin
	cat m/lib/one
	wait_until grep -q 'lib/one$' trace.out
	end TERM
	[[ $(head -n 1 trace.out) == TIME*FROM*BYTES*WAITED*PATH ]]
	grep -qE '^[0-9:.]{15}  local +4 B .* us  lib/one$' trace.out
}

@test "the summary adds up what each file was read" {
	larder mount -q tree@one m
	echo new >m/new
	begin --summary --json
	cat m/lib/one m/large m/new >/dev/null
	end
	[ "$(jq -r .schema trace.out)" = larder/1 ]
	[ "$(jq '.files | length' trace.out)" -eq 3 ]
	[ "$(jq .bytes trace.out)" -eq \
		$(($(stat -c %s tree/large) + 8)) ]
	[ "$(jq '.files | map(.reads) | add' trace.out)" -eq \
		"$(jq .reads trace.out)" ]
	larder umount -q --discard m
	larder mount -q tree@one m
	begin --summary --sort bytes
	cat m/lib/one m/large >/dev/null
	end
	[[ $(sed -n 2p trace.out) == *large ]]
	[[ $(sed -n 3p trace.out) == *lib/one ]]
	grep -q '^2 files, .* reads, 1.3 MB, .* from local' trace.out
	run larder trace --summary --sort size m
	[ "$status" -eq 2 ]
	run larder trace --sort bytes m
	[ "$status" -eq 2 ]
}

@test "a remote tier has its name, and the wait" {
	mkdir share
	printf 'tiers:\n  - name: local\n  - {name: office, url: "file://%s"}\n' \
		"$PWD/share" | configure two
	larder push -q --to "file://$PWD/share" tree@one
	on two "$LARDER" mount -q tree@one m
	machine=two begin --json
	cat m/large >/dev/null
	wait_until has '.path == "large"'
	end
	has '.tier == "office" and .from.remote > 0 and .waited_us > 0
		and .waited_us <= .took_us'
	on two "$LARDER" umount -q m
}

@test "it ends with the mount, and says so; what was read before is told" {
	larder mount -q tree@one m
	begin --json
	cat m/lib/one
	larder umount -q m
	wait "$tracer"
	has '.path == "lib/one"'
	[ "$(jq -s -r '.[-1].end' trace.out)" = unmounted ]
	grep -q 'was unmounted' trace.err
	run larder trace m
	[ "$status" -eq 1 ]
	[[ $output == *'no Larder mount'* ]]
}

replaced_twice() {
	[ "$(grep -c 'worker was replaced' trace.err)" -ge 2 ]
}

@test "it goes on with the next worker" {
	larder mount -q tree@one m
	begin --json
	larder daemon restart -q
	wait_until grep -q 'worker was replaced' trace.err
	kill_worker
	wait_until replaced_twice
	larder status >/dev/null
	seen() {
		drop_caches
		cat m/lib/one >/dev/null
		has '.path == "lib/one"'
	}
	require_root
	wait_until seen
	end
	replaced_twice
	[ "$(jq -s -r '.[-1].end' trace.out)" = asked ]
}

@test "a reader that stops does not hold the mount, and is told what it lost" {
	larder mount -q -o ro tree@one m
	mkfifo slow
	larder trace --json m >slow 2>trace.err 3>&- &
	tracer=$!
	exec {reader}<slow
	wait_until grep -q tracing trace.err
	for _ in $(seq 1 14); do
		dd if=m/large of=/dev/null bs=1k iflag=direct status=none
	done
	timeout 20 "$LARDER" umount -q m
	cat <&$reader >trace.out
	exec {reader}<&-
	wait "$tracer"
	[ "$(jq -s '.[-1].lost' trace.out)" -gt 0 ]
	[ "$(jq -s '.[-1].lost' trace.out)" -eq \
		"$(jq -s '.[:-1] | map(.lost // 0) | add' trace.out)" ]
	[ "$(jq -s '.[-1] | .reads + .lost' trace.out)" -eq $((14 * 1259)) ]
}

@test "a mount of all entries has the entries' names in its paths" {
	larder mount -q --all m
	begin --json
	cat m/default/tree/one/lib/one
	wait_until has '.path == "default/tree/one/lib/one"'
	end
}
