# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What restore and save share: how the paths and keys of a CI system become
# names and keys of entries. Sourced.
#
# One entry a path, so that a path may be in several caches. Its name is made
# of the path as it is written, since work spaces are elsewhere on each
# machine. A CI system's key may have any characters, an entry's may not: all
# others are written as _XX, so that a prefix stays a prefix.

ci_key_max=118 # of 128; the rest is for what cache_key() puts in front

ci_say() {
	printf 'larder: %s\n' "$*" >&2
}

# ci_lines TEXT prints its lines that are not empty, without blanks around.
ci_lines() {
	sed 's/^[[:space:]]*//; s/[[:space:]]*$//; /^$/d' <<<"$1"
}

# ci_larder ARGUMENT... with the tiers, if the job names some.
ci_larder() {
	"${LARDER:-larder}" "$@" ${LARDER_CI_TIERS:+--tiers "$LARDER_CI_TIERS"}
}

# ci_encode TEXT: as a part of a key.
ci_encode() {
	local text=$1 out='' c i LC_ALL=C
	for ((i = 0; i < ${#text}; i++)); do
		c=${text:i:1}
		case $c in
		[A-Za-z0-9.-]) out+=$c ;;
		*)
			printf -v c %d "'$c" # a byte, with a sign in some shells
			printf -v c _%02X $((c & 255))
			out+=$c
			;;
		esac
	done
	printf '%s' "$out"
}

# ci_key KEY: the key of the entry. One that is too long ends with its digest.
ci_key() {
	local key
	key=$(ci_encode "$1")
	if [ "${#key}" -gt "$ci_key_max" ]; then
		key=${key:0:$((ci_key_max - 17))}.$(printf %s "$1" |
			sha256sum | cut -c 1-16)
	fi
	printf 'ci-%s' "$key"
}

# ci_name PATH
ci_name() {
	local base=${1##*/}
	base=${base//[!A-Za-z0-9.-]/-}
	printf 'ci-%.40s-%s' "$base" \
		"$(printf %s "$1" | sha256sum | cut -c 1-16)"
}

# ci_path PATH: where it is here. A ~ is the home directory.
ci_path() {
	case $1 in
	[~]) printf %s "$HOME" ;;
	[~]/*) printf %s "$HOME${1#[~]}" ;;
	*) printf %s "$1" ;;
	esac
}

# ci_output NAME VALUE: where the CI system looks, or on standard output.
ci_output() {
	printf '%s=%s\n' "$1" "$2" >>"${LARDER_CI_OUTPUT:-${GITHUB_OUTPUT:-/dev/stdout}}"
}

# ci_check: what both need, said where it is missing.
ci_check() {
	if [ -z "${LARDER_CI_KEY:-}" ] || [ -z "${LARDER_CI_PATH:-}" ]; then
		ci_say "LARDER_CI_KEY and LARDER_CI_PATH are needed"
		return 2
	fi
	if ! command -v "${LARDER:-larder}" >/dev/null; then
		ci_say "warning: larder is missing, continuing without a cache"
		return 1
	fi
}
