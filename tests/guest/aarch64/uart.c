/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* A PL011, as the monitor has it ready. */
#include "uart.h"

#include "io.h"
#include "machine.h"

#define UART_DR 0x00
#define UART_FR 0x18
#define UART_FR_RXFE 0x10
#define UART_FR_TXFF 0x20

void uart_send(uint8_t byte)
{
	if (!machine.uart)
		return;
	while (mmio_read32(machine.uart + UART_FR) & UART_FR_TXFF)
		;
	mmio_write32(machine.uart + UART_DR, byte);
}

uint8_t uart_receive(void)
{
	while (mmio_read32(machine.uart + UART_FR) & UART_FR_RXFE)
		;
	return (uint8_t)mmio_read32(machine.uart + UART_DR);
}
