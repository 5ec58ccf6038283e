#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# A server behind a line with a delay: how many requests what needs, and what
# becomes of reads when the line is cut or stalls.

load ../helpers
load common
load nginx
load line

setup() {
	larder_setup
	require_fuse
	need_nginx
	need jq
	make_remote_tree tree
	# Enough that one request does not bring it all.
	head -c 6000000 /dev/urandom >tree/noise
	start_nginx
	on one "$LARDER" import tree --name web --key k1 >/dev/null
	on one "$LARDER" push -q --to "http://127.0.0.1:$port" web@k1
	mkdir mnt
}

teardown() {
	stop_nginx
	machines_teardown
}

# stat_of FILTER: of `larder stats --json` of machine two.
stat_of() {
	on two "$LARDER" stats --json | jq -r "$1"
}

# requests_for PART: how many requests the server answered whose path has it.
requests_for() {
	grep -c "/$1/" "$web/access.log" || true
}

@test "a mount is one request for the entry and one for the tree" {
	line_start "$port"
	: >"$web/access.log"
	on two "$LARDER" mount --from "http://127.0.0.1:$line_port" web@k1 mnt
	[ "$(requests_for entries)" -eq 1 ]
	[ "$(requests_for trees)" -eq 1 ]
	[ "$(wc -l <"$web/access.log")" -eq 2 ]
	# One after the other, over one connection.
	[ "$(line count | cut -d ' ' -f 1)" -eq 1 ]
	# The first read asks for the frames, the pack's head, and a record.
	cat mnt/run.sh
	wait_until test "$(requests_for records)" -eq 1
	[ "$(grep -c '"HEAD ' "$web/access.log")" -eq 0 ]
	[ "$(requests_for packs)" -eq 2 ]
}

@test "a line that is cut in the middle of a read: the next tier has the rest" {
	line_start "$port" 20 2000000
	configure two <<-END
	tiers:
	  - name: local
	  - {name: far, url: "http://127.0.0.1:$line_port", access: r}
	  - {name: near, url: "http://127.0.0.1:$port", access: r}
	END
	on two "$LARDER" mount web@k1 mnt
	cat mnt/noise >got 3>&- &
	local reader=$!
	wait_until test -s got
	line cut
	wait "$reader"
	cmp tree/noise got
	same_tree tree mnt
	[ "$(stat_of '.tiers[] | select(.name == "near") | .hits')" -ge 1 ]
	[ "$(stat_of '.tiers[] | select(.name == "far") | .failures')" -ge 1 ]
}

@test "with no other tier it ends at its deadline, and goes on when it is back" {
	line_start "$port" 20 4000000
	on two env LARDER_READ_DEADLINE=2 "$LARDER" mount \
		--from "http://127.0.0.1:$line_port" web@k1 mnt
	cat mnt/run.sh >first
	cat mnt/noise >got 3>&- 2>said &
	local reader=$!
	wait_until test -s got
	line cut
	! wait "$reader" || false
	grep -q 'Input/output error' said
	# What has come is there, also for who asks again.
	drop_caches
	cmp first mnt/run.sh
	head -c 100000 mnt/noise | cmp - <(head -c 100000 tree/noise)
	line resume
	wait_until -t 60 same_tree tree mnt
}

@test "a reader that a stalled line keeps waiting ends with a signal, at once" {
	line_start "$port"
	on two env LARDER_READ_DEADLINE=600 "$LARDER" mount \
		--from "http://127.0.0.1:$line_port" web@k1 mnt
	line stall
	env --default-signal=INT cat mnt/noise 3>&- &
	local reader=$!
	wait_until has_read
	SECONDS=0
	kill -INT "$reader"
	status=0
	wait "$reader" || status=$?
	[ "$status" -eq 130 ]
	[ "$SECONDS" -lt 30 ]
	line resume
	same_tree tree mnt
}

has_read() {
	[ "$(on two "$LARDER" status --json |
		jq '.mounts[0].requests.READ // 0')" -ge 1 ]
}
