/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/io_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "devices/registry.h"

struct loop *io_loop_create(void)
{
	struct loop *loop = loop_create("test", NULL);

	assert_non_null(loop);
	for (unsigned int i = 0; device_classes[i]; i++)
		if (device_classes[i]->io_local)
			loop_add_local(loop, device_classes[i]->io_local);
	loop_open_local(loop);
	return loop;
}
