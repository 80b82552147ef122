/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The serial port, polled. */
#ifndef GUEST_UART_H
#define GUEST_UART_H

#include <stdint.h>

void uart_send(uint8_t byte);

/* Waits for a byte. */
uint8_t uart_receive(void);

#endif
