#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Completions have every command and option that the help has.

load ../helpers

# commands; options COMMAND: with their dashes, one a line, as the help says.
commands() {
	larder --help | awk '/^Commands:/ { on = 1; next }
		on && /^$/ { exit } on { print $1 }'
}

options() {
	larder "$1" --help | sed -nE \
		's/^ +(-(.), )?(--[a-z][a-z-]*)( .*)?$/\3 \1/p' |
		tr -d ',' | tr ' ' '\n' | grep .
}

# complete WORD... prints what bash would offer for the last one.
complete_words() {
	bash -c '
		. ./larder.bash
		[[ $(complete -p larder) == *"-F _larder larder" ]] || exit
		COMP_WORDS=("$@")
		COMP_CWORD=$(($# - 1))
		_larder
		printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

setup() {
	larder_setup
	local shell
	for shell in bash zsh fish; do
		larder completion "$shell" >"larder.$shell"
	done
	[ "$(commands | wc -l)" -gt 25 ]
}

@test "bash offers every command, and every option of each" {
	local command
	bash -n larder.bash
	diff <({ commands; echo help; } | sort) \
		<(complete_words larder '' | grep -v '^--' | sort)
	for command in $(commands); do
		[ "$(options "$command" | wc -l)" -gt 5 ]
		diff <(options "$command" | sort) \
			<(complete_words larder "$command" - | sort)
	done
}

@test "bash completes the word that was begun" {
	[ "$(complete_words larder unm)" = "" ]
	[ "$(complete_words larder umo)" = umount ]
	[ "$(complete_words larder mount --ad)" = --adopt ]
	diff <(printf '%s\n' restart start status stop) \
		<(complete_words larder daemon '' | sort)
	[ "$(complete_words larder completion z)" = zsh ]
	[ "$(complete_words larder help umo)" = umount ]
	# A value, a file, and another command are not ours to offer.
	[ -z "$(complete_words larder run --path -)" ]
	[ -z "$(complete_words larder import '')" ]
	[ -z "$(complete_words larder run --path x -- make -)" ]
}

@test "zsh and fish have every command and option" {
	local command option
	for command in $(commands); do
		grep -q "^	$command)$" larder.zsh
		grep -q -- "-a $command -d '" larder.fish
		for option in $(options "$command"); do
			[[ $option == --* ]] || continue
			sed -n "/^	$command)$/,/;;$/p" larder.zsh |
				grep -qE -- "['{,*]$option(['}\[])"
			grep -q -- "from $command' -l ${option#--}[ $]" \
				larder.fish
		done
	done
}

@test "zsh and fish take their scripts" {
	need zsh fish
	zsh -n larder.zsh
	fish --no-execute larder.fish
}

@test "fish completes a command, an option and a word" {
	need fish
	fish_offers() {
		fish -c 'source larder.fish; complete -C $argv[1]' "$1" |
			cut -f 1
	}
	[ "$(fish_offers 'larder umo')" = umount ]
	[ "$(fish_offers 'larder mount --ad')" = --adopt ]
	[ "$(fish_offers 'larder daemon rest')" = restart ]
}

@test "the shell must be one of three" {
	run larder completion tcsh
	[ "$status" -eq 2 ]
	[[ $output == *'bash, zsh and fish'* ]]
	run larder completion
	[ "$status" -eq 2 ]
}
