/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/hung_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void hung_file_ask(struct hung_file *hf, const char *command,
			  char answer[32])
{
	require(fprintf(hf->commands, "%s\n", command) > 0);
	require(!fflush(hf->commands));
	require(fgets(answer, 32, hf->answers));
}

void hung_file_say(struct hung_file *hf, const char *command)
{
	char answer[32];

	hung_file_ask(hf, command, answer);
	require(!strcmp(answer, "ok\n"));
}

unsigned int hung_file_held(struct hung_file *hf)
{
	char answer[32];

	hung_file_ask(hf, "held", answer);
	return (unsigned int)strtoul(answer, NULL, 10);
}

static void hung_file_exec(const char *program, const struct hung_file *hf,
			   unsigned int mib, int in, int out)
{
	char size[16];

	snprintf(size, sizeof(size), "%u", mib);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	execl(program, program, hf->dir, size, NULL);
	_exit(127);
}

bool hung_file_start(struct hung_file *hf, unsigned int mib)
{
	const char *program = getenv("HUNGFS");
	int in[2], out[2];
	char ready[32];

	*hf = (struct hung_file){ .dir = "/tmp/vmm-hung-XXXXXX" };
	if (!program) {
		fprintf(stderr, "skipped: HUNGFS does not name the program\n");
		return false;
	}
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		fprintf(stderr, "skipped: no mounts here: %s\n",
			strerror(errno));
		return false;
	}
	require(mkdtemp(hf->dir));
	snprintf(hf->path, sizeof(hf->path), "%s/disk", hf->dir);
	require(!pipe2(in, O_CLOEXEC) && !pipe2(out, O_CLOEXEC));
	hf->pid = fork();
	require(hf->pid >= 0);
	if (!hf->pid)
		hung_file_exec(program, hf, mib, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	hf->commands = fdopen(in[1], "w");
	hf->answers = fdopen(out[0], "r");
	require(hf->commands && hf->answers);
	if (fgets(ready, sizeof(ready), hf->answers))
		return true;
	hung_file_stop(hf); /* it said why */
	return false;
}

void hung_file_kill(struct hung_file *hf)
{
	if (hf->pid > 0) {
		kill(hf->pid, SIGKILL);
		waitpid(hf->pid, NULL, 0);
	}
	hf->pid = 0;
}

void hung_file_stop(struct hung_file *hf)
{
	hung_file_kill(hf);
	if (hf->commands)
		fclose(hf->commands);
	if (hf->answers)
		fclose(hf->answers);
	umount2(hf->dir, MNT_DETACH);
	rmdir(hf->dir);
}
