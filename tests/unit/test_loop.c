/* SPDX-License-Identifier: Apache-2.0 */
/* The service loop: each request once, and reading goes on while requests
 * block. Requests are messages of a socket pair: one byte says what to do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/fetch.h"
#include "fs/loop.h"
#include "fs/slice.h"

#define BUF_SIZE 65536

enum request {
	ANSWER = 'a',  /* from memory */
	BLOCK = 'b',   /* until released */
	TWICE = 't',   /* says twice that it may block, and does not */
	RELEASE = 'r', /* lets those that block go on */
};

struct harness {
	int requests, device; /* the test's end, and the loop's */
	struct loop *loop;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	unsigned done, blocked;
	bool released;
	uint64_t slice_ns;
	bool unlike; /* a request came from another thread than `reader` */
	pthread_t reader;
};

static ssize_t receive(void *arg, void *buf, size_t size)
{
	struct harness *h = arg;
	ssize_t n = recv(h->device, buf, size, MSG_DONTWAIT);

	if (n > 0)
		return n;
	return n == 0 ? -ENODEV : -errno;
}

static void block(struct harness *h)
{
	fetch_may_block();
	pthread_mutex_lock(&h->lock);
	h->blocked++;
	pthread_cond_broadcast(&h->changed);
	while (!h->released)
		pthread_cond_wait(&h->changed, &h->lock);
	h->blocked--;
	pthread_mutex_unlock(&h->lock);
}

static void process(void *arg, void *buf, size_t len)
{
	struct harness *h = arg;

	assert_int_equal(len, 1);
	switch (*(char *)buf) {
	case BLOCK:
		block(h);
		break;
	case TWICE:
		fetch_may_block();
		fetch_may_block();
		break;
	}
	pthread_mutex_lock(&h->lock);
	if (*(char *)buf == RELEASE)
		h->released = true;
	h->slice_ns = slice_get_ns();
	if (h->done == 0)
		h->reader = pthread_self();
	else if (!pthread_equal(h->reader, pthread_self()))
		h->unlike = true;
	h->done++;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

static const struct loop_ops ops = { .receive = receive, .process = process };

static int setup(void **state)
{
	struct harness *h = calloc(1, sizeof(*h));
	int fds[2];

	assert_non_null(h);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	h->requests = fds[0];
	h->device = fds[1];
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	assert_int_equal(loop_start(h->device, BUF_SIZE, &ops, h, &h->loop), 0);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct harness *h = *state;

	if (h->requests >= 0)
		close(h->requests);
	loop_join(h->loop);
	loop_free(h->loop);
	close(h->device);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	free(h);
	return 0;
}

static void send_request(struct harness *h, char what)
{
	assert_int_equal(send(h->requests, &what, 1, 0), 1);
}

static void wait_done(struct harness *h, unsigned count)
{
	pthread_mutex_lock(&h->lock);
	while (h->done < count)
		pthread_cond_wait(&h->changed, &h->lock);
	assert_int_equal(h->done, count);
	pthread_mutex_unlock(&h->lock);
}

static void wait_blocked(struct harness *h, unsigned count)
{
	pthread_mutex_lock(&h->lock);
	while (h->blocked < count)
		pthread_cond_wait(&h->changed, &h->lock);
	pthread_mutex_unlock(&h->lock);
}

/* Wherever the kernel has slices. */
static void test_short_slice(void **state)
{
	struct harness *h = *state;

	send_request(h, ANSWER);
	wait_done(h, 1);
	if (slice_get_ns() == 0)
		skip();
	assert_int_equal(h->slice_ns, SLICE_SHORT_NS);
	assert_int_not_equal(slice_get_ns(), SLICE_SHORT_NS);
}

/* The end of the device: all that was sent before it is processed. */
static void hang_up(struct harness *h)
{
	close(h->requests);
	h->requests = -1;
	loop_join(h->loop);
}

static void test_one_thread_answers(void **state)
{
	struct harness *h = *state;
	unsigned i;

	for (i = 0; i < 1000; i++)
		send_request(h, ANSWER);
	wait_done(h, 1000);
	hang_up(h);
	assert_int_equal(h->done, 1000);
	assert_false(h->unlike);
}

/* One request at a time: each finds the reader polling or asleep. */
static void test_wakes_up(void **state)
{
	struct harness *h = *state;
	unsigned i;

	for (i = 1; i <= 200; i++) {
		send_request(h, ANSWER);
		wait_done(h, i);
	}
}

/* All threads but one block; the last one still reads and releases them. */
static void test_reading_goes_on(void **state)
{
	struct harness *h = *state;
	unsigned i;

	for (i = 0; i < LOOP_THREADS_MAX - 1; i++)
		send_request(h, BLOCK);
	wait_blocked(h, LOOP_THREADS_MAX - 1);
	for (i = 0; i < 100; i++)
		send_request(h, ANSWER);
	wait_done(h, 100);
	send_request(h, RELEASE);
	wait_done(h, 100 + LOOP_THREADS_MAX);
}

/* What the socket's queue has room for, or sending would block. */
#define MORE 64

/* With all threads blocked nobody reads until one is done; nothing is lost. */
static void test_more_than_threads(void **state)
{
	struct harness *h = *state;
	unsigned i;

	for (i = 0; i < LOOP_THREADS_MAX + MORE; i++)
		send_request(h, BLOCK);
	wait_blocked(h, LOOP_THREADS_MAX);
	pthread_mutex_lock(&h->lock);
	assert_int_equal(h->blocked, LOOP_THREADS_MAX);
	assert_int_equal(h->done, 0);
	h->released = true;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	wait_done(h, LOOP_THREADS_MAX + MORE);
}

static void test_hook_twice(void **state)
{
	struct harness *h = *state;
	unsigned i;

	for (i = 0; i < 500; i++)
		send_request(h, i % 3 ? TWICE : ANSWER);
	wait_done(h, 500);
	hang_up(h);
	assert_int_equal(h->done, 500);
}

/* Requests behind the stop stay where they are; those begun are finished. */
static void test_stop_finishes_what_began(void **state)
{
	struct harness *h = *state;

	send_request(h, BLOCK);
	wait_blocked(h, 1);
	loop_stop(h->loop);
	pthread_mutex_lock(&h->lock);
	h->released = true;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	loop_join(h->loop);
	assert_int_equal(h->done, 1);
	send_request(h, ANSWER);
	loop_join(h->loop);
	assert_int_equal(h->done, 1);
}

static void test_stop_while_asleep(void **state)
{
	struct harness *h = *state;

	send_request(h, ANSWER);
	wait_done(h, 1);
	loop_stop(h->loop);
	loop_join(h->loop);
}

static void test_hook_outside_of_loop(void **state)
{
	(void)state;
	fetch_may_block();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_thread_answers, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_wakes_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reading_goes_on, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_more_than_threads, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_hook_twice, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_stop_finishes_what_began,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop_while_asleep, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_short_slice, setup,
						teardown),
		cmocka_unit_test(test_hook_outside_of_loop),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
