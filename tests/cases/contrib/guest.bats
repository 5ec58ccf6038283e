#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The descriptions of guests: what they write is a configuration that Larder
# takes, and the one of config.yml. That it serves a guest is remote/guest.bats's.

load ../helpers

setup() {
	larder_setup
	need jq
	guest=$LARDER_SRCDIR/contrib/guest
	home=$PWD/home
	mkdir -p "$home/.config/larder"
	# Of the two ways of config.yml the directory.
	sed '/- name: host/,/access/{/^  #/!d}; s/^  # /  /' \
		"$guest/config.yml" >wanted.yml
}

# tiers FILE: what Larder makes of a configuration.
tiers() {
	[ "$1" -ef "$home/.config/larder/config.yml" ] ||
		cp "$1" "$home/.config/larder/config.yml"
	XDG_CONFIG_HOME=$home/.config "$LARDER" config --json |
		jq -ce .settings.tiers.value
}

# block FILE HEAD: the text of the block that follows the line HEAD.
block() {
	awk -v head="$2" '
		inside && match($0, /[^ ]/) && RSTART <= margin { exit }
		inside { print substr($0, deep + 1) }
		waiting && /(content|script): \|$/ {
			match($0, /[^ ]/); margin = RSTART
			deep = margin + 1; inside = 1
		}
		index($0, head) { waiting = 1 }' "$1"
}

@test "cloud-init writes the configuration" {
	block "$guest/cloud-init.yml" '/etc/skel/.config/larder/config.yml' \
		>config.yml
	grep -q '^tiers:$' config.yml
	[ "$(tiers config.yml)" = "$(tiers wanted.yml)" ]
	grep -q 'enable, larderd.service' "$guest/cloud-init.yml"
	[ -e "$LARDER_BUILDDIR/contrib/systemd/user/larderd.service" ]
}

@test "Lima's script writes the configuration" {
	block "$guest/lima.yml" 'mode: user' >script
	[ "$(head -n 1 script)" = '#!/bin/sh' ]
	env -i HOME="$home" PATH="$PATH" sh -eu script
	[ "$(tiers "$home/.config/larder/config.yml")" = \
		"$(tiers wanted.yml)" ]
	block "$guest/lima.yml" 'mode: system' >script
	sh -n script
}
