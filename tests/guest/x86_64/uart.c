/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* A 16550 at COM1's ports. */
#include "uart.h"

#include "io.h"

#define UART_THR 0x3f8
#define UART_RBR 0x3f8
#define UART_LSR 0x3fd
#define UART_LSR_DATA 0x01
#define UART_LSR_THRE 0x20
#define UART_SPINS 1000000

void uart_send(uint8_t byte)
{
	for (int i = 0; i < UART_SPINS; i++) {
		if (in8(UART_LSR) & UART_LSR_THRE)
			break;
	}
	out8(UART_THR, byte);
}

uint8_t uart_receive(void)
{
	while (!(in8(UART_LSR) & UART_LSR_DATA))
		;
	return in8(UART_RBR);
}
