# shellcheck shell=bash disable=SC2154,SC2034 # shared with the other parts
# SPDX-License-Identifier: Apache-2.0
#
# Rows and how they are measured. Sourced by run.
#
# A row is one figure that is wanted. Several may come from one function: one
# mount serves the walk, the opening and the reading.

ROWS=()
declare -A ROW_KIND ROW_BOUND ROW_AGAINST ROW_TITLE ROW_MAKER ROW_WHY

# row NAME MAKER KIND BOUND AGAINST TITLE
#
# MAKER is the function that measures it. KIND says what is compared with BOUND:
#
#	ratio	larder's time, by that of the subject AGAINST; at most
#	gain	the other way round: throughput; at least
#	ms MB count	larder's own figure; at most
row() {
	ROWS+=("$1")
	ROW_MAKER[$1]=$2 ROW_KIND[$1]=$3 ROW_BOUND[$1]=$4
	ROW_AGAINST[$1]=$5 ROW_TITLE[$1]=$6
}

rows_list() {
	local name
	for name in "${ROWS[@]}"; do
		printf '%-22s %s\n' "$name" "${ROW_TITLE[$name]}"
	done
}

# rows_select [NAME,...] sets `selected`, in the order of the table.
rows_select() {
	local name wanted
	selected=()
	IFS=, read -ra wanted <<<"$1"
	for name in ${wanted[@]+"${wanted[@]}"}; do
		if [ -z "${ROW_MAKER[$name]:-}" ]; then
			echo "run: there is no row $name; see --list" >&2
			exit 2
		fi
	done
	for name in "${ROWS[@]}"; do
		case ,$1, in
		,, | *,"$name",*) selected+=("$name") ;;
		esac
	done
}

wants() {
	local name
	for name in "${selected[@]}"; do
		[ "$name" != "$1" ] || return 0
	done
	return 1
}

declare -A made

# row_run NAME measures it, unless its maker has run for an earlier row.
row_run() {
	local maker=${ROW_MAKER[$1]} name
	[ -n "${made[$maker]:-}" ] || {
		made[$maker]=yes
		"$maker"
		subjects_end
		for name in "${selected[@]}"; do
			[ "${ROW_MAKER[$name]}" != "$maker" ] ||
				report_line "$name"
		done
	}
}

# skip ROW... -- WHY
skip() {
	local rows=()
	while [ "$1" != -- ]; do
		rows+=("$1")
		shift
	done
	shift
	for name in "${rows[@]}"; do
		ROW_WHY[$name]=$*
	done
}

# record ROW SUBJECT VALUE [CPU [REQUESTS]]: one measurement
record() {
	printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:--}" "${5:--}" \
		>>"$out/raw.tsv"
}

# Processor seconds so far of the worker and of the peers' daemons.
daemons_cpu() {
	local pid pids=("${daemon_pids[@]}")
	pid=$("$LARDER" status --json | jq .worker_pid)
	for pid in "$pid" "${pids[@]}"; do
		[ ! -r "/proc/$pid/stat" ] || cat "/proc/$pid/stat"
	done 2>/dev/null | awk -v hz="$(getconf CLK_TCK)" \
		'{ sub(/.*\) /, ""); s += $12 + $13 } END { print s / hz }'
}

# All requests of all mounts of Larder by opcode, one a line.
all_requests() {
	"$LARDER" status --json | jq -r '.mounts[].requests | to_entries[] |
		"\(.key) \(.value)"' | awk '{ n[$1] += $2 }
		END { for (k in n) print k, n[k] }' | sort
}

# What was requested between two lists, as "total (OPCODE n, ...)".
requests_between() {
	awk 'NR == FNR { was[$1] = $2; next }
	{
		n = $2 - was[$1]
		total += n
		if (n > 0)
			print n, $1
	}
	END { print total + 0, "total" }' "$1" "$2" | sort -rn | awk '
	$2 == "total" { total = $1; next }
	{ text = text (text ? ", " : "") $2 " " $1 }
	END { print total (text ? " (" text ")" : "") }'
}

# timed COMMAND...: sets seconds and cpu, the processor time of the command
# and of all daemons.
timed() {
	local TIMEFORMAT='%R %U %S' before user system
	before=$(daemons_cpu)
	if ! { time "$@" >/dev/null 2>"$bench_dir/stderr"; } 2>"$bench_dir/time"
	then
		cat "$bench_dir/stderr" >&2
		echo "run: failed: $*" >&2
		return 1
	fi
	read -r seconds user system <"$bench_dir/time"
	cpu=$(awk -v u="$user" -v s="$system" -v a="$before" \
		-v b="$(daemons_cpu)" 'BEGIN { printf "%.3f", u + s + b - a }')
}

# once ROW SUBJECT COMMAND...: one measurement
once() {
	local row=$1 subject=$2 requests=-
	shift 2
	all_requests >"$bench_dir/requests.before"
	timed "$@"
	if [[ $subject = larder* ]]; then
		all_requests >"$bench_dir/requests.after"
		requests=$(requests_between "$bench_dir/requests.before" \
			"$bench_dir/requests.after")
	fi
	record "$row" "$subject" "$seconds" "$cpu" "$requests"
}

# take_turns FUNCTION SUBJECT...: FUNCTION SUBJECT in each round, the order
# turned around in every second one
take_turns() {
	local function=$1 i k subjects
	shift
	subjects=("$@")
	for ((i = 0; i < rounds; i++)); do
		for ((k = 0; k < $#; k++)); do
			if ((i % 2)); then
				"$function" "${subjects[$# - 1 - k]}"
			else
				"$function" "${subjects[k]}"
			fi
		done
	done
}

# row_as NEW ROW SUBJECT OTHER: a row of what was measured for another, with
# SUBJECT as larder
row_as() {
	awk -F '\t' -v OFS='\t' -v new="$1" -v row="$2" -v subject="$3" \
		-v other="$4" '$1 == row && ($2 == subject || $2 == other) {
			$1 = new
			if ($2 == subject)
				$2 = "larder"
			print
		}' "$out/raw.tsv" >"$bench_dir/again"
	cat "$bench_dir/again" >>"$out/raw.tsv"
}

# The memory of a virtual machine costs far more when it is first touched than
# later, whoever touches it: half of what is free is touched once.
warm_memory() {
	awk '/^MemAvailable/ { print int($2 / 2048) }' /proc/meminfo |
		xargs python3 -c 'import sys
for mib in range(int(sys.argv[1])):
    globals().setdefault("kept", []).append(b"\1" * (1 << 20))'
}
