/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The progress line. Owns whether one is drawn and when the next is due.
 */
#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "format.h"
#include "out.h"
#include "store/base/clock.h"

#define FIRST_NS INT64_C(500000000)
#define LINE_NS INT64_C(5000000000)

static bool wanted, on_terminal, drawn;
static int64_t next_ns; /* monotonic */

void progress_init(bool is_wanted)
{
	wanted = is_wanted;
	on_terminal = isatty(STDERR_FILENO);
}

void progress_begin(void)
{
	next_ns = clock_mono_ns() + (on_terminal ? FIRST_NS : LINE_NS);
}

void progress_clear(void)
{
	if (drawn)
		fputs("\r\033[K", stderr);
	drawn = false;
}

static void print_state(const json_t *params)
{
	json_int_t all_files = field_number(params, "all_files");
	json_int_t all_bytes = field_number(params, "all_bytes");
	char a[FORMAT_MAX], b[FORMAT_MAX];

	fprintf(stderr, "larder: %s: %s", field_text(params, "phase"),
		format_count((uint64_t)field_number(params, "files"), a));
	if (all_files > 0)
		fprintf(stderr, " of %s", format_count((uint64_t)all_files, b));
	fprintf(stderr, " files, %s",
		format_bytes((uint64_t)field_number(params, "bytes"), a));
	if (all_bytes > 0)
		fprintf(stderr, " of %s (%d %%)",
			format_bytes((uint64_t)all_bytes, b),
			(int)((double)field_number(params, "bytes") * 100 /
			      (double)all_bytes));
}

void progress_show(const json_t *params)
{
	int64_t now = clock_mono_ns();

	if (!wanted || now < next_ns)
		return;
	progress_clear();
	print_state(params);
	if (on_terminal) {
		fflush(stderr);
		drawn = true;
		return;
	}
	fputc('\n', stderr);
	next_ns = now + LINE_NS;
}
