/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_HUNG_FILE_H
#define TESTS_LIB_HUNG_FILE_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* A file on a file system that stops answering on command: see hungfs.c. */
struct hung_file {
	char dir[64]; /* where it is mounted */
	char path[80]; /* the file */
	pid_t pid;
	FILE *commands;
	FILE *answers;
};

/*
 * Mount one with a file of that size, where only this process and its children
 * see it; before the process has other threads. $HUNGFS names the program.
 * False, with the reason on stderr: it is not possible here, skip the test.
 */
bool hung_file_start(struct hung_file *hf, unsigned int mib);
/* "hang" or "go"; it has happened when this returns. */
void hung_file_say(struct hung_file *hf, const char *command);
/* Requests that wait for "go". */
unsigned int hung_file_held(struct hung_file *hf);
/* As if its server died; then, or without that, clean up. */
void hung_file_kill(struct hung_file *hf);
void hung_file_stop(struct hung_file *hf);

#endif
