/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the daemon for its numbers. */
#include <errno.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "interrupt.h"
#include "sample.h"
#include "store/base/clock.h"

/* The next call forgets a signal that came before it. */
static int not_interrupted(struct failure *f)
{
	int signo = interrupt_signal();

	return signo ? failure_set(f, -ECANCELED, EXIT_SIGNAL + signo,
				   "interrupted (%s)", strsignal(signo)) :
		       0;
}

int sample_take(struct sample *ret_sample, struct failure *f)
{
	_cleanup_client_ struct client *c = NULL;
	struct sample s = { .at_ns = 0 };
	int r = client_open(false, &c, f);

	if (r == -ENOENT || r == -ECONNREFUSED) {
		*ret_sample = (struct sample){ .at_ns = clock_mono_ns() };
		return 0;
	}
	if (r == 0)
		r = client_call(c, "status", json_object(), NULL, 0, &s.status,
				f);
	if (r == 0)
		r = not_interrupted(f);
	if (r == 0)
		r = client_call(c, "stats", json_object(), NULL, 0, &s.stats,
				f);
	if (r == 0)
		r = not_interrupted(f);
	if (r < 0) {
		sample_release(&s);
		return r;
	}
	s.at_ns = clock_mono_ns();
	*ret_sample = s;
	return 0;
}
