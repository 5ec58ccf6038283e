# SPDX-License-Identifier: Apache-2.0
#
# Says whether a series of figures grows. Input: lines "METRIC FLOOR VALUE", a
# metric's values in the order in which they were taken. Prints a line a
# metric, sorted by nothing: "flat|GROWS METRIC FIRST LAST Z", and ends with 1
# where one grows. FIRST and LAST are the medians of the first and the last
# third of a series.
#
# A series grows when two things hold: the last third's median is above the
# first's by more than the metric's floor, which is what a single step may
# cost; and Mann and Kendall's test sees a trend (z above 2.33, one in a hundred
# by chance). Medians do not see an outlier, and the test, which counts the
# pairs that rise and fall, does not see its size; it takes a series that
# jumped once and one that wanders for flat more often than a line fitted by
# least squares does.

function median(v, from, to,	n, i, j, x, s) {
	n = 0
	for (i = from; i <= to; i++) {
		x = v[i]
		for (j = n++; j > 0 && s[j - 1] > x; j--)
			s[j] = s[j - 1]
		s[j] = x
	}
	return n % 2 ? s[(n - 1) / 2] : (s[n / 2 - 1] + s[n / 2]) / 2
}

# The statistic in standard deviations, with the correction for ties.
function mann_kendall(v, n,	i, j, s, x, ties, count, var) {
	for (i = 1; i <= n; i++) {
		count[v[i]]++
		for (j = 1; j < i; j++)
			s += (v[i] > v[j]) - (v[i] < v[j])
	}
	for (x in count)
		ties += count[x] * (count[x] - 1) * (2 * count[x] + 5)
	var = (n * (n - 1) * (2 * n + 5) - ties) / 18
	if (var <= 0 || s == 0)
		return 0
	return (s - (s > 0 ? 1 : -1)) / sqrt(var)
}

{
	if (!($1 in length_of))
		order[++metrics] = $1
	floor_of[$1] = $2
	values[$1, ++length_of[$1]] = $3
}

END {
	for (m = 1; m <= metrics; m++) {
		name = order[m]
		n = length_of[name]
		split("", v)
		for (i = 1; i <= n; i++)
			v[i] = values[name, i]
		third = int((n + 2) / 3)
		first = median(v, 1, third)
		last = median(v, n - third + 1, n)
		z = mann_kendall(v, n)
		grows = last - first > floor_of[name] && z > 2.33
		bad += grows
		printf "%-5s %-24s %10d %10d %6.1f\n",
			grows ? "GROWS" : "flat", name, first, last, z
	}
	exit bad > 0
}
