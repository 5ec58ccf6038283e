#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Settings of the user and the machine: larder config, and that they count.

load ../helpers

setup() {
	larder_setup
	need jq
	export LARDER_SYSTEM_CONFIG=$PWD/system.yml
	mkdir -p "$XDG_CONFIG_HOME/larder"
	user=$XDG_CONFIG_HOME/larder/config.yml
	umask 022
}

@test "each value with where it comes from, the nearest source first" {
	printf 'tenant: a\nnamespace: b\nmode: force\n' >system.yml
	printf '\nnamespace: c\nmode: off\n' >"$user"
	export LARDER_MODE=read-only
	run_json config --namespace d
	[ "$(json '.settings.tenant | .value, .origin')" = \
		"a"$'\n'"$PWD/system.yml:1" ]
	[ "$(json '.settings.namespace | .value, .origin')" = \
		$'d\ncommand line: --namespace' ]
	[ "$(json '.settings.mode | .value, .origin')" = \
		$'read-only\nenvironment: LARDER_MODE' ]
	[ "$(json '.settings["trusted-keys"].origin')" = default ]
	run larder config --origin
	[[ "$output" == *"namespace = c  ($user:2)"* ]]
	run larder config mode
	[ "$output" = 'mode = read-only' ]
	run larder config modes
	[ "$status" -eq 2 ]
	[[ "$output" == *'did you mean mode?'* ]]
}

@test "the caches of the project are settings too" {
	printf 'caches:\n- {name: web, paths: [d], key: v1}\n' >larder.yml
	run_json config caches.web
	[ "$(json '.settings["caches.web"] | .value.paths[0], .origin')" = \
		"$PWD/d"$'\n''larder.yml:2' ]
}

@test "tenant and namespace count" {
	require_fuse
	mkdir tree
	touch tree/file
	printf 'namespace: mine\n' >"$user"
	larder import tree --name t --key v1
	run_json list
	[ "$(json '.entries[0].namespace')" = mine ]
	run_json list --namespace default
	[ "$(json '.entries | length')" = 0 ]
	LARDER_NAMESPACE=other run_json list
	[ "$(json '.entries | length')" = 0 ]
}

@test "mode counts for run, import and commit; the project's comes before" {
	require_fuse
	printf 'mode: read-only\n' >"$user"
	mkdir tree
	run larder import tree --name t --key v1
	[ "$status" -eq 5 ]
	larder run --path d --key v1 -- touch d/x
	run_json list
	[ "$(json '.entries | length')" = 0 ]
	printf 'caches:\n- {name: d, paths: [d], key: v1, mode: default,
		command: touch d/x}\n' >larder.yml
	larder run
	run_json list
	[ "$(json '.entries | length')" = 1 ]
}

@test "limits.key-timeout ends a script that hangs" {
	printf 'limits: {key-timeout: 1}\n' >"$user"
	run larder key --key-script 'sleep 30'
	[ "$status" -eq 1 ]
	[[ "$output" == *'sleep 30'* ]]
}

@test "a mistake fails every command, by file and line" {
	printf 'tennant: a\n' >"$user"
	for command in config status list "run --path d --key v1 -- true"; do
		# shellcheck disable=SC2086 # words of a command
		run larder $command
		[ "$status" -eq 2 ]
		[[ "$output" == *"$user:1: "*'unknown key tennant; did you mean tenant?'* ]]
	done
	larder config --help >/dev/null
}

@test "a file that others can write is refused" {
	printf 'tenant: a\n' >"$user"
	chmod 666 "$user"
	run larder config
	[ "$status" -eq 2 ]
	[[ "$output" == *"chmod go-w"* ]]
}
