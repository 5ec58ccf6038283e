#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The daemon's log: how much is in it, by setting and option.

load ../helpers

setup() {
	larder_setup
	require_fuse
	mkdir tree m
	echo content >tree/file
	log=state/larder/larderd.log
}

stop() {
	larder daemon stop -q
}

@test "the level is info, unless the configuration says otherwise" {
	larder import -q tree --name tree --key one
	larder mount -q tree@one m
	larder umount -q m
	grep -q 'unmounted' "$log"
	stop
	rm "$log"
	mkdir -p config/larder
	printf 'log: {level: error}\n' >config/larder/config.yml
	larder config log.level | grep -q error
	larder mount -q tree@one m
	larder umount -q m
	run ! grep -q 'unmounted' "$log"
	stop
	LARDER_LOG_LEVEL=info larder mount -q tree@one m
	larder umount -q m
	grep -q 'unmounted' "$log"
}

@test "an option for the command is the daemon's that it starts" {
	larder import -q tree --name tree --key one --log-level error
	larder mount -q tree@one m
	larder umount -q m
	run ! grep -q 'unmounted' "$log"
}

@test "what is no level is refused where it stands" {
	run larder list --log-level loud
	[ "$status" -eq 2 ]
	[[ $output == *'--log-level loud: use error, warning, info or debug'* ]]
	mkdir -p config/larder
	printf 'log:\n  level: loud\n' >config/larder/config.yml
	run larder list
	[ "$status" -eq 2 ]
	[[ $output == *'config.yml:2:'*'loud'* ]]
	run larderd --help
	[[ $output == *--log-level* ]]
}
