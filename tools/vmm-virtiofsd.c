/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <syslog.h>
#include <unistd.h>

#include "devices/backend/fs_handover.h"
#include "vmm/error.h"
#include "vmm/listener.h"
#include "vmm/util.h"

/*
 * Started in place of a virtiofsd, with the same options, by shims that know no
 * other way to share a directory. It gives the directory and what the options
 * mean for vmm's --fs to the monitor that connects, which shares it itself, and
 * waits for the end of that connection. See devices/backend/fs_handover.h.
 */

#define FSD_CLIENT_WAIT_S 1

struct fsd {
	const char *dir;
	const char *socket;
	const char *group; /* of the socket's file */
	int fd; /* a listening socket instead; -1: none */
	const char *cache;
	bool readonly;
	bool writeback;
	bool xattr;
	bool xattr_map;
	bool posix_acl;
	bool locks;
	char uidmap[FS_HANDOVER_WORDS_MAX / 2];
	char gidmap[FS_HANDOVER_WORDS_MAX / 2];
	int level; /* what is logged: a priority of syslog(3); -1: nothing */
	bool syslog;
	bool capabilities; /* to be printed, and no more */
	struct listener listener;
	int signals; /* readable: one came that ends this program */
};

/* ---- messages ---- */

static void fsd_say(const struct fsd *f, int level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void fsd_say(const struct fsd *f, int level, const char *fmt, ...)
{
	struct error text;
	va_list ap;

	if (level > f->level)
		return;
	va_start(ap, fmt);
	vsnprintf(text.msg, sizeof(text.msg), fmt, ap);
	va_end(ap);
	error_make_plain(text.msg, strlen(text.msg));
	if (f->syslog)
		syslog(LOG_USER | level, "%s", text.msg);
	else
		dprintf(STDERR_FILENO, "vmm-virtiofsd: %s\n", text.msg);
}

/* ---- options ---- */

/* An option of virtiofsd, or a word of its -o. */
struct fsd_option {
	const char *name;
	/* NULL: it takes no value. False: not such a one. */
	bool (*take)(struct fsd *f, const char *value);
	size_t flag; /* without take: offset of a bool; 0: none */
	bool off; /* the flag is for what it says no to */
	const char *note; /* it changes nothing: why */
	const char *look; /* of its value */
	const char *help; /* NULL: not shown by itself */
};

static bool fsd_take_text(const char **text, const char *value)
{
	*text = value;
	return *value;
}

static bool fsd_take_dir(struct fsd *f, const char *value)
{
	return fsd_take_text(&f->dir, value);
}

static bool fsd_take_socket(struct fsd *f, const char *value)
{
	return fsd_take_text(&f->socket, value);
}

static bool fsd_take_group(struct fsd *f, const char *value)
{
	return fsd_take_text(&f->group, value);
}

static bool fsd_take_fd(struct fsd *f, const char *value)
{
	char *end;
	long n = strtol(value, &end, 10);

	f->fd = (int)n;
	return end != value && !*end && n >= 0 && n <= 1 << 20;
}

/* "none" is "never" of the old program; "metadata" lets the guest keep all but
 * contents, which is nearer to nothing than to a second of contents. */
static bool fsd_take_cache(struct fsd *f, const char *value)
{
	static const char *const modes[][2] = {
		{ "auto", "auto" },   { "always", "always" },
		{ "never", "never" }, { "metadata", "never" },
		{ "none", "never" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++)
		if (strcmp(value, modes[i][0]) == 0) {
			f->cache = modes[i][1];
			return true;
		}
	return false;
}

static bool fsd_take_level(struct fsd *f, const char *value)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {
		{ "off", -1 },		{ "err", LOG_ERR },
		{ "error", LOG_ERR },	{ "warn", LOG_WARNING },
		{ "info", LOG_INFO },	{ "debug", LOG_DEBUG },
		{ "trace", LOG_DEBUG },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(value, levels[i].name) == 0) {
			f->level = levels[i].level;
			return true;
		}
	return false;
}

/* Names of attributes under another prefix: ours is one, and the same for all. */
static bool fsd_take_xattr_map(struct fsd *f, const char *value)
{
	f->xattr = f->xattr_map = true;
	fsd_say(f, LOG_INFO, "xattrmap %s: the rules are those of xattr=map",
		value);
	return *value;
}

static bool fsd_add_range(char *map, size_t size, const char *range, size_t len)
{
	size_t used = strlen(map);

	return snprintf(map + used, size - used, "%s%.*s", used ? ";" : "",
			(int)len, range) < (int)(size - used);
}

/* ":inside:outside:count:", with any delimiter. What it is between them, the
 * monitor checks. */
static bool fsd_take_map(char *map, size_t size, const char *value)
{
	size_t len = strlen(value);
	char range[64];

	if (len < 3 || len >= sizeof(range) || value[len - 1] != value[0])
		return false;
	for (size_t i = 1; i < len - 1; i++)
		range[i - 1] = value[i] == value[0] ? ':' : value[i];
	return fsd_add_range(map, size, range, len - 2);
}

static bool fsd_take_uid_map(struct fsd *f, const char *value)
{
	return fsd_take_map(f->uidmap, sizeof(f->uidmap), value);
}

static bool fsd_take_gid_map(struct fsd *f, const char *value)
{
	return fsd_take_map(f->gidmap, sizeof(f->gidmap), value);
}

/* "map:guest:host:count". One way only, or many to one, is not to be had. */
static bool fsd_translate(char *map, size_t size, const char *value)
{
	return strncmp(value, "map:", 4) == 0 &&
	       fsd_add_range(map, size, value + 4, strlen(value + 4));
}

static bool fsd_translate_uid(struct fsd *f, const char *value)
{
	return fsd_translate(f->uidmap, sizeof(f->uidmap), value);
}

static bool fsd_translate_gid(struct fsd *f, const char *value)
{
	return fsd_translate(f->gidmap, sizeof(f->gidmap), value);
}

static bool fsd_take_any(struct fsd *f unused_param, const char *value)
{
	return *value;
}

static bool fsd_take_words(struct fsd *f, const char *value);

#define FSD_FLAG(n, field, ...)                                             \
	{                                                                   \
		.name = n, .flag = offsetof(struct fsd, field), __VA_ARGS__ \
	}
#define FSD_TAKE(n, fn, ...)                         \
	{                                            \
		.name = n, .take = (fn), __VA_ARGS__ \
	}
/* Accepted, and of no effect: with a value, or without. */
#define FSD_VALUE(n, why) FSD_TAKE(n, fsd_take_any, .note = why)
#define FSD_WORD(n, why)               \
	{                              \
		.name = n, .note = why \
	}

#define FSD_ALWAYS "the monitor always does"
#define FSD_NEVER "the monitor never does"
#define FSD_MONITOR \
	"this program serves nothing; the monitor does, by rules of its own"

static const struct fsd_option fsd_options[] = {
	FSD_TAKE("shared-dir", fsd_take_dir, .look = "DIR",
		 .help = "directory to share"),
	FSD_TAKE("fd", fsd_take_fd, .look = "N",
		 .help = "a socket that listens already"),
	FSD_TAKE("socket-path", fsd_take_socket, .look = "PATH",
		 .help = "a socket to listen on"),
	FSD_TAKE("socket", fsd_take_socket),
	FSD_TAKE("socket-group", fsd_take_group, .look = "NAME",
		 .help = "group that may use it"),
	FSD_TAKE("cache", fsd_take_cache, .look = "auto|always|never|metadata",
		 .help = "how long the guest believes what it has read"),
	FSD_FLAG("readonly", readonly,
		 .help = "the guest cannot change anything"),
	FSD_FLAG("writeback", writeback,
		 .help = "the guest may keep back what it writes"),
	FSD_FLAG("xattr", xattr, .help = "extended attributes"),
	FSD_TAKE(
		"xattrmap", fsd_take_xattr_map, .look = "RULES",
		.help = "the same, some under another name: that of vmm's xattr=map"),
	FSD_FLAG("posix-acl", posix_acl, .help = "access control lists"),
	FSD_TAKE("uid-map", fsd_take_uid_map, .look = ":GUEST:HOST:COUNT:",
		 .help = "what the guest's user ids are on the host"),
	FSD_TAKE("gid-map", fsd_take_gid_map,
		 .look = ":GUEST:HOST:COUNT:", .help = "the same of groups"),
	FSD_TAKE("translate-uid", fsd_translate_uid,
		 .look = "map:GUEST:HOST:COUNT",
		 .help = "the same as --uid-map"),
	FSD_TAKE("translate-gid", fsd_translate_gid,
		 .look = "map:GUEST:HOST:COUNT",
		 .help = "the same as --gid-map"),
	FSD_TAKE("log-level", fsd_take_level,
		 .look = "off|error|warn|info|debug", .help = "what to say"),
	FSD_FLAG("syslog", syslog, .help = "say it to syslog, not to stderr"),
	FSD_FLAG("print-capabilities", capabilities,
		 .help = "what vhost-user's managers ask for, as JSON"),
	FSD_WORD("announce-submounts", FSD_ALWAYS),
	FSD_WORD("no-announce-submounts", FSD_ALWAYS),
	FSD_VALUE("thread-pool-size", FSD_MONITOR),
	FSD_VALUE("inode-file-handles", FSD_MONITOR),
	FSD_VALUE("sandbox", FSD_MONITOR),
	FSD_VALUE("seccomp", FSD_MONITOR),
	FSD_VALUE("modcaps", FSD_MONITOR),
	FSD_VALUE("rlimit-nofile", FSD_MONITOR),
	FSD_VALUE("tag", "it is given with the socket, to the monitor"),
	FSD_WORD("killpriv-v2", FSD_ALWAYS),
	FSD_WORD("no-killpriv-v2", FSD_ALWAYS),
	FSD_WORD("allow-direct-io", FSD_ALWAYS),
	FSD_WORD("allow-mmap", FSD_ALWAYS),
	FSD_WORD("no-readdirplus", FSD_MONITOR),
	FSD_WORD("preserve-noatime", FSD_MONITOR),
	FSD_WORD("security-label", FSD_NEVER),
	FSD_VALUE("migration-mode", FSD_NEVER),
	FSD_VALUE("migration-on-error", FSD_NEVER),
	FSD_WORD("migration-verify-handles", FSD_NEVER),
	FSD_WORD("migration-confirm-paths", FSD_NEVER),
	FSD_TAKE("o", fsd_take_words, .look = "WORD[,WORD...]"),
	FSD_WORD("d", FSD_MONITOR),
	FSD_WORD("f", FSD_ALWAYS),
	{ .name = NULL },
};

/* Words of -o, as the old program has them. */
static const struct fsd_option fsd_words[] = {
	FSD_TAKE("source", fsd_take_dir),
	FSD_TAKE("cache", fsd_take_cache),
	FSD_TAKE("xattrmap", fsd_take_xattr_map),
	FSD_TAKE("log_level", fsd_take_level),
	FSD_TAKE("loglevel", fsd_take_level),
	FSD_FLAG("xattr", xattr),
	FSD_FLAG("no_xattr", xattr, .off = true),
	FSD_FLAG("writeback", writeback),
	FSD_FLAG("no_writeback", writeback, .off = true),
	FSD_FLAG("posix_acl", posix_acl),
	FSD_FLAG("no_posix_acl", posix_acl, .off = true),
	FSD_FLAG("posix_lock", locks),
	FSD_FLAG("no_posix_lock", locks, .off = true),
	FSD_FLAG("flock", locks),
	FSD_FLAG("no_flock", locks, .off = true),
	FSD_VALUE("sandbox", FSD_MONITOR),
	FSD_VALUE("modcaps", FSD_MONITOR),
	FSD_VALUE("timeout", FSD_MONITOR),
	FSD_VALUE("max_idle_threads", FSD_MONITOR),
	FSD_WORD("announce_submounts", FSD_ALWAYS),
	FSD_WORD("killpriv_v2", FSD_ALWAYS),
	FSD_WORD("no_killpriv_v2", FSD_ALWAYS),
	FSD_WORD("allow_direct_io", FSD_ALWAYS),
	FSD_WORD("no_allow_direct_io", FSD_ALWAYS),
	FSD_WORD("readdirplus", FSD_MONITOR),
	FSD_WORD("no_readdirplus", FSD_MONITOR),
	FSD_WORD("security_label", FSD_NEVER),
	FSD_WORD("no_security_label", FSD_NEVER),
	FSD_WORD("allow_root", FSD_ALWAYS),
	FSD_WORD("norace", FSD_ALWAYS),
	FSD_WORD("debug", FSD_MONITOR),
	{ .name = NULL },
};

static const struct fsd_option *fsd_find(const struct fsd_option *o,
					 const char *name, size_t len)
{
	while (o->name &&
	       (strlen(o->name) != len || memcmp(o->name, name, len) != 0))
		o++;
	return o->name ? o : NULL;
}

/* word, of len bytes, is the option o; value: NULL where there is none. False,
 * with a message. */
static bool fsd_apply(struct fsd *f, const struct fsd_option *o,
		      const char *word, size_t len, const char *value)
{
	const char *wrong = NULL;

	if (!o)
		wrong = "no option of virtiofsd; see --help";
	else if (o->take && !value)
		wrong = "has no value";
	else if (o->take && !o->take(f, value))
		wrong = "cannot have this value; see --help";
	else if (!o->take && value)
		wrong = "takes no value";
	if (wrong) {
		fsd_say(f, LOG_ERR, "%.*s%s%s: %s", (int)len, word,
			value ? "=" : "", value ? value : "", wrong);
		return false;
	}
	if (o->flag)
		*(bool *)((char *)f + o->flag) = !o->off;
	if (o->note)
		fsd_say(f, LOG_INFO, "%.*s has no effect: %s", (int)len, word,
			o->note);
	return true;
}

/* "source=/x,cache=auto,xattr". */
static bool fsd_take_words(struct fsd *f, const char *value)
{
	/* Of argv, and cut there: values stay. */
	char *rest = (char *)(uintptr_t)value, *word;
	bool good = true;

	while (good && (word = strsep(&rest, ","))) {
		size_t len = strcspn(word, "=");

		good = fsd_apply(f, fsd_find(fsd_words, word, len), word, len,
				 word[len] ? word + len + 1 : NULL);
	}
	return good;
}

static bool fsd_parse(struct fsd *f, char **argv)
{
	for (char **next = argv + 1; *next; next++) {
		const char *word = *next, *name = word + strspn(word, "-");
		size_t len = strcspn(name, "=");
		const char *value = name[len] ? name + len + 1 : NULL;
		const struct fsd_option *o = NULL;

		/* -oWORDS, -o WORDS, --name=VALUE, --name VALUE. */
		if (name - word == 1 && *name == 'o') {
			len = 1;
			value = name[1] ? name + 1 : NULL;
		}
		if (name - word == (len == 1 ? 1 : 2))
			o = fsd_find(fsd_options, name, len);
		len += (size_t)(name - word);
		if (o && o->take && !value && next[1])
			value = *++next;
		if (!fsd_apply(f, o, word, len, value))
			return false;
	}
	return true;
}

static bool fsd_check(struct fsd *f)
{
	if (f->capabilities)
		return true;
	if (!f->dir)
		fsd_say(f, LOG_ERR, "which directory? Add --shared-dir DIR");
	else if (!f->socket == (f->fd < 0))
		fsd_say(f, LOG_ERR,
			"which socket? Add one of --socket-path PATH and --fd N");
	else if (f->group && !f->socket)
		fsd_say(f, LOG_ERR,
			"--socket-group %s: is for --socket-path alone",
			f->group);
	else
		return true;
	return false;
}

static void fsd_help(void)
{
	puts("Usage: vmm-virtiofsd --shared-dir DIR (--fd N | --socket-path PATH) [OPTION]...\n"
	     "Give a directory to a vmm that connects as if to a virtiofsd.\n");
	for (const struct fsd_option *o = fsd_options; o->name; o++) {
		char left[64];

		if (!o->help)
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", o->name,
			 o->look ? " " : "", o->look ? o->look : "");
		printf("  %-38s %s\n", left, o->help);
	}
	puts("\nAll other options of virtiofsd are accepted, and have no effect.");
}

/* ---- the hand-over ---- */

/* Of /etc/group: libraries that know others do not go into a static program. */
static bool fsd_find_group(const char *name, gid_t *gid)
{
	FILE *in = fopen("/etc/group", "re");
	const struct group *group = NULL;

	while (in && (group = fgetgrent(in)) &&
	       strcmp(group->gr_name, name) != 0)
		;
	if (group)
		*gid = group->gr_gid;
	if (in)
		fclose(in);
	return group;
}

static bool fsd_listen(struct fsd *f)
{
	struct error err;
	gid_t gid = 0;
	int r;

	if (f->group && !fsd_find_group(f->group, &gid)) {
		fsd_say(f, LOG_ERR, "--socket-group %s: there is no such group",
			f->group);
		return false;
	}
	if (f->socket)
		r = listener_open(&f->listener, f->socket, &err);
	else
		r = listener_adopt(&f->listener, f->fd, &err);
	if (r) {
		fsd_say(f, LOG_ERR, "%s%s: %s",
			f->socket ? "--socket-path " : "--fd",
			f->socket ? f->socket : "", err.msg);
		return false;
	}
	if (f->group &&
	    (chown(f->socket, (uid_t)-1, gid) || chmod(f->socket, 0660))) {
		fsd_say(f, LOG_ERR, "--socket-group %s: %s", f->group,
			strerror(errno));
		listener_close(&f->listener);
		return false;
	}
	return true;
}

/* What --fs is told; its length, or more than size. */
static int fsd_write_words(const struct fsd *f, char *words, size_t size)
{
	/* virtiofsd takes it with what makes it mean nothing. */
	bool back = f->writeback && !f->readonly &&
		    strcmp(f->cache, "never") != 0;

	return snprintf(
		words, size,
		"cache=%s,readonly=%s,writeback=%s,xattr=%s,posix_acl=%s,locks=%s,uidmap=%s,gidmap=%s",
		f->cache, f->readonly ? "on" : "off", back ? "on" : "off",
		f->xattr_map		   ? "map"
		: f->xattr || f->posix_acl ? "on"
					   : "off",
		f->posix_acl ? "on" : "off", f->locks ? "on" : "off", f->uidmap,
		f->gidmap);
}

/* The client says what a vmm says. */
static bool fsd_is_monitor(int client)
{
	const struct timeval wait = { .tv_sec = FSD_CLIENT_WAIT_S };
	char hello[sizeof(FS_HANDOVER_HELLO)];

	setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	return recv(client, hello, sizeof(hello), MSG_WAITALL) ==
		       (ssize_t)sizeof(hello) &&
	       memcmp(hello, FS_HANDOVER_HELLO, sizeof(hello)) == 0;
}

/* Who sends so little is read at once: it fits into any socket. */
static bool fsd_send(int client, int dir, const char *words, size_t len)
{
	struct fs_handover_head head = { .hello = FS_HANDOVER_HELLO,
					 .len = (uint32_t)len };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct iovec iov[] = { { &head, sizeof(head) },
			       { (char *)(uintptr_t)words, len } };
	struct msghdr msg = { .msg_iov = iov,
			      .msg_iovlen = ARRAY_SIZE(iov),
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.head), &dir, sizeof(dir));
	return sendmsg(client, &msg, MSG_NOSIGNAL) ==
	       (ssize_t)(sizeof(head) + len);
}

/* Wait until there is something to read; false: a signal came. */
static bool fsd_wait(const struct fsd *f, int fd)
{
	struct pollfd pfds[] = { { .fd = f->signals, .events = POLLIN },
				 { .fd = fd, .events = POLLIN } };

	poll(pfds, ARRAY_SIZE(pfds), -1);
	return !pfds[0].revents;
}

/* The monitor's connection, to which all was given; -1: a signal came first. */
static int fsd_serve(const struct fsd *f, int dir, const char *words,
		     size_t len)
{
	while (fsd_wait(f, f->listener.fd)) {
		int client = accept4(f->listener.fd, NULL, NULL, SOCK_CLOEXEC);

		if (client < 0) {
			/* Out of descriptors, say: not as fast as can be. */
			usleep(100000);
			continue;
		}
		if (fsd_is_monitor(client) && fsd_send(client, dir, words, len))
			return client;
		fsd_say(f, LOG_WARNING,
			"a client was turned away: it is no vmm; other monitors need a real virtiofsd");
		close(client);
	}
	return -1;
}

/* Code that has run is not needed again, and comes back from its file where it
 * is. */
static int fsd_trim(struct dl_phdr_info *info, size_t size unused_param,
		    void *arg unused_param)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t start =
			ALIGN_DOWN(info->dlpi_addr + ph->p_vaddr, page);
		uintptr_t end = info->dlpi_addr + ph->p_vaddr + ph->p_memsz;

		if (ph->p_type == PT_LOAD && !(ph->p_flags & PF_W))
			madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 0;
}

/* The other side says nothing more; whatever comes, its end is waited for. */
static void fsd_wait_end(const struct fsd *f, int client)
{
	char byte;
	ssize_t n = 1;

	while (n && fsd_wait(f, client)) {
		n = recv(client, &byte, sizeof(byte), MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN)
			break;
	}
}

static int fsd_run(struct fsd *f)
{
	static char words[FS_HANDOVER_WORDS_MAX + 1];
	int len = fsd_write_words(f, words, sizeof(words));
	int dir, client;

	if (len > (int)FS_HANDOVER_WORDS_MAX) {
		fsd_say(f, LOG_ERR, "too many ranges of ids");
		return 1;
	}
	dir = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		fsd_say(f, LOG_ERR, "--shared-dir %s: %s", f->dir,
			strerror(errno));
		return 1;
	}
	if (!fsd_listen(f))
		return 1;
	/* runtime-rs waits for these words of virtiofsd's. */
	fsd_say(f, LOG_INFO, "Waiting for vhost-user socket connection...");
	client = fsd_serve(f, dir, words, (size_t)len);
	/* Nothing here keeps a file system of the host busy, or a socket. */
	close(dir);
	listener_close(&f->listener);
	if (client < 0)
		return 1;
	fsd_say(f, LOG_INFO, "%s was given to the monitor", f->dir);
	dl_iterate_phdr(fsd_trim, NULL);
	fsd_wait_end(f, client);
	return 0;
}

int main(int argc, char **argv)
{
	static struct fsd f = { .fd = -1, .cache = "auto", .level = LOG_INFO };
	const char *first = argc > 1 ? argv[1] : "";
	sigset_t ends;

	if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
		fsd_help();
		return 0;
	}
	if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
		puts("vmm-virtiofsd " VMM_VERSION);
		return 0;
	}
	if (!fsd_parse(&f, argv) || !fsd_check(&f))
		return 2;
	if (f.capabilities) {
		puts("{\n  \"type\": \"fs\"\n}");
		return 0;
	}
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGHUP);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	/* Who read stderr may have gone: that ends no machine. */
	signal(SIGPIPE, SIG_IGN);
	f.signals = signalfd(-1, &ends, SFD_CLOEXEC);
	return fsd_run(&f);
}
