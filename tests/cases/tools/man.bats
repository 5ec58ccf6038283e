#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# There is a manual page for every command, with every option of it.

load ../helpers

setup() {
	larder_setup
	pages=$LARDER_BUILDDIR/tools
	commands=$(larder --help | awk '/^Commands:/ { on = 1; next }
		on && /^$/ { exit } on { print $1 }')
	[ "$(wc -l <<<"$commands")" -gt 25 ]
}

# page COMMAND prints it without its macros' backslashes.
page() {
	local file=$pages/larder-$1.1
	[ -e "$file" ] || file=$LARDER_SRCDIR/tools/larder-$1.1
	sed 's/\\-/-/g; s/\\f[BIR]//g; s/\\&//g; s/^\.\(It \)\?Fl \(.*\)/-\2/' \
		"$file" | sed 's/Fl -\([a-z]\)/--\1/g; s/^--*\([a-z]\)/--\1/'
}

@test "each command has a page with its name, summary and own options" {
	local command option
	for command in $commands; do
		page "$command" >page
		grep -qi "larder.$command" page
		for option in $(larder "$command" --help |
			sed '/^Options of all/,$d; /^Key options/,$d' |
			sed -nE 's/^ +(-., )?--([a-z][a-z-]*)( .*)?$/\2/p'); do
			grep -q -- "--*$option\b" page || {
				echo "larder-$command.1 has no --$option"
				return 1
			}
		done
	done
}

@test "the pages made from the table are what the command prints" {
	local command
	for command in $commands; do
		[ "$command" != run ] || continue
		diff <(larder help "$command" --man) "$pages/larder-$command.1"
	done
	run larder help nothing --man
	[ "$status" -eq 2 ]
}

@test "the overview names every command, with its summary, and no others" {
	diff <(larder --help | awk '/^Commands:/ { on = 1; next }
			on && /^$/ { exit }
			on { name = $1; sub(/^ *[^ ]+ +/, ""); print name ": " $0 }') \
		<(awk '/^\.It Xr larder-[a-z]* 1$/ { name = substr($3, 8); next }
			name { print name ": " $0; name = "" }' \
			"$LARDER_SRCDIR/tools/larder.1")
}

@test "what the pages refer to is there" {
	local file page
	for file in "$pages"/larder-*.1 "$LARDER_SRCDIR"/tools/*.[1578]; do
		[ -e "$file" ] || continue
		for page in $(sed -nE 's/\\-/-/g
			s/^\.(Xr|BR) ((larder|mount\.larder)[a-z.-]*) \(?([1578])\)?.*/\2.\4/p' \
			"$file"); do
			[ -e "$pages/$page" ] ||
				[ -e "$LARDER_SRCDIR/tools/$page" ] || {
				echo "${file##*/} refers to $page"
				return 1
			}
		done
	done
}

@test "no page has an error" {
	need groff
	local file
	for file in "$pages"/larder-*.1 "$LARDER_SRCDIR"/tools/*.[1578]; do
		[ -e "$file" ] || continue
		groff -man -mdoc -Tutf8 -ww -z "$file" 2>errors
		[ ! -s errors ] || { cat errors; return 1; }
		! command -v man >/dev/null ||
			MANWIDTH=80 man --warnings -l "$file" 2>errors >/dev/null
		[ ! -s errors ] || { cat errors; return 1; }
	done
}
