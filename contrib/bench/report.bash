# shellcheck shell=bash disable=SC2154 # out, rounds: of run
# SPDX-License-Identifier: Apache-2.0
#
# From single measurements to figures: medians, ratios, a table, two plots.
# Sourced by run.
#
# A ratio is the median of the rounds' own ratios: what both sides of a round
# suffer from the machine then cancels out. It need not be that of the
# medians.

# figures NAME: one line, tab-separated:
# larder's median, the other's, ratio, whether it is met, ratio of processor
# time, requests
figures() {
	awk -F '\t' -v name="$1" -v kind="${ROW_KIND[$1]}" \
		-v against="${ROW_AGAINST[$1]}" -v bound="${ROW_BOUND[$1]}" '
	function median(v, n,	i, j, x, s) {
		for (i = 1; i <= n; i++) {
			x = v[i]
			for (j = i - 1; j > 0 && s[j] > x; j--)
				s[j + 1] = s[j]
			s[j + 1] = x
		}
		return n % 2 ? s[(n + 1) / 2] : (s[n / 2] + s[n / 2 + 1]) / 2
	}
	$1 == name && $2 == "larder" {
		a[++na] = $3
		ca[na] = $4
		if ($5 != "-")
			requests = $5
	}
	$1 == name && $2 == against { b[++nb] = $3; cb[nb] = $4 }
	END {
		n = na < nb ? na : nb
		if (na == 0 || (n == 0 && (kind == "ratio" || kind == "gain")))
			exit
		for (i = 1; i <= n; i++) {
			q[i] = kind == "gain" ? b[i] / a[i] : a[i] / b[i]
			if (ca[i] + 0 > 0 && cb[i] + 0 > 0)
				c[++nc] = ca[i] / cb[i]
		}
		own = median(a, na)
		value = n ? median(q, n) : own
		if (kind == "ms")
			value = own * 1000
		if (kind == "MB")
			value = own * 1024 / 1e6
		met = kind == "gain" ? value >= bound : value <= bound
		printf "%s\t%s\t%.3g\t%s\t%s\t%s\n", own,
			n ? median(b, n) : "-", value, met ? "yes" : "no",
			nc ? sprintf("%.2f", median(c, nc)) : "-",
			requests ? requests : "-"
	}' "$out/raw.tsv"
}

# wanted NAME: the bound with its unit
wanted() {
	case ${ROW_KIND[$1]} in
	ratio) echo "at most ${ROW_BOUND[$1]} ×" ;;
	gain) echo "at least ${ROW_BOUND[$1]} ×" ;;
	*) echo "at most ${ROW_BOUND[$1]} ${ROW_KIND[$1]}" ;;
	esac
}

# report_line NAME: as soon as it is measured
report_line() {
	local line load
	load=$(cut -d ' ' -f 1 /proc/loadavg)
	line=$(figures "$1")
	if [ -z "$line" ]; then
		echo "$1: ${ROW_WHY[$1]:-nothing to compare with here}"
		return
	fi
	record load "$1" "$load"
	IFS=$'\t' read -r own other value met cpu requests <<<"$line"
	echo "$1: $value ($(wanted "$1"): $met); larder $own," \
		"${ROW_AGAINST[$1]} $other; processor time $cpu ×;" \
		"requests $requests; load $load"
}

table_row() {
	local line own other value met cpu requests load
	line=$(figures "$1")
	if [ -z "$line" ]; then
		echo "| ${ROW_TITLE[$1]} | ${ROW_AGAINST[$1]} | | |" \
			"${ROW_WHY[$1]:-not measured} | $(wanted "$1") | | | |"
		return
	fi
	IFS=$'\t' read -r own other value met cpu requests <<<"$line"
	load=$(awk -F '\t' -v n="$1" '$1 == "load" && $2 == n { print $3 }' \
		"$out/raw.tsv")
	echo "| ${ROW_TITLE[$1]} | ${ROW_AGAINST[$1]} | $own | $other |" \
		"**$value** | $(wanted "$1") | $met | $cpu | $requests | $load |"
}

report_table() {
	local name
	cat <<-END
	$(uname -sr), $(nproc) processors, $(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB; $rounds rounds, taking turns; times in seconds (sizes in bytes), medians; ratios
	are medians of the rounds' own. Memory was touched once before. "Processor" is the ratio of processor time, daemons included; "load" the
	machine's load average when the row was done. ext4 stands for the plain directory: here it is $(findmnt -no FSTYPE -T "$work").

	| work | against | Larder | the other | ratio | wanted | met | processor | requests | load |
	|---|---|---|---|---|---|---|---|---|---|
	END
	for name in "${selected[@]}"; do
		table_row "$name"
	done
	printf '\nAll medians:\n\n| row | subject | median | rounds |\n|---|---|---|---|\n'
	grep -v '^load' "$out/raw.tsv" | sort -s -t $'\t' -k1,2 -k3,3g | awk -F '\t' '
	function flush() {
		if (n)
			printf "| %s | %s | %.4g | %d |\n", row, subject, (v[int((n + 1) / 2)] + v[int(n / 2) + 1]) / 2, n
		n = 0
	}
	$1 != row || $2 != subject { flush() }
	{ row = $1; subject = $2; v[++n] = $3 }
	END { flush() }'
}

# One bar a row: how much of what is allowed is taken. Left of the line is met.
report_plots() {
	local name line own other value met cpu requests
	for name in "${selected[@]}"; do
		line=$(figures "$name")
		[ -n "$line" ] || continue
		IFS=$'\t' read -r own other value met cpu requests <<<"$line"
		printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$value" \
			"${ROW_BOUND[$name]}" "${ROW_KIND[$name]}" "$met"
	done | awk -F '\t' '
	{
		share = $4 == "gain" ? $3 / $2 : $3 > 0 ? $2 / $3 : $2
		width = share < 3 ? share * 200 : 600
		y = 30 + 22 * NR
		body = body sprintf("<text x=\"150\" y=\"%d\" text-anchor=\"end\">%s</text>" \
			"<rect x=\"160\" y=\"%d\" width=\"%.1f\" height=\"15\" fill=\"%s\"/>" \
			"<text x=\"%.1f\" y=\"%d\">%s</text>\n", y, $1, y - 12, width,
			$5 == "yes" ? "#3a7d44" : "#b5442e", 166 + width, y, $2)
	}
	END {
		height = 60 + 22 * NR
		print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"" height \
			"\" font-family=\"sans-serif\" font-size=\"12\">"
		print "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
		print "<text x=\"160\" y=\"24\">figure by what is allowed; the line is 1, bars end at 3</text>"
		printf "%s", body
		print "<line x1=\"360\" x2=\"360\" y1=\"32\" y2=\"" height - 20 "\" stroke=\"#000\"/>"
		print "</svg>"
	}' >"$1/ratios.svg"
	! grep -q '^growth' "$out/raw.tsv" || plot_growth "$1"
}

plot_growth() {
	local what
	for what in import hit walk; do
		awk -F '\t' -v what="$what" '$1 == "growth" {
			split($2, k, " ")
			if (k[1] == what)
				print k[2], $3 }' "$out/raw.tsv" >"$bench_dir/growth.$what"
	done
	if [ -z "$(peers gnuplot)" ]; then
		echo "gnuplot is not installed: no growth.svg"
		return
	fi
	gnuplot <<-END
	set terminal svg size 860,480
	set output "$1/growth.svg"
	set logscale xy
	set key left top
	set xlabel "files"
	set ylabel "seconds"
	plot for [w in "import hit walk"] "$bench_dir/growth.".w with linespoints title w
	END
}
