/* SPDX-License-Identifier: Apache-2.0 */
/* Rates of two samples: of mounts and tiers that stay, come and go, and of
 * counters that begin anew. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tools/rates.h"

#define SECOND_NS INT64_C(1000000000)

/* `text` is the result of stats. */
static struct sample sample(int64_t at_s, int worker, const char *text)
{
	struct sample s = { .at_ns = at_s * SECOND_NS,
			    .status = json_pack("{s:i}", "worker_pid", worker),
			    .stats = json_loads(text, 0, NULL) };

	assert_non_null(s.status);
	assert_non_null(s.stats);
	return s;
}

#define BEFORE                                                         \
	"{\"mounts\":["                                                \
	"{\"id\":\"a\",\"dir\":\"/a\",\"requests_total\":100,"         \
	"\"read_bytes\":1000,\"written_bytes\":50,\"upper_bytes\":9,"  \
	"\"remote\":{\"fetched_bytes\":10,\"reads_waited\":2,"         \
	"\"waits_sum_us\":600}},"                                      \
	"{\"id\":\"gone\",\"dir\":\"/gone\",\"requests_total\":7}],"   \
	"\"totals\":{\"requests\":{\"READ\":90,\"LOOKUP\":17},"        \
	"\"read_bytes\":1000,\"written_bytes\":50,"                    \
	"\"remote\":{\"fetched_bytes\":10,\"reads_waited\":2,"         \
	"\"waits_sum_us\":600},"                                       \
	"\"tiers\":[{\"name\":\"office\",\"up\":true,\"requests\":10," \
	"\"hits\":9,\"misses\":1,\"failures\":0,\"bytes_in\":500,"     \
	"\"bytes_out\":0,\"latency_sum_us\":1000}]}}"
#define NOW                                                                  \
	"{\"mounts\":["                                                      \
	"{\"id\":\"new\",\"dir\":\"/new\",\"requests_total\":40,"            \
	"\"remote\":null,\"upper_bytes\":10},"                               \
	"{\"id\":\"a\",\"dir\":\"/a\",\"requests_total\":300,"               \
	"\"read_bytes\":5000,\"written_bytes\":50,\"upper_bytes\":9,"        \
	"\"remote\":{\"fetched_bytes\":210,\"reads_waited\":6,"              \
	"\"waits_sum_us\":4600}}],"                                          \
	"\"totals\":{\"requests\":{\"READ\":290,\"LOOKUP\":27,\"OPEN\":30}," \
	"\"read_bytes\":5000,\"written_bytes\":50,"                          \
	"\"remote\":{\"fetched_bytes\":210,\"reads_waited\":6,"              \
	"\"waits_sum_us\":4600},"                                            \
	"\"tiers\":[{\"name\":\"office\",\"up\":true,\"requests\":14,"       \
	"\"hits\":11,\"misses\":2,\"failures\":1,\"bytes_in\":700,"          \
	"\"bytes_out\":20,\"latency_sum_us\":9000}]}}"

static void assert_rate(double got, double want)
{
	assert_true(got > want - 1e-9 && got < want + 1e-9);
}

static void test_two_samples(void **state)
{
	struct sample before = sample(10, 1, BEFORE), now = sample(12, 1, NOW);
	struct rates r;

	(void)state;
	assert_int_equal(rates_make(&before, &now, &r), 0);
	assert_rate(r.seconds, 2);
	assert_int_equal(r.n_mounts, 2);
	rates_sort(&r, 0);
	assert_string_equal(field_text(r.mounts[0].mount, "id"), "a");
	assert_rate(r.mounts[0].requests, 100);
	assert_rate(r.mounts[0].read_bytes, 2000);
	assert_rate(r.mounts[0].written_bytes, 0);
	assert_rate(r.mounts[0].fetched_bytes, 100);
	assert_rate(r.mounts[0].waits, 2);
	assert_rate(r.mounts[0].waited_us, 2000);
	/* One that was not there has done all of it since. */
	assert_rate(r.mounts[1].requests, 20);
	assert_rate(r.all.requests, 120);
	assert_rate(r.all.read_bytes, 2000);
	assert_rate(r.all.waits, 2);
	assert_int_equal(r.n_tiers, 1);
	assert_rate(r.tiers[0].requests, 2);
	assert_rate(r.tiers[0].hits, 1);
	assert_rate(r.tiers[0].misses, 0.5);
	assert_rate(r.tiers[0].failures, 0.5);
	assert_rate(r.tiers[0].read_bytes, 100);
	assert_rate(r.tiers[0].written_bytes, 10);
	assert_rate(r.tiers[0].latency_us, 2000);
	rates_release(&r);
	sample_release(&before);
	sample_release(&now);
}

/* Another worker counts from zero, also where it has come further. */
static void test_another_worker(void **state)
{
	struct sample before = sample(10, 1, BEFORE), now = sample(12, 2, NOW);
	struct rates r;

	(void)state;
	assert_int_equal(rates_make(&before, &now, &r), 0);
	rates_sort(&r, 0);
	assert_rate(r.mounts[0].requests, 150);
	assert_rate(r.all.requests, 173.5);
	assert_rate(r.tiers[0].requests, 7);
	rates_release(&r);
	assert_int_equal(rates_make(&now, &before, &r), 0);
	assert_true(r.all.requests <= 0); /* time went back: nothing is known */
	rates_release(&r);
	sample_release(&before);
	sample_release(&now);
}

/* Counters that became less began anew. */
static void test_less(void **state)
{
	struct sample before = sample(10, 1, NOW), now = sample(11, 1, BEFORE);
	struct rates r;

	(void)state;
	assert_int_equal(rates_make(&before, &now, &r), 0);
	rates_sort(&r, 0);
	assert_rate(r.mounts[0].requests, 100);
	rates_release(&r);
	sample_release(&before);
	sample_release(&now);
}

static void test_first(void **state)
{
	struct sample none = { .at_ns = SECOND_NS }, now = sample(12, 1, NOW);
	struct rates r;

	(void)state;
	assert_int_equal(rates_make(NULL, &now, &r), 0);
	assert_rate(r.seconds, 0);
	assert_rate(r.all.requests, 0);
	assert_int_equal(r.n_mounts, 2);
	rates_release(&r);
	assert_int_equal(rates_make(&none, &now, &r), 0);
	assert_rate(r.seconds, 0);
	rates_release(&r);
	assert_int_equal(rates_make(&now, &none, &r), 0);
	assert_int_equal(r.n_mounts, 0);
	assert_int_equal(r.n_tiers, 0);
	rates_release(&r);
	sample_release(&now);
}

static void test_order(void **state)
{
	struct sample before = sample(10, 1, BEFORE), now = sample(12, 1, NOW);
	struct rates r;
	unsigned n;

	(void)state;
	assert_int_equal(rates_make(&before, &now, &r), 0);
	for (n = 0; rates_orders[n]; n++) {
		bool new_first = strcmp(rates_orders[n], "upper") == 0;

		rates_sort(&r, n);
		assert_string_equal(field_text(r.mounts[0].mount, "id"),
				    new_first ? "new" : "a");
	}
	assert_int_equal(n, 7);
	rates_release(&r);
	sample_release(&before);
	sample_release(&now);
}

static void test_percentile(void **state)
{
	json_t *h = json_loads("[[100,90],[1000,9],[null,1]]", 0, NULL);

	(void)state;
	assert_int_equal(sample_percentile(h, 50), 100);
	assert_int_equal(sample_percentile(h, 90), 100);
	assert_int_equal(sample_percentile(h, 91), 1000);
	assert_int_equal(sample_percentile(h, 100), 1000);
	assert_int_equal(sample_percentile(NULL, 50), 0);
	json_decref(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_samples),
		cmocka_unit_test(test_another_worker),
		cmocka_unit_test(test_less),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_percentile),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
