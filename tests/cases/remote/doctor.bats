#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What larder doctor says of remote tiers.

load ../helpers
load common

setup() {
	larder_setup
	need jq
	mkdir share far
}

# tier NAME URL ACCESS makes it the one that is configured.
tier() {
	printf 'tiers:\n  - name: local\n  - {name: %s, url: "%s", access: %s}\n' \
		"$@" | configure one
}

# says LEVEL TEXT: of a tier, or the clock.
says() {
	on one "$LARDER" doctor --json >result || true
	jq -e --arg level "$1" --arg text "$2" '.checks[] |
		select(.check == "tier" or .check == "clock") |
		select(.level == $level and (.what | contains($text)))' \
		result && return
	jq -r '.checks[] | select(.check == "tier") | .level, .what' result
	return 1
}

problems() {
	jq '[.checks[] | select(.check == "tier" and .level != "ok")] | length' \
		result
}

@test "a directory that is written to and read, and nothing stays in it" {
	tier disk "file://$PWD/share" rw
	says ok 'disk: answers in'
	says ok 'disk: can be written to'
	says ok 'disk: gives parts of objects'
	[ "$(problems)" -eq 0 ]
	[ -z "$(find share -type f)" ]
}

@test "one that is only read is not written to" {
	tier disk "file://$PWD/share" r
	says ok 'it is empty'
	[ -z "$(ls -A share)" ]
	mkdir tree
	seq 1 1000 >tree/file
	on one "$LARDER" import -q tree --name t --key k --tiers local:rw
	on one "$LARDER" push -q --to "file://$PWD/share" t@k
	find share | sort >before
	says ok 'disk: gives parts of objects'
	diff before <(find share | sort)
}

@test "one that is away, or may not be written to" {
	tier disk "file://$PWD/none" rw
	says problem 'disk: it cannot be asked'
	run on one "$LARDER" doctor
	[ "$status" -eq 1 ]
	[[ $output == *'problem'*'tier'*'disk: it cannot be asked'* ]]
}

@test "a web server that is well, but for removing" {
	need python3
	faulty none 1
	tier web "http://127.0.0.1:$(cat server.out)" rw
	says ok 'web: gives parts of objects'
	says warning 'it cannot be removed'
	[ "$(problems)" -eq 1 ]
}

@test "a web server without ranges, with a wrong clock, or that fails" {
	need python3
	faulty whole 1
	tier web "http://127.0.0.1:$(cat server.out)" rw
	says warning 'whole objects in place of parts'
	exec {server_fd}>&-
	faulty late 1000
	tier web "http://127.0.0.1:$(cat server.out)" r
	says warning 's behind this one'
	says ok 'it cannot be listed'
	exec {server_fd}>&-
	faulty 401 1
	tier web "http://127.0.0.1:$(cat server.out)" r
	says problem 'web: it cannot be asked'
	jq -e '.checks[] | select(.level == "problem") | .advice |
		contains("credentials")' result
}
