#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# The examples of Solano CI's documentation of incremental caching, as they
# stand: two cache blocks and the script that makes their keys.

load ../helpers

setup() {
	larder_setup
	require_fuse
	need git jq
	mkdir shop
	cd shop || return
	git init -q .
	mkdir -p scripts app/assets
	cp "$LARDER_SRCDIR/tests/cases/project/calculate_key_hash.sh" scripts/
	chmod +x scripts/calculate_key_hash.sh
	echo gem >Gemfile
	echo lock >Gemfile.lock
	echo '{}' >package.json
	echo '{}' >bower.json
	echo style >app/assets/style.css
	printf '%s\n' public tmp node_modules bower_components >.gitignore
}

example() {
	cp "$LARDER_SRCDIR/tests/cases/project/solano-$1.yml" larder.yml
}

# The build's set-up: appends what it found to outcomes, and makes and fills
# the directories of the example, as bundle install and npm install do.
build() {
	larder run -- sh -c '
		echo "$LARDER_OUTCOME ${LARDER_OUTCOME_CACHE-}" \
			"${LARDER_OUTCOME_RUBY-} ${LARDER_OUTCOME_NODE-}" \
			"${LARDER_OUTCOME_ASSETS-}" >>"$BATS_TEST_TMPDIR/outcomes"
		for path in $(sed -n "s,^ *- \(HOME\|REPO\)/,\1/,p" larder.yml)
		do
			d=${path#REPO/}
			[ "$d" != "$path" ] || d=$HOME/${path#HOME/}
			mkdir -p "$d"
			echo made >>"$d/log"
		done'
}

last_outcome() {
	tail -n 1 "$BATS_TEST_TMPDIR/outcomes" | xargs
}

@test "first example: exact, one script's output changed, a key path changed" {
	example 1
	build
	[ "$(last_outcome)" = 'miss miss miss' ]
	[ "$(cat "$HOME/.gem/log" public/assets/log)" = $'made\nmade' ]

	build
	[ "$(last_outcome)" = 'exact exact exact' ]

	echo other >app/assets/style.css
	build
	[ "$(last_outcome)" = 'partial exact partial' ]

	echo other >Gemfile.lock
	build
	[ "$(last_outcome)" = 'partial partial partial' ]

	run_json list
	[ "$(json '[.entries[] | select(.name == "shop-cache")] | length')" = 2 ]
	[ "$(json '[.entries[] | select(.name == "shop-assets")] | length')" = 3 ]
}

@test "first example: another clone gets what the first one saved" {
	example 1
	build
	git add -A
	git -c user.name=t -c user.email=t@t commit -qm one
	cd ..
	git clone -q shop clone
	larder umount --discard "$HOME/bundle"
	larder umount --discard "$HOME/.gem"
	cd clone
	build
	[ "$(last_outcome)" = 'exact exact exact' ]
	[ "$(head -n 1 public/assets/log)" = made ]
	[ "$(head -n 1 tmp/cache/assets/log)" = made ]
	[ "$(head -n 1 "$HOME/bundle/log")" = made ]
}

@test "first example: an exact entry is not saved again" {
	example 1
	build
	build
	larder umount --discard public/assets
	larder umount --discard tmp/cache/assets
	build
	[ "$(last_outcome)" = 'exact exact exact' ]
	# What the first build saved, and this one's line.
	[ "$(wc -l <public/assets/log)" = 2 ]
}

@test "second example: each script is a key of its own, and [] is no default" {
	example 2
	build
	[ "$(last_outcome)" = 'miss miss miss miss' ]
	build
	[ "$(last_outcome)" = 'exact exact exact exact' ]
	# A default key path that the empty list took away.
	echo numpy >requirements.txt
	build
	[ "$(last_outcome)" = 'exact exact exact exact' ]
	echo '{ }' >package.json
	build
	[ "$(last_outcome)" = 'partial exact partial exact' ]
	echo gem2 >Gemfile
	build
	[ "$(last_outcome)" = 'partial partial exact exact' ]
}

@test "without key_paths, the default ones renew everything" {
	printf 'cache:\n  save_paths:\n    - REPO/vendor\n' >larder.yml
	build
	build
	[ "$(last_outcome)" = 'exact exact' ]
	echo gem2 >Gemfile
	build
	[ "$(last_outcome)" = 'partial partial' ]
	echo numpy >requirements.txt
	build
	[ "$(last_outcome)" = 'partial partial' ]
}

# files makes some of the paths of example 1 files, as its set-up may.
files() {
	larder run "$@" -- sh -c '
		echo "$LARDER_OUTCOME $LARDER_OUTCOME_CACHE" \
			"$LARDER_OUTCOME_ASSETS" >>"$BATS_TEST_TMPDIR/outcomes"
		[ -e "$HOME/.gem" ] || echo credentials >"$HOME/.gem"
		mkdir -p "$HOME/bundle" && echo gem >"$HOME/bundle/gem"
		if [ -e public/assets ]; then
			cat app/assets/style.css >>public/assets
		else
			cp app/assets/style.css public/assets
			chmod 750 public/assets
			touch -d "2001-02-03 04:05:06.000000007" public/assets
		fi'
}

@test "first example with files: saved, restored in another clone, renewed" {
	example 1
	files
	[ "$(last_outcome)" = 'miss miss miss' ]
	# What the command made is in its place: the directory as a mount.
	mountpoint -q "$HOME/bundle"
	[ -f "$HOME/.gem" ] && [ ! -e tmp/cache/assets ]
	[ "$(cat "$HOME/bundle/gem" "$HOME/.gem" public/assets | xargs)" = \
		'gem credentials style' ]
	[ "$(larder cat shop-assets@latest REPO/public/assets)" = style ]
	run -1 larder ls shop-assets@latest REPO/tmp

	# Another machine: exact, though a path had nothing.
	git add -A
	git -c user.name=t -c user.email=t@t commit -qm one
	cd ..
	git clone -q shop clone
	larder umount --discard "$HOME/bundle"
	rm "$HOME/.gem"
	cd clone
	run_json run -- sh -c 'cat "$HOME/.gem" "$HOME/bundle/gem"'
	[ "$(json '[.runs[].outcome] | join(" ")')" = 'exact exact' ]
	[ "$(stat -c '%a %y' public/assets)" = \
		"750 $(date -d '2001-02-03 04:05:06' '+%F %T').000000007 $(date -d '2001-02-03 04:05:06' +%z)" ]
	[ "$(cat "$HOME/.gem" public/assets | xargs)" = 'credentials style' ]
	[ ! -e tmp/cache/assets ]

	# A script that prints something else: the file is what is built on.
	echo more >app/assets/style.css
	rm public/assets
	files
	[ "$(last_outcome)" = 'partial exact partial' ]
	[ "$(larder cat shop-assets@latest REPO/public/assets | xargs)" = \
		'style more' ]
}

@test "second example with files: a directory becomes a file and back" {
	example 2
	larder run -- sh -c 'mkdir "$HOME/bundle" && touch "$HOME/bundle/gem"
		echo lock >node_modules; echo conf >bower_components
		mkdir -p public tmp/cache; echo js >public/assets
		echo cached >tmp/cache/assets'
	run_json list
	[ "$(json '[.entries[].files] | sort | join(" ")')" = '1 2 2' ]

	# Each script's files come back, and what is a directory now is none.
	rm node_modules bower_components public/assets tmp/cache/assets
	larder run -- sh -c 'cat node_modules bower_components public/assets \
		tmp/cache/assets >seen'
	[ "$(xargs <seen)" = 'lock conf js cached' ]
	rm node_modules
	mkdir node_modules && touch node_modules/mine
	echo '{ }' >package.json
	run -1 larder run -- touch ran
	[[ $output == *node_modules* ]]
	[ ! -e ran ]
	larder run --adopt -- sh -c 'touch node_modules/more'
	larder umount node_modules
	rm -r node_modules bower_components
	larder run -- sh -c 'ls node_modules >seen; cat bower_components >>seen'
	[ "$(xargs <seen)" = 'mine more conf' ]
}

@test "the example script: files and directories as its arguments" {
	# As it stands in the document, on a file and on a directory.
	a=$(scripts/calculate_key_hash.sh Gemfile app/assets)
	[[ $a =~ ^[0-9a-f]{32}$ ]]
	echo more >app/assets/more
	[ "$(scripts/calculate_key_hash.sh Gemfile app/assets)" != "$a" ]
	rm app/assets/more
	[ "$(scripts/calculate_key_hash.sh Gemfile app/assets)" = "$a" ]
	echo other >Gemfile
	[ "$(scripts/calculate_key_hash.sh Gemfile app/assets)" != "$a" ]
}

@test "a first build that fails leaves its directory to the next one" {
	example 1
	run -3 larder run -- sh -c 'mkdir "$HOME/bundle"
		echo half >"$HOME/bundle/gem"; exit 3'
	mountpoint -q "$HOME/bundle"
	larder run -- sh -c 'cat "$HOME/bundle/gem" >seen'
	[ "$(cat seen)" = half ]
	[ "$(larder cat shop-cache@latest HOME/bundle/gem)" = half ]
}

@test "the newest of the branch comes before the newest" {
	example 2
	git checkout -q -b one
	git -c user.name=t -c user.email=t@t commit -q --allow-empty -m one
	larder run assets -- sh -c 'mkdir public/assets
		echo one >public/assets/branch'
	git checkout -q -b two
	echo two >app/assets/style.css
	larder run assets -- sh -c 'echo two >public/assets/branch'
	larder umount --discard public/assets
	git checkout -q one
	echo three >app/assets/style.css
	larder run assets -- sh -c 'cat public/assets/branch >seen'
	[ "$(cat seen)" = one ]
}

@test "a script that fails is an error that names it" {
	example 1
	printf '#!/bin/sh\necho broken >&2\nexit 3\n' \
		>scripts/calculate_key_hash.sh
	run larder run -- touch ran
	[ "$status" -eq 1 ]
	[[ "$output" == *calculate_key_hash.sh* ]]
	[ ! -e ran ]
}

@test "without a command, the sentence says where to put it" {
	example 1
	run larder run
	[ "$status" -eq 2 ]
	[[ "$output" == *'larder run -- COMMAND'* ]]
	printf '  command: mkdir public/assets; echo made >public/assets/x\n' \
		>>larder.yml
	larder run
	[ "$(cat public/assets/x)" = made ]
}
