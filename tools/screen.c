/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers write a byte into a pipe, which is polled beside the keys, so that
 * no signal is missed. What they call is safe in them: write(), tcsetattr(),
 * sigaction(), sigprocmask(), raise().
 */
#include "screen.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "store/base/buf.h"

#define ENTER "\033[?1049h\033[?25l" /* the other screen, no cursor */
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define LINE_END "\033[K\r\n" /* of a line that was longer */
#define REST "\033[J"

static struct termios before; /* constant once open, as the next two */
static bool has_keys;
static int wake[2] = { -1, -1 };
static volatile sig_atomic_t drawn, ended;

static void put(const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
}

static void enter(void)
{
	struct termios raw = before;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	put(ENTER, strlen(ENTER));
	drawn = 1;
}

static void leave(void)
{
	if (!drawn)
		return;
	drawn = 0;
	put(LEAVE, strlen(LEAVE));
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

/* --- signals --- */

static void wake_up(char what)
{
	int saved = errno;

	(void)!write(wake[1], &what, 1);
	errno = saved;
}

static void on_end(int signo)
{
	ended = signo;
	wake_up('e');
}

static void on_resize(int signo)
{
	(void)signo;
	wake_up('r');
}

static void set_handler(int signo, void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler };

	sigemptyset(&sa.sa_mask);
	sigaction(signo, &sa, NULL);
}

/* Gives the signal its usual effect, here and now. */
static void raise_default(int signo)
{
	sigset_t set;

	set_handler(signo, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, signo);
	raise(signo);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void on_stop(int signo)
{
	int saved = errno;

	leave();
	raise_default(signo); /* and on from here, when it goes on */
	set_handler(signo, on_stop);
	enter();
	wake_up('r');
	errno = saved;
}

static void on_crash(int signo)
{
	leave();
	raise_default(signo);
}

static void set_handlers(void)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE,
				       SIGILL };

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		set_handler(ends[i], on_end);
	for (size_t i = 0; i < sizeof(crashes) / sizeof(*crashes); i++)
		set_handler(crashes[i], on_crash);
	set_handler(SIGTSTP, on_stop);
	set_handler(SIGWINCH, on_resize);
}

/* --- the page --- */

bool screen_is_possible(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term && *term &&
	       strcmp(term, "dumb") != 0;
}

int screen_open(void)
{
	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	has_keys = isatty(STDIN_FILENO) &&
		   tcgetattr(STDIN_FILENO, &before) == 0;
	atexit(leave);
	set_handlers();
	enter();
	return 0;
}

void screen_close(void)
{
	leave();
}

static void get_size(size_t *ret_rows, size_t *ret_columns)
{
	struct winsize ws = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || ws.ws_row == 0 ||
	    ws.ws_col == 0)
		ws = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	*ret_rows = ws.ws_row;
	*ret_columns = ws.ws_col;
}

/* At most `columns` characters of a line; a byte that goes on with one counts
 * for none. */
static void put_line(struct buf *out, const char *line, size_t len,
		     size_t columns)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)line[i];

		if ((c & 0xC0) != 0x80 && columns-- == 0)
			return;
		buf_put_u8(out, c < 0x20 || c == 0x7f ? '?' : c);
	}
}

void screen_draw(const char *text, size_t len)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	const char *end = text + len;
	size_t rows, columns;

	get_size(&rows, &columns);
	buf_printf(&out, HOME);
	for (size_t row = 0; row < rows && text < end; row++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		if (row > 0)
			buf_printf(&out, LINE_END);
		put_line(&out, text, (size_t)(stop - text), columns);
		text = stop + 1;
	}
	buf_printf(&out, "\033[K" REST);
	if (buf_error(&out) == 0)
		put((const char *)out.data, out.len);
}

/* --- waiting --- */

int screen_signal(void)
{
	return ended;
}

/* What arrows and the like send is no key, nor is what begins it. */
static int read_key(void)
{
	char key, rest[32];
	ssize_t n = read(STDIN_FILENO, &key, 1);

	if (n <= 0)
		return n == 0 || errno == EIO ? SCREEN_ENDED : SCREEN_RESIZED;
	if (key == '\033')
		(void)!read(STDIN_FILENO, rest, sizeof(rest));
	return key < ' ' ? SCREEN_RESIZED : key;
}

int screen_wait(int ms)
{
	struct pollfd fds[2] = { { .fd = wake[0], .events = POLLIN },
				 { .fd = has_keys ? STDIN_FILENO : -1,
				   .events = POLLIN } };
	char what[64];
	int n = ended ? 0 : poll(fds, 2, ms);

	if (ended)
		return SCREEN_ENDED;
	if (n < 0)
		return SCREEN_RESIZED; /* the pipe says why, next time */
	if (n == 0)
		return SCREEN_TIME;
	if (fds[0].revents) {
		(void)!read(wake[0], what, sizeof(what));
		return SCREEN_RESIZED;
	}
	return read_key();
}
